//! `--strategy` and `--lanes`: what the flags ask for is what is used.

use super::plain_run;
use crate::harness::{Folder, guest_arg};

#[test]
fn the_lanes_that_are_asked_for_are_used_and_never_more() {
    let folder = Folder::new();
    // Each item keeps its lane for a while, so that lanes are seen side by side on a machine of one core, too.
    let items: String = (0..400).map(|n| format!("{{\"id\":\"{n}\",\"fault\":\"slow(1)\"}}\n")).collect();
    folder.write("in.ndjson", items);
    let faulty = guest_arg("faulty");
    for (strategy, lanes, possible) in [("concurrent", 4, 2..=4), ("sequential", 4, 1..=1)] {
        let further = format!(
            "--plugin {faulty} --strategy {strategy} --lanes {lanes} --batch-size 20 --events - --store {strategy}.db"
        );
        let events = plain_run(&folder, &further).run().exits(0).json_lines();
        let most = events.iter().filter(|event| event["event"] == "lanes-in-use").filter_map(|e| e["lanes"].as_u64());
        let most = most.max().expect("lanes in use are told");
        assert!(possible.contains(&most), "{strategy}: {most} of {lanes} lanes");
    }
}
