//! One task, saved and read back.
//!
//! `cargo run --release --example task`

use anyhow::Context;
use atlas_host::coordinator::{Host, HostOptions, Job};
use atlas_host::model::Name;
use atlas_host::store::{Lookup, Reader};

fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("tasks.db");
    let task = r#"{"path":"kitchen/tiles","name":"Lay the tiles","status":"PENDING"}"#;

    let host = Host::new(HostOptions::default())?;
    let job = Job::of_items([task.to_owned()], &store, "tasks")?.id("path")?.index("status")?;
    let report = host.run(job)?;
    println!("{} task stored", report.counts.stored);

    let tasks = Name::parse("tasks").context("a legal name")?;
    let row = Reader::open(&store)?.get(&tasks, "kitchen/tiles")?.context("no such task")?;
    println!("{}", row.body);
    Ok(())
}
