//! Many swaps under load: nothing lost, nothing doubled, nothing mixed, and nothing that grows.
//!
//! `ATLAS_SWAPS` says how many; 1000 by hand.

use serde_json::Value;

use super::{Live, nothing_is_mixed, stamp};
use crate::harness::{Folder, binary, guest_arg, guest_of};
use crate::library::{host, random};
use crate::tidy::examples::example;

#[test]
fn hundreds_of_swaps_under_load_lose_nothing_and_mix_nothing() {
    let swaps = random::number("ATLAS_SWAPS", 60);
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(2);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v0"));
    job.strategy = "concurrent".to_owned();
    job.bounds.lanes = atlas_host::strategy::Interval::new(2, 2).expect("in order");
    job.durability = atlas_host::store::Durability::Normal;
    // Some good ones, one that traps on everything, one that fails on what comes after the first swaps.
    let good: Vec<String> = (0..7).map(|n| format!("v{n}")).collect();
    let bad = ["v8 trap", "v9 slow(3)", "v10 reject"];
    let mut sandboxes = 0;
    live.through(&host, job, |live| {
        live.batches(5);
        for swap in 0..swaps {
            if swap % 10 == 9 {
                live.swap(stamp(bad[(swap / 10 % 3) as usize]));
                live.feed_until(&["refused"]);
            } else {
                live.swap(stamp(&good[((swap + 1) % 7) as usize]));
                let (name, _) = live.feed_until(&["took-effect", "refused", "put-back"]);
                assert_eq!(name, "took-effect", "swap {swap}");
                if swap % 3 == 0 {
                    // Else the next one comes while this one is on probation.
                    live.feed_until(&["settled"]);
                }
            }
            sandboxes = sandboxes.max(host.sandboxes());
        }
        live.batches(8);
    });
    let mut versions: Vec<&str> = good.iter().map(String::as_str).collect();
    versions.extend(bad);
    let order = nothing_is_mixed(&store, &live.recording, live.sent, &versions);
    println!("{swaps} swaps, {} items, {} versions in effect, {sandboxes} sandboxes", live.sent, order.len());
    assert!(order.len() as u64 >= swaps * 8 / 10, "{order:?}");
    // Lanes, one warm one each of the version in force and of those it may go back to, and the trial's.
    assert!(sandboxes <= 16, "{sandboxes} sandboxes");
    assert_eq!(host.sandboxes(), 0);
}

/// What the example `swaps` found in a process of its own, with nothing else in it.
fn soak(swaps: u64, components: &[String]) -> Value {
    let folder = Folder::new();
    let mut command = std::process::Command::new(example("swaps"));
    command.args(["soak", "--json", "soak.json", "--host", binary(), "--swaps", &swaps.to_string()]);
    for component in components {
        command.args(["--component", component]);
    }
    let output = command.current_dir(folder.path()).output().expect("the example starts");
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&std::fs::read(folder.at("soak.json")).expect("figures")).expect("JSON")
}

/// Every language takes the place of every other one, with half a component now and then.
#[test]
fn languages_take_turns_under_load_and_nothing_is_lost_and_nothing_grows() {
    let swaps = random::number("ATLAS_SWAPS", 40);
    let left_out = crate::languages::left_out();
    let others = ["c", "go", "javascript", "javascript-spidermonkey", "python"];
    let mut components = vec![guest_arg("ticket-tidy")];
    let kept = others.iter().filter(|language| !left_out.iter().any(|name| name == *language));
    components.extend(kept.map(|language| guest_of(language, "ticket-tidy").display().to_string()));
    let found = soak(swaps, &components);
    let number = |name: &str| found[name].as_u64().expect("a number");
    assert_eq!((number("lost"), number("doubled"), number("mixed")), (0, 0, 0), "{found}");
    assert_eq!((number("refused"), number("took_effect")), (swaps / 10, swaps - swaps / 10), "{found}");
    assert_eq!(number("sandboxes_left"), 0, "{found}");
    // The first quarter warms up: allocators keep what they have had once.
    let quarters = found["quarters"].as_array().expect("quarters");
    let (warm, last) = (&quarters[1], &quarters[quarters.len() - 1]);
    for (what, slack) in [("threads", 2), ("descriptors", 4), ("resident_kb", 48 << 10)] {
        let (warm, last) = (warm[what].as_u64().expect("a number"), last[what].as_u64().expect("a number"));
        assert!(last <= warm + slack, "{what}: {warm}, then {last}: {found}");
    }
}

#[test]
fn times_of_swaps_are_told_for_both_ways() {
    let folder = Folder::new();
    let output = std::process::Command::new(example("swaps"))
        .args(["times", "--json", "times.json", "--host", binary(), "--swaps", "3"])
        .args(["--component", &guest_arg("ticket-tidy")])
        .current_dir(folder.path())
        .output()
        .expect("the example starts");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    print!("{table}");
    assert!(table.contains("| `--watch` |") && table.contains("| `plugins swap` |"), "{table}");
    let found: Value = serde_json::from_slice(&std::fs::read(folder.at("times.json")).expect("figures")).expect("JSON");
    for way in found["ways"].as_array().expect("two ways") {
        assert_eq!(way["to_effect"]["samples"], 3);
        assert!(way["batches_during"]["samples"].as_u64().is_some_and(|count| count >= 3 * 8), "{way}");
    }
}
