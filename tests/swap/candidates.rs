//! Candidates that fail before any batch sees them.

use atlas_host::coordinator::{Filling, Job, SlotSpec};
use rustix::process::Signal;

use super::{Live, kept, noted, nothing_is_mixed, stamp};
use crate::cli::sharing::Running;
use crate::cli::words;
use crate::harness::{Folder, guest};
use crate::library::host;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).expect("a guest")
}

#[test]
fn a_candidate_that_is_no_good_is_refused_by_name_and_the_run_goes_on() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(2);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    let half = stamp("v2")[..20_000].to_vec();
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (bytes("ticket-rules"), "GUEST_10011", "operation"),
        (half, "GUEST_1001", "candidate.wasm"),
        (b"no component".to_vec(), "GUEST_10011", "candidate.wasm"),
        (Vec::new(), "GUEST_10011", "candidate.wasm"),
        (bytes("task-enrich"), "GUEST_10012", "imports the interface store"),
        (stamp("v2 trap"), "GUEST_10014", "fails on item"),
        (stamp("v2 trap@7"), "GUEST_10014", "fails on item \"00000007\""),
        (stamp("v2 alloc@9"), "GUEST_10014", "fails on item \"00000009\""),
        (stamp("v2 bad-json@3"), "GUEST_10014", "GUEST_10008"),
        (stamp("v2 slow(4)"), "GUEST_10014", "per item, the old one"),
        (stamp("v2 drop@30"), "GUEST_10014", "otherwise for 20 of 50 items; up to 25 of 100"),
        (stamp("v2 reject@20"), "GUEST_10014", "otherwise for 30 of 50 items"),
    ];
    let count = cases.len();
    live.through(&host, job, |live| {
        live.batches(5);
        for (candidate, code, reason) in cases {
            live.swap(candidate);
            let (_, refused) = live.until(&["refused", "tried", "took-effect"]);
            let found = refused.code.clone().unwrap_or_default();
            assert!(found.starts_with(code) && refused.reason.contains(reason), "wanted {code} {reason}: {refused:?}");
        }
        // 12 of 50 are within the bound, and then nobody holds it back.
        live.swap(stamp("v2 drop@38"));
        let (step, tried) = live.until(&["refused", "tried"]);
        assert_eq!((step, tried.figures.expect("figures").fates_differing), ("tried", 12));
        // Before a batch is cut with it, another one comes.
        live.swap(noted(stamp("v1"), "harmless"));
        live.until(&["tried"]);
    });
    assert_eq!(nothing_is_mixed(&store, &live.recording, live.sent, &["v1"]), ["v1"]);
    let steps = kept(&store);
    assert_eq!(steps.iter().filter(|(step, ok)| step == "refused" && !ok).count(), count);
    assert!(steps.iter().all(|(step, _)| step != "took-effect"), "no batch was cut: {steps:?}");
}

#[test]
fn a_candidate_that_stalls_costs_the_run_no_batch() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.deadline = std::time::Duration::from_millis(300);
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2 spin"));
        // The run goes on while the candidate runs into its deadline.
        live.batches(20);
        let (_, refused) = live.until(&["refused"]);
        assert!(refused.reason.contains("deadline"), "{}", refused.reason);
        live.batches(2);
    });
    nothing_is_mixed(&store, &live.recording, live.sent, &["v1"]);
}

#[test]
fn a_candidate_that_does_not_return_does_not_hold_up_the_end_of_the_run() {
    let folder = Folder::new();
    folder.write("v1.wasm", stamp("v1"));
    folder.write("v2.wasm", stamp("v2 spin"));
    let items: String = (0..20).map(|n| format!("{{\"id\":\"{n:08}\",\"n\":{n}}}\n")).collect();
    let mut running = Running::fed(&folder, &items, "--plugin work=v1.wasm --deadline 120s");
    running.committed(20);
    let (events, ran, asked) = std::thread::scope(|scope| {
        let asked = scope.spawn(|| words(&folder, "plugins swap work v2.wasm --wait 5m"));
        running.until(240, |event| event["event"] == "swap-probed");
        // So that it is at its first items.
        running.sampled(2);
        running.signal(Signal::INT);
        let (events, ran) = running.end();
        (events, ran, asked.join().expect("no panic"))
    });
    ran.exits(130);
    let ended = events.iter().find(|event| event["event"] == "run-ended").expect("the run has ended");
    assert!(ended["duration_ms"].as_u64().is_some_and(|ms| ms < 120_000), "it has waited for the deadline: {ended}");
    let asked = asked.exits(4);
    assert!(
        asked.stdout.contains("the plugin is not in effect: the run ended before it took effect"),
        "{}",
        asked.stdout
    );
}

#[test]
fn where_the_old_plugin_runs_into_its_deadline_the_items_are_compared_one_by_one() {
    let folder = Folder::new();
    let host = host(1);
    // The last call of the trial but one has three of these among its items.
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1 spin@45"));
    job.deadline = std::time::Duration::from_secs(1);
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2 reject@40"));
        let (_, tried) = live.until(&["tried", "refused"]);
        let figures = tried.figures.clone().expect("figures");
        assert_eq!((figures.items, figures.fates_differing, figures.faults_old), (45, 5, 5), "{tried:?}");
    });
}

#[test]
fn dead_letters_that_a_candidate_lets_pass_are_counted() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1 reject@40"));
    job.swap.difference_percent = 100;
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2 reject@45"));
        let (_, tried) = live.until(&["tried"]);
        let figures = tried.figures.clone().expect("figures");
        assert_eq!((figures.letters, figures.letters_passing), (10, 5), "{tried:?}");
        assert_eq!((figures.rejects_old, figures.rejects_new, figures.fates_differing), (10, 5, 5));
        assert!(tried.reason.contains("5 of 10 open dead letters pass now"), "{}", tried.reason);
    });
}

/// The plugin's own work is a microsecond or two per item; the machine may be busy with whatever else there is.
#[test]
fn a_fast_plugin_made_much_slower_is_refused_and_one_of_equal_speed_never() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    let slow = "v2 again(200)";
    live.through(&host, job, |live| {
        live.batches(26);
        for round in 0..20 {
            // Two that differ in nothing but their digests, so that each is the other's candidate.
            let equal = match round % 2 {
                0 => noted(stamp("v1"), "twin"),
                _ => stamp("v1"),
            };
            live.swap(equal);
            let (step, told) = live.until(&["refused", "tried"]);
            assert_eq!(step, "tried", "round {round}: {}", told.reason);
            live.swap(stamp(slow));
            let (step, told) = live.until(&["refused", "tried"]);
            assert_eq!(step, "refused", "round {round}: {}", told.reason);
            assert!(told.reason.contains("up to 5 times as long"), "{}", told.reason);
            let figures = told.figures.clone().expect("figures");
            println!("round {round}: {} ns per item, then {} ns", figures.item_ns_old, figures.item_ns_new);
        }
    });
    nothing_is_mixed(&folder.at("out.db"), &live.recording, live.sent, &["v1", slow]);
}

#[test]
fn what_may_be_slower_is_a_setting() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.swap.slowdown_max = 1_000_000;
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2 again(200)"));
        live.until(&["tried"]);
        live.feed_until(&["settled"]);
    });
    nothing_is_mixed(&folder.at("out.db"), &live.recording, live.sent, &["v1", "v2 again(200)"]);
}

#[test]
fn what_is_answered_differently_is_shown_by_item_and_place() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v1 drop@45"));
        let (_, tried) = live.until(&["tried"]);
        let shown = tried.figures.expect("figures").differing;
        let shown: Vec<_> = shown.iter().map(|one| (one.id.as_str(), one.old.as_str(), one.new.as_str())).collect();
        let dropped = |id| (id, "passed", "dropped");
        assert_eq!(shown, [dropped("00000045"), dropped("00000046"), dropped("00000047")]);
        assert!(tried.reason.contains("item \"00000045\" was passed, is dropped"), "{}", tried.reason);
        live.swap(stamp("v2 reject@20"));
        let (_, refused) = live.until(&["refused"]);
        assert!(refused.reason.contains("for 30 of 50 items"), "{}", refused.reason);
        assert!(refused.reason.contains("; item \"00000020\" was passed, is rejected"), "{}", refused.reason);
        live.swap(stamp("v3"));
        let (_, tried) = live.until(&["tried"]);
        let shown = tried.figures.expect("figures").differing;
        assert_eq!(
            (shown[0].id.as_str(), shown[0].old.as_str(), shown[0].at.as_deref()),
            ("00000045", "dropped", None)
        );
        live.swap(stamp("v4"));
        let (_, tried) = live.until(&["tried"]);
        let shown = tried.figures.expect("figures").differing;
        assert_eq!(
            (shown[0].id.as_str(), shown[0].old.as_str(), shown[0].at.as_deref()),
            ("00000000", "passed", Some("/by"))
        );
    });
    let ran = crate::cli::words(&folder, "plugins history --store out.db --output json").exits(0);
    let shown: Vec<serde_json::Value> = ran.json_lines();
    let of = |step: &str| shown.iter().find(|row| row["step"] == step).expect("a step")["figures"]["differing"].clone();
    assert_eq!(of("tried")[0]["id"], "00000045");
    assert_eq!(of("refused")[0]["new"], "rejected");
    assert!(store.exists());
}

/// A run of a few items that leaves dead letters of the slot `work`.
fn letters_of_before(
    host: &atlas_host::coordinator::Host,
    folder: &Folder,
    collection: &str,
    from: u64,
    count: u64,
    bytes: usize,
) {
    let long = "x".repeat(bytes);
    let items = (from..from + count).map(move |n| format!(r#"{{"id":"{n:08}","n":{n},"long":"{long}"}}"#));
    let job = Job::of_items(items, folder.at("out.db"), collection).and_then(|job| job.id("id"));
    let mut job = job.expect("a job");
    let plugin = host.load_plugin_bytes(stamp("v0 reject").into(), "before.wasm").expect("a component");
    job.operations.push(SlotSpec::new("work", Filling::Component(plugin.into())));
    assert_eq!(host.run(job).expect("a run").counts.rejected, count);
}

#[test]
fn dead_letters_of_earlier_runs_count_if_they_are_of_the_collection_and_the_newest_do() {
    let folder = Folder::new();
    let host = host(1);
    // Older ones of ours, ones too long for a trial, and then as many of another collection as a trial takes at all.
    letters_of_before(&host, &folder, "items", 1000, 60, 0);
    letters_of_before(&host, &folder, "items", 2000, 3, 1 << 20);
    letters_of_before(&host, &folder, "others", 3000, 60, 0);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v1 reject@1050"));
        let (_, tried) = live.until(&["tried", "refused"]);
        let figures = tried.figures.clone().expect("figures");
        // The newest 50 of the 60 are those from 1010 on.
        assert_eq!((figures.letters, figures.letters_passing), (50, 40), "{}", tried.reason);
        // What was rejected in good order is nothing to fail on.
        live.swap(stamp("v1 trap@1055"));
        let (step, refused) = live.until(&["tried", "refused"]);
        assert_eq!((step, refused.code.as_deref()), ("refused", Some("GUEST_10014")));
        assert!(refused.reason.contains("it fails on the dead letter of item \"00001055\""), "{}", refused.reason);
    });
}

#[test]
fn a_run_that_ends_gives_up_what_is_being_prepared() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(1);
        live.swap(stamp("v2"));
        live.until(&["requested"]);
    });
    let last = kept(&store).pop().expect("steps");
    assert_eq!(last, ("skipped".to_owned(), true));
    assert_eq!(host.sandboxes(), 0);
}
