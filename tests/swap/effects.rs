//! Candidates that take effect: at which border, who goes back, and what the store knows of it.

use atlas_host::coordinator::{Filling, Input, Job, SlotSpec};
use atlas_host::error::Code;
use atlas_host::model::{Digest, Item, Outcome, RunStatus};
use atlas_host::plugin::Call;
use atlas_host::source::ListSource;
use atlas_host::store::Reader;

use super::{Live, SIZE, kept, noted, nothing_is_mixed, stamp, told};
use crate::harness::{Folder, guest};
use crate::library::{host, rows, sound};

const ALL_WELL: [&str; 6] = ["requested", "compiled", "probed", "tried", "took-effect", "settled"];

#[test]
fn a_plugin_that_passes_works_from_the_next_batch_on_and_no_batch_is_mixed() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(2);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    // Several chunks of a batch at the same time, and several batches under way.
    job.strategy = "concurrent".to_owned();
    job.bounds.lanes = atlas_host::strategy::Interval::new(2, 2).expect("in order");
    let report = live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2"));
        let (_, tried) = live.until(&["tried"]);
        let figures = tried.figures.expect("figures");
        assert_eq!((figures.items, figures.fates_differing, figures.bodies_differing), (50, 0, 50));
        assert!(figures.item_ns_new > 0 && figures.item_ns_old > 0);
        let (_, took) = live.feed_until(&["took-effect"]);
        assert!(took.batch.is_some_and(|batch| batch >= 5), "{took:?}");
        assert_eq!(took.new_digest, Digest::of(&stamp("v2")).to_string());
        let (_, settled) = live.feed_until(&["settled"]);
        assert_eq!(settled.figures.expect("figures").batches, 8);
    });
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(report.plugins[0].digest, Digest::of(&stamp("v2")).to_string(), "the plugin in force at the end");
    assert_eq!(nothing_is_mixed(&store, &live.recording, live.sent, &["v1", "v2"]), ["v1", "v2"]);
    assert_eq!(told(&live.recording), ALL_WELL);
    assert_eq!(kept(&store), ALL_WELL.map(|step| (step.to_owned(), true)));
    let reader = Reader::open(&store).expect("a store");
    assert_eq!(reader.plugin_bytes(&Digest::of(&stamp("v2"))).expect("a store"), Some(stamp("v2")));
    assert_eq!(host.sandboxes(), 0, "none outlives the run");
}

#[test]
fn a_plugin_that_fails_on_later_items_is_put_back_and_no_item_is_lost_to_it() {
    // Batches of 10: those of the trial are 0 to 4.
    let late = ["v1", "v2", "v1"].as_slice();
    for (demand, reason, batch, versions) in [
        ("trap@100", "fails on 10 of 60 items", 10, late),
        ("bad-json@97", "fails on 3 of 50 items", 9, late),
        ("reject@50", "rejects 10 of 10 items", 5, &["v1"]),
        ("drop@50", "drops 10 of 10 items", 5, &["v1"]),
    ] {
        let folder = Folder::new();
        let store = folder.at("out.db");
        let host = host(2);
        let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
        let bad = format!("v2 {demand}");
        let report = live.through(&host, job, |live| {
            live.batches(5);
            live.swap(stamp(&bad));
            live.until(&["tried"]);
            let (_, back) = live.feed_until(&["put-back"]);
            assert!(back.reason.contains(reason), "{demand}: {}", back.reason);
            assert_eq!(back.code.as_deref(), Some("GUEST_10015"));
            assert_eq!(back.batch, Some(batch), "{demand}");
            live.batches(3);
        });
        assert_eq!(report.plugins[0].digest, Digest::of(&stamp("v1")).to_string());
        let found = nothing_is_mixed(&store, &live.recording, live.sent, &["v1", &bad]);
        assert_eq!(found, versions, "{demand}");
        let steps = ["requested", "compiled", "probed", "tried", "took-effect", "put-back"];
        assert_eq!(told(&live.recording), steps, "{demand}");
        assert_eq!(kept(&store).last(), Some(&("put-back".to_owned(), false)), "{demand}");
    }
}

#[test]
fn a_plugin_that_becomes_slow_is_put_back() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    let slow = "v2 slow(2)@60";
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp(slow));
        let (_, back) = live.feed_until(&["put-back", "settled", "refused"]);
        assert!(back.reason.contains("per item, the old one took"), "{back:?}");
    });
    nothing_is_mixed(&folder.at("out.db"), &live.recording, live.sent, &["v1", slow]);
}

#[test]
fn batches_under_way_are_computed_again_when_a_plugin_is_put_back() {
    let folder = Folder::new();
    let host = host(2);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.strategy = "concurrent".to_owned();
    job.bounds.lanes = atlas_host::strategy::Interval::new(2, 2).expect("in order");
    let bad = "v2 trap@100";
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp(bad));
        live.until(&["tried"]);
        // Many at once, so that some are computed while the first bad one is judged.
        live.feed(40 * SIZE);
        let (_, back) = live.until(&["put-back"]);
        assert!(back.reason.contains("computed again"), "{}", back.reason);
        live.batches(1);
    });
    let versions = nothing_is_mixed(&folder.at("out.db"), &live.recording, live.sent, &["v1", bad]);
    assert_eq!(versions, ["v1", "v2", "v1"]);
}

#[test]
fn the_newest_candidate_wins_and_the_same_plugin_changes_nothing() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
    live.through(&host, job, |live| {
        live.batches(3);
        live.swap(stamp("v1"));
        let (_, skipped) = live.until(&["skipped"]);
        assert_eq!(skipped.reason, "the same plugin is in force already");
        for version in ["v2", "v3", "v4"] {
            live.swap(stamp(version));
        }
        for _ in 0..2 {
            let (_, skipped) = live.until(&["skipped"]);
            assert_eq!(skipped.reason, "a newer candidate came");
        }
        let (_, took) = live.feed_until(&["took-effect"]);
        assert_eq!(took.new_digest, Digest::of(&stamp("v4")).to_string());
        // One that comes during the probation takes its place at once; what it would fall back on is what proved itself.
        live.swap(stamp("v5 trap@200"));
        live.until(&["tried"]);
        let (_, replaced) = live.until(&["skipped"]);
        assert_eq!(replaced.reason, "candidate.wasm took its place before its probation was over");
        live.feed_until(&["took-effect"]);
        while live.sent < 200 {
            live.batches(1);
        }
    });
    nothing_is_mixed(&store, &live.recording, live.sent, &["v1", "v2", "v3", "v4", "v5 trap@200"]);
}

#[test]
fn a_newer_plugin_takes_effect_with_the_batch_that_is_computed_again_with_it() {
    let folder = Folder::new();
    let host = host(1);
    // Compiled before, so that it is ready while the batch of the one before is still under way.
    host.load_plugin_bytes(stamp("v3").into(), "v3.wasm").expect("a component");
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.deadline = std::time::Duration::from_secs(2);
    let bad = "v2 spin@57";
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp(bad));
        live.until(&["tried"]);
        // Three of its items run into the deadline one after another.
        live.feed(SIZE);
        live.until(&["took-effect"]);
        live.swap(stamp("v3"));
        live.until(&["skipped"]);
        // No batch is cut with it any more: it works on this one, where the one before fails.
        live.close();
        let (step, took) = live.until(&["took-effect", "skipped"]);
        assert_eq!((step, took.batch), ("took-effect", Some(5)), "{took:?}");
        assert_eq!(took.new_digest, Digest::of(&stamp("v3")).to_string());
    });
    let versions = nothing_is_mixed(&folder.at("out.db"), &live.recording, live.sent, &["v1", bad, "v3"]);
    assert_eq!(versions, ["v1", "v3"]);
}

#[test]
fn batches_of_one_item_do_not_end_a_probation_before_it_could_show_anything() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.bounds.batch_size = atlas_host::strategy::Interval::new(1, 1).expect("in order");
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2 reject@50"));
        live.until(&["tried"]);
        let (step, back) = live.feed_until(&["put-back", "settled"]);
        assert_eq!(step, "put-back", "{back:?}");
        assert!(back.reason.contains("rejects 10 of 10 items"), "{}", back.reason);
        live.swap(stamp("v3"));
        let (_, settled) = live.feed_until(&["settled"]);
        assert_eq!(settled.figures.expect("figures").batches, 32);
    });
}

#[test]
fn batches_in_which_nothing_is_asked_of_a_plugin_prove_nothing() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.swap.shadow_batches = 2;
    live.through(&host, job, |live| {
        live.batches(5);
        live.swap(stamp("v2"));
        live.until(&["tried"]);
        live.broken(3);
        let (_, refused) = live.feed_until(&["refused", "shadowed"]);
        assert!(refused.reason.contains("otherwise for 20 of 20 items"), "{}", refused.reason);
        live.swap(noted(stamp("v1"), "twin"));
        live.feed_until(&["took-effect"]);
        live.broken(8);
        let (_, settled) = live.feed_until(&["settled"]);
        let figures = settled.figures.expect("figures");
        assert_eq!((figures.batches, figures.items), (8, 80));
    });
}

#[test]
fn a_shadow_sees_live_batches_and_stores_nothing() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job.swap.shadow_batches = 3;
    let twin = noted(stamp("v1"), "the same but for this");
    live.through(&host, job, |live| {
        live.batches(3);
        // Another body for every item: fine in a trial, too much beside live batches.
        live.swap(stamp("v2"));
        live.until(&["tried"]);
        let (_, refused) = live.feed_until(&["refused"]);
        assert!(refused.reason.contains("beside live batches it answers otherwise for 30 of 30"), "{}", refused.reason);
        live.swap(stamp("v3 trap@90"));
        live.until(&["tried"]);
        while live.sent < 85 {
            live.batches(1);
        }
        let (_, refused) = live.feed_until(&["refused", "shadowed"]);
        assert!(refused.reason.contains("fails on") || refused.reason.contains("otherwise"), "{}", refused.reason);
        live.swap(twin.clone());
        live.until(&["tried"]);
        let (_, shadowed) = live.feed_until(&["shadowed"]);
        let figures = shadowed.figures.expect("figures");
        assert_eq!((figures.batches, figures.items, figures.bodies_differing), (3, 30, 0));
        live.batches(1);
        assert!(kept(&store).contains(&("shadowed".to_owned(), true)), "whatever comes next");
        let (_, took) = live.feed_until(&["took-effect"]);
        assert_eq!(took.new_digest, Digest::of(&twin).to_string());
    });
    sound(&store);
    let stored = rows(&store, "items");
    assert_eq!(stored.len() as u64, live.sent);
    assert!(stored.iter().all(|(_, body)| body.ends_with(r#""by":"v1"}"#)), "what was compared is not stored");
}

#[test]
fn a_run_whose_plugin_was_exchanged_continues_with_the_new_one_and_refuses_the_old_one() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(1);
    let source = |items: Box<dyn Iterator<Item = String> + Send>| Input::Source {
        source: Box::new(ListSource::new("items", items.map(|body| (None, body)))),
        resumable: Some("numbered".to_owned()),
    };
    let (mut live, mut first) = Live::job(&host, &folder, stamp("v1"));
    let (items, fed) = std::sync::mpsc::channel();
    first.input = source(Box::new(fed.into_iter()));
    live.feeds(items);
    std::thread::scope(|scope| {
        let _guard = live.stop_on_panic();
        let run = scope.spawn(|| host.run(first));
        live.batches(3);
        live.swap(stamp("v2"));
        live.feed_until(&["took-effect"]);
        live.batches(2);
        live.control.stop();
        let report = run.join().expect("no panic").expect("a run");
        assert_eq!(report.status, RunStatus::Interrupted);
    });
    let count = live.sent + 100;
    let job = |orders: &str| {
        let all = (0..count).map(|n| format!(r#"{{"id":"{n:08}","n":{n}}}"#));
        let mut job = Job::new(source(Box::new(all)), Some(store.clone()));
        job.id = atlas_host::model::Pointer::parse("id");
        let plugin = host.load_plugin_bytes(stamp(orders).into(), "work.wasm").expect("a component");
        job.operations.push(SlotSpec::new("work", Filling::Component(plugin.into())));
        job
    };
    let error = host.run(job("v1")).expect_err("the old plugin").error;
    assert_eq!(error.code(), Code::ConfigInvalid);
    assert!(
        error.to_string().contains("operation work was") && error.hint_text().contains("--accept-change"),
        "{error}"
    );
    let report = host.run(job("v2")).expect("the new plugin");
    assert_eq!((report.status, report.counts.stored), (RunStatus::Succeeded, count));
    sound(&store);
    let by: Vec<bool> = rows(&store, "items").iter().map(|(_, body)| body.ends_with(r#""by":"v2"}"#)).collect();
    assert!(by.is_sorted() && !by[0] && by[by.len() - 1], "v1 up to a border, v2 from there on");
    let report = host.run(job("v2")).expect("again");
    assert!(report.already_complete);
}

#[test]
fn a_plugin_is_exchanged_where_batches_are_computed_one_at_a_time() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(2);
    let enrich = std::fs::read(guest("task-enrich")).expect("a guest");
    let newer = noted(enrich.clone(), "newer");
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    let plugin = host.load_plugin_bytes(enrich.into(), "enrich.wasm").expect("a component");
    // The stamp first: what it puts in is no task, which the second one drops or refuses alike in both versions.
    job.operations.push(SlotSpec::new("enrich", Filling::Component(plugin.into())));
    let report = live.through(&host, job, |live| {
        live.batches(2);
        live.swap_in("enrich", newer.clone());
        live.until(&["tried"]);
        live.swap(stamp("v2"));
        live.until(&["tried"]);
        live.batches(20);
    });
    assert_eq!(report.counts.read, live.sent);
    assert_eq!(report.plugins[1].digest, Digest::of(&newer).to_string());
    assert_eq!(report.plugins[0].digest, Digest::of(&stamp("v2")).to_string());
    sound(&store);
    let settled = told(&live.recording).iter().filter(|step| *step == "settled").count();
    assert_eq!(settled, 2, "both slots, each by itself");
}

#[test]
fn a_validator_is_exchanged_as_an_operation_is() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let host = host(2);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    for name in ["rules", "more"] {
        let plugin = host.load_plugin_bytes(stamp("v1").into(), "rules.wasm").expect("a component");
        job.validators.push(SlotSpec::new(name, Filling::Component(plugin.into())));
    }
    let report = live.through(&host, job, |live| {
        live.batches(3);
        live.swap_in("rules", stamp("v2 refuse@0"));
        let (_, refused) = live.until(&["refused"]);
        assert!(refused.reason.contains("otherwise for 30 of 30 items"), "{}", refused.reason);
        live.swap_in("rules", stamp("v3 refuse@30"));
        live.until(&["tried"]);
        let (_, back) = live.feed_until(&["put-back"]);
        assert!(back.reason.contains("rejects 10 of 10"), "{}", back.reason);
        live.batches(1);
    });
    assert_eq!((report.counts.stored, report.counts.rejected), (live.sent, 0));
    nothing_is_mixed(&store, &live.recording, live.sent, &["v1"]);
}

#[test]
fn closures_cannot_be_exchanged_and_slots_must_be_there() {
    let folder = Folder::new();
    let host = host(1);
    let (mut live, mut job) = Live::job(&host, &folder, stamp("v1"));
    job = job.operation(|_: &Call, _: Item<'_>| Outcome::Keep);
    job.operations[0].pinned = Some(Digest::of(&stamp("v1")));
    live.through(&host, job, |live| {
        live.batches(1);
        for (slot, reason) in [
            ("operation2", "slot operation2 is filled with native code"),
            ("lost", "this run has no slot lost; its slots are work, operation2"),
            ("work", "slot work is pinned to blake3:"),
        ] {
            live.swap_in(slot, stamp("v2"));
            let (_, refused) = live.until(&["refused"]);
            assert!(refused.reason.contains(reason), "{}", refused.reason);
            assert_eq!(refused.code.as_deref(), Some("CONFIG_3001"));
        }
    });
}
