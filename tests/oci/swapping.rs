//! A plugin from a registry takes the place of another while the run goes on.

use super::{Registry, stamped};
use crate::cli::sharing::Running;
use crate::cli::words;
use crate::harness::Folder;
use crate::swap::stamp;

fn numbered(from: u64, count: u64) -> String {
    (from..from + count).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect()
}

#[test]
fn a_slot_of_a_run_at_work_is_filled_from_a_registry() {
    let (folder, registry) = (Folder::new(), Registry::start());
    registry.push("work", "1", &stamp("v1"));
    let pushed = registry.push("work", "2", &stamp("v2"));
    let (first, second) = (registry.reference("work:1"), registry.reference("work:2"));
    let plugin = format!("--plugin {first} --strategy sequential --batch-size 10");
    let mut running = Running::fed(&folder, &numbered(0, 50), &plugin);
    running.committed(50);
    let mut sent = 50;
    let line = format!("plugins swap work {second} --wait 5m");
    let ran = std::thread::scope(|scope| {
        let told = scope.spawn(|| words(&folder, &line));
        while !told.is_finished() {
            running.feed(&numbered(sent, 10));
            sent += 10;
            running.committed(10);
        }
        told.join().expect("no panic")
    });
    let ran = ran.exits(0).says(&format!("{second} is locked at {}", pushed.manifest));
    assert!(ran.stdout.contains("the plugin is in effect"), "{}", ran.stdout);
    // What cannot be had leaves the run as it is.
    words(&folder, &format!("plugins swap work {}", registry.reference("work:3"))).exits(4).says("error[GUEST_10011]");
    running.close().1.exits(0);
    assert_eq!(stamped(&folder), "v1,v2");
    let listed = words(&folder, "plugins list --output json").exits(0).json_lines();
    let in_force = listed.iter().find(|plugin| plugin["in_force"][0] == "work").expect("a plugin is in force");
    assert_eq!(in_force["name"].as_str(), Some(format!("{second}@{}", pushed.manifest).as_str()));
    let history = words(&folder, "plugins history work --output json").exits(0).json_lines();
    assert!(history.iter().any(|step| step["name"] == in_force["name"]), "{history:?}");
}
