//! The library in use: items in, an operation as a closure, a store with its indexes out.
//!
//! `cargo run --release --example embed`

use atlas_host::coordinator::{Host, HostOptions, Job};
use atlas_host::model::{Item, Outcome};
use atlas_host::plugin::Call;

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("tasks.db");
    let tasks = (0..1000).map(|n| format!(r#"{{"path":"demo/task-{n}","status":"PENDING"}}"#));

    let host = Host::new(HostOptions::default())?;
    let job = Job::of_items(tasks, &store, "tasks")?
        .id("path")?
        .index("status")?
        .operation(|_: &Call, item: Item<'_>| Outcome::Replace(item.body.replace("PENDING", "IN_PROGRESS")));
    let report = host.run(job)?;

    println!("{} of {} items stored", report.counts.stored, report.counts.read);
    Ok(())
}
