//! What a run measures of itself, as `runs show`, `recommend` and the metrics tell it.

use super::{MIXED, mixed_arguments, numbered, plain_run, words};
use crate::harness::{Folder, guest_arg};

/// A plugin is busy with them for some seconds.
const ITEMS: usize = 6000;

#[test]
fn a_run_tells_who_was_idle_what_plugins_took_and_which_indexes_were_built() {
    let folder = Folder::new();
    // Memory is known from the first look of the sensors on, so that the run has to last a moment.
    let busy = |n: usize| format!("{{\"id\":\"{n}\",\"n\":{n},\"fault\":\"slow(1)\"}}\n");
    folder.write("in.ndjson", (0..ITEMS).map(busy).collect::<String>());
    let plugin = guest_arg("faulty");
    plain_run(&folder, &format!("--plugin {plugin} --index n --metrics-file run.prom --lanes 2")).run().exits(0);
    let shown = words(&folder, "runs show").exits(0).stdout;
    for said in [
        "in plugins",
        "back-pressure",
        "of the process at the most",
        "1 built at the end of the load",
        "CPU",
        "of memory",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    let made_ready = ["compiled in ", "taken from the cache in "].iter().any(|said| shown.contains(said));
    assert!(made_ready, "{shown}");

    let performance = &words(&folder, "runs show --output json").exits(0).json()["performance"];
    let number = |at: &str| {
        performance.pointer(at).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{at}: {performance}"))
    };
    assert_eq!(number("/indexes_built"), 1);
    assert!(number("/process_bytes_peak") > 1 << 20, "{performance}");
    assert!(number("/idle/lanes_busy_us") > 0 && number("/idle/writer_us") > 0, "{performance}");
    let (time, cpu) = (number("/plugins/0/time_us"), number("/plugins/0/cpu_us"));
    assert!(0 < cpu && cpu <= time, "{cpu} of {time}");
    assert!(number("/plugins/0/memory_peak_bytes") >= 64 << 10, "{performance}");

    let metrics = folder.read("run.prom");
    let value = |name: &str, label: &str| -> f64 {
        let of =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') && rest.contains(label));
        let line = metrics.lines().find(of).unwrap_or_else(|| panic!("no {name} with {label} in {metrics}"));
        line.rsplit(' ').next().unwrap_or_default().parse().expect("a number")
    };
    assert_eq!(value("atlas_index_builds_total", ""), 1.0);
    assert!(value("atlas_index_build_seconds_total", "") > 0.0);
    assert!(value("atlas_process_memory_peak_bytes", "") > 1e6);
    assert!(value("atlas_idle_seconds_total", "part=\"lanes\"") > 0.0);

    // A second run: percentiles over both.
    plain_run(&folder, &format!("--plugin {plugin} --again")).run().exits(0);
    let found = words(&folder, "recommend --output json").exits(0).json();
    assert_eq!((&found["item_times"]["runs"], &found["item_times"]["items"]), (&2.into(), &(2 * ITEMS).into()));
    assert!(words(&folder, "recommend").exits(0).stdout.contains("12,000 items in 2 runs"));
    let report = words(&folder, "runs report --output json").exits(0).json();
    assert_eq!(report["history"]["item_times"]["items"], 2 * ITEMS);
}

#[test]
fn faults_are_told_by_their_kind() {
    let folder = Folder::new();
    folder.write("mixed.ndjson", format!("{MIXED}{{\"id\":\"t\",\"fault\":\"trap\"}}\n"));
    folder.atlas(mixed_arguments()).run().exits(3);
    let performance = &words(&folder, "runs show --output json").exits(0).json()["performance"];
    let work = performance["plugins"].as_array().expect("a list").iter().find(|did| did["slot"] == "work");
    let work = work.expect("the operation");
    let codes = work["faults_by_code"].as_object().expect("an object");
    let sum: u64 = codes.values().filter_map(serde_json::Value::as_u64).sum();
    assert!(sum > 0 && work["faults"] == sum, "{work}");
    assert!(codes.keys().all(|code| code.starts_with("GUEST_")), "{work}");
    let shown = words(&folder, "runs show").exits(0).stdout;
    assert!(shown.contains("faults: ") && shown.contains("× GUEST_"), "{shown}");
}

#[test]
fn the_table_of_decisions_tells_batches_under_way_and_what_bounds_them() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(30_000));
    plain_run(&folder, &format!("--plugin {} --max-batch-time 50ms", guest_arg("identity"))).run().exits(0);
    let shown = words(&folder, "runs show --tuning").exits(0).stdout;
    assert!(shown.contains("UNDER WAY"), "{shown}");
    let decisions = words(&folder, "runs show --tuning --output json").exits(0).json();
    let decisions = decisions["tuning"].as_array().expect("a list").clone();
    for pair in decisions.windows(2) {
        assert_eq!(pair[1]["old_batches_in_flight"], pair[0]["batches_in_flight"], "{pair:?}");
    }
    assert!(decisions.iter().all(|decision| decision["batch_time_max_us"] == 50_000), "{decisions:?}");
    let measured = decisions.iter().filter(|decision| decision["batch_p95_us"].is_u64()).count();
    assert!(measured > 0 && shown.contains("P95"), "{shown}");
    assert!(decisions.iter().all(|decision| decision["unhealthy"].is_boolean()));
}
