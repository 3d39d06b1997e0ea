//! State in a sandbox: kept within a run, never the reason of an item's loss, never seen by another plugin or run.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atlas_host::coordinator::{Host, HostOptions, Job, RunReport};
use atlas_host::model::{Item, Outcome};
use atlas_host::plugin::{Cache, Call};
use atlas_host::strategy::Interval;

use super::component::{Module, replace};
use super::{ITEMS, faults_cost_only_their_items, folder, items, run};
use crate::harness::{Folder, cache};

/// Every body becomes the number of calls that its sandbox has seen: one digit at address 4096.
fn counting() -> Vec<u8> {
    Module {
        fields: "(global $calls (mut i32) (i32.const 48))",
        each: &format!(
            "(if (i32.eqz (local.get $i)) (then (global.set $calls (i32.add (global.get $calls) (i32.const 1))))) \
             (i32.store8 (i32.const 4096) (global.get $calls)) {}",
            replace("(i32.const 4096)", "(i32.const 1)")
        ),
        ..Module::default()
    }
    .component()
}

#[test]
fn a_sandbox_is_warm_within_a_run_and_fresh_for_each_batch_if_asked() {
    let folder = folder(&counting(), &items(ITEMS, &[]));
    let one_lane = ["--plugin", "plugin.wasm", "--lanes", "1"];
    for store in ["warm.db", "warm-again.db"] {
        let warm = run(&folder, store, &one_lane);
        let calls: Vec<&str> = warm.stored.values().map(String::as_str).collect();
        let wanted: Vec<String> = (0..ITEMS).map(|at| (at / 10 + 1).to_string()).collect();
        assert_eq!(calls, wanted, "a run begins with a sandbox of its own");
    }
    let fresh = run(&folder, "fresh.db", &[&one_lane[..], &["--isolation", "batch"]].concat());
    assert!(fresh.stored.values().all(|calls| calls == "1"), "{:?}", fresh.stored);
}

#[test]
fn a_fault_that_goes_away_in_a_fresh_sandbox_costs_no_item() {
    let module = Module {
        fields: "(global $calls (mut i32) (i32.const 0))",
        end: "(global.set $calls (i32.add (global.get $calls) (i32.const 1))) \
              (if (i32.gt_u (global.get $calls) (i32.const 3)) (then unreachable))",
        ..Module::default()
    };
    for size in ["1", "10", "60"] {
        let flags = ["--plugin", "plugin.wasm", "--batch-size", size];
        let folder = folder(&module.component(), &items(ITEMS, &[]));
        faults_cost_only_their_items(&format!("batches of {size}"), &folder, &[], &flags);
    }
}

#[test]
fn a_fresh_sandbox_sees_nothing_of_an_earlier_one() {
    // Memory, a global and a table entry are looked at first and then written; a trap throws the sandbox away now and then.
    let module = Module {
        fields: "(table $t 100 funcref) (elem declare func $alloc) (global $seen (mut i32) (i32.const 0)) (global $mine (mut i32) (i32.const 0))",
        each: "(if (i32.eqz (global.get $mine)) (then
                 (global.set $mine (i32.const 1))
                 (if (i32.or (i32.load (i32.const 200000)) (i32.or (global.get $seen) (i32.eqz (ref.is_null (table.get $t (i32.const 50))))))
                   (then (i32.store8 (local.get $one) (i32.const 3))))
                 (i32.store (i32.const 200000) (i32.const 0x5ec2e7))
                 (global.set $seen (i32.const 1))
                 (table.set $t (i32.const 50) (ref.func $alloc))))
               (if (i64.eq (i64.rem_u (i64.load (local.get $item)) (i64.const 7)) (i64.const 3)) (then unreachable))",
        ..Module::default()
    };
    let faults: Vec<(usize, &str)> = (3..ITEMS).step_by(7).map(|at| (at, "GUEST_10001")).collect();
    for isolation in ["run", "batch"] {
        let folder = folder(&module.component(), &items(ITEMS, &[]));
        let flags = ["--plugin", "plugin.wasm", "--isolation", isolation];
        faults_cost_only_their_items(isolation, &folder, &faults, &flags);
    }
}

const RANDOM: &str = "package wasi:random@0.2.0; interface random { get-random-u64: func() -> u64; }";
const WALL: &str = "package wasi:clocks@0.2.0; interface wall-clock {
    record datetime { seconds: u64, nanoseconds: u32 }
    now: func() -> datetime;
}";

/// Every body becomes 16 letters, drawn from the clock, the seed of the item and, if wanted, the randomness of WASI.
fn drawing(random: bool) -> Vec<u8> {
    let drawn = if random { "(call $random)" } else { "(i64.const 0)" };
    let letters = "(local.set $a (i32.const 0))
        (loop $more
          (i32.store8 (i32.add (i32.const 4097) (local.get $a))
            (i32.add (i32.const 97) (i32.wrap_i64 (i64.and (i64.shr_u (global.get $n) (i64.mul (i64.extend_i32_u (local.get $a)) (i64.const 4))) (i64.const 15)))))
          (local.set $a (i32.add (local.get $a) (i32.const 1)))
          (br_if $more (i32.lt_u (local.get $a) (i32.const 16))))";
    Module {
        world: "import wasi:random/random@0.2.0; import wasi:clocks/wall-clock@0.2.0;",
        packages: &[RANDOM, WALL],
        imports: r#"(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
            (import "wasi:clocks/wall-clock@0.2.0" "now" (func $now (param i32)))
            (import "atlas:batch/context@0.1.0" "seed" (func $seed (param i64) (result i64)))
            (import "atlas:batch/context@0.1.0" "now-ms" (func $now_ms (result i64)))"#,
        fields: r#"(global $n (mut i64) (i64.const 0)) (data (i32.const 4096) "\22")"#,
        each: &format!(
            "(call $now (i32.const 1024))
             (if (i64.ne (i64.load (i32.const 1024)) (i64.div_u (call $now_ms) (i64.const 1000))) (then unreachable))
             (global.set $n (i64.xor {drawn} (call $seed (i64.load (local.get $item)))))
             {letters} (i32.store8 (i32.const 4113) (i32.const 34))
             (local.set $b (call $alloc (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 18)))
             (memory.copy (local.get $b) (i32.const 4096) (i32.const 18)) {}",
            replace("(local.get $b)", "(i32.const 18)")
        ),
        ..Module::default()
    }
    .component()
}

#[test]
fn the_same_seed_gives_the_same_answers_and_another_seed_others() {
    let folder = folder(&drawing(true), &items(ITEMS, &[]));
    let seeded = |store: &str, seed: &str, lanes: &str| {
        run(&folder, store, &["--plugin", "plugin.wasm", "--seed", seed, "--lanes", lanes]).stored
    };
    let wanted = seeded("a.db", "1", "1");
    assert_eq!(wanted.len(), ITEMS);
    let different: std::collections::BTreeSet<&String> = wanted.values().collect();
    assert_eq!(different.len(), ITEMS, "each item has randomness of its own");
    assert_eq!(seeded("b.db", "1", "4"), wanted);
    assert!(seeded("c.db", "2", "1").values().zip(wanted.values()).all(|(one, other)| one != other));
    let report = folder.atlas(["runs", "show", "--output", "json", "--store", "c.db"]).run().exits(0).json();
    assert_eq!(report["seed"], 2);
}

#[test]
fn the_seed_of_an_item_is_the_same_however_the_input_is_cut() {
    let folder = folder(&drawing(false), &items(300, &[]));
    let cut = |store: &str, size: &str, lanes: &str| {
        run(&folder, store, &["--plugin", "plugin.wasm", "--seed", "1", "--batch-size", size, "--lanes", lanes]).stored
    };
    let wanted = cut("one.db", "1", "1");
    assert_eq!(wanted.values().collect::<std::collections::BTreeSet<_>>().len(), 300);
    assert_eq!(cut("seven.db", "7", "4"), wanted);
    assert_eq!(cut("all.db", "1000", "2"), wanted);
}

/// Traps at every item for which the context is not that of a run with this clock, deadline and batch size.
fn particular() -> Vec<u8> {
    let wrong = |call: &str, wanted: &str| format!("(if (i64.ne (call {call}) {wanted}) (then unreachable))");
    Module {
        imports: r#"(import "atlas:batch/context@0.1.0" "now-ms" (func $now_ms (result i64)))
            (import "atlas:batch/context@0.1.0" "deadline-ms" (func $deadline_ms (result i64)))
            (import "atlas:batch/context@0.1.0" "batch" (func $batch (result i64)))
            (import "atlas:batch/context@0.1.0" "attempt" (func $attempt (result i32)))"#,
        each: &[
            wrong("$now_ms", "(i64.const 1234)"),
            wrong("$deadline_ms", "(i64.const 9000)"),
            wrong("$batch", "(i64.div_u (i64.load (local.get $item)) (i64.const 10))"),
            "(if (i32.ne (call $attempt) (i32.const 1)) (then unreachable))".to_owned(),
        ]
        .concat(),
        ..Module::default()
    }
    .component()
}

#[test]
fn a_component_is_told_the_clock_the_deadline_the_batch_and_the_attempt_of_its_run() {
    let host = Host::new(HostOptions { lanes: 1, cache: Cache::none(), ..HostOptions::default() }).expect("a host");
    let run = |clock_ms: i64| -> RunReport {
        let plugin = host.load_plugin_bytes(particular().into(), "particular").expect("a plugin");
        let folder = crate::harness::Folder::new();
        let bodies = (0..ITEMS).map(|_| "{}".to_owned());
        let mut job = Job::of_items(bodies, folder.at("out.db"), "items").expect("a job");
        job.bounds.batch_size = Interval::new(10, 10).expect("in order");
        (job.clock_ms, job.deadline) = (Some(clock_ms), Duration::from_secs(9));
        host.run(job.operation_plugin(plugin)).expect("a run")
    };
    assert_eq!(run(1234).counts.stored, ITEMS as u64);
    assert_eq!(run(1235).counts.dead_lettered, ITEMS as u64, "it does look");
}

/// A component of whose sandboxes 32 fill the pool: each has 16 memories, and there are 512.
fn of_many_memories() -> Arc<[u8]> {
    let mut component = Module::default().component();
    // One more section, of core instances: 15 of the first module, which imports nothing.
    component.extend([2, 1 + 3 * 15, 15]);
    component.extend([0; 3 * 15]);
    component.into()
}

/// An operation that tells that it is at work, and keeps its items once the gate is open.
fn waiting(arrived: Sender<()>, gate: Arc<Mutex<()>>) -> impl Fn(&Call, Item<'_>) -> Outcome + Send + Sync + 'static {
    move |_: &Call, _: Item<'_>| {
        // The test may have heard enough.
        let _ = arrived.send(());
        drop(gate.lock());
        Outcome::Keep
    }
}

#[test]
fn where_the_pool_is_full_warm_sandboxes_make_way_and_no_item_is_lost() {
    const PLUGINS: usize = 14;
    let host =
        &Host::new(HostOptions { lanes: 3, cache: Cache::at(cache()), ..HostOptions::default() }).expect("a host");
    let (folder, component) = (Folder::new(), of_many_memories());
    let (arrived, at_work) = channel();
    let job = |store: &str, gate: &Arc<Mutex<()>>| {
        let bodies = (0..ITEMS).map(|_| "{}".to_owned());
        let mut job = Job::of_items(bodies, folder.at(store), "items").expect("a job");
        job.strategy = "sequential".to_owned();
        job.bounds.batch_size = Interval::new(10, 10).expect("in order");
        (0..PLUGINS).fold(job.operation(waiting(arrived.clone(), Arc::clone(gate))), |job, _| {
            job.operation_plugin(host.load_plugin_bytes(Arc::clone(&component), "memories").expect("a plugin"))
        })
    };
    let gate = Arc::new(Mutex::new(()));
    std::thread::scope(|scope| {
        let closed = gate.lock().expect("an open gate");
        // Two runs wait with a warm sandbox in each slot, so that the third finds room for four more.
        let held = ["a.db", "b.db"].map(|store| {
            let job = job(store, &gate);
            scope.spawn(move || host.run(job))
        });
        for _ in &held {
            at_work.recv_timeout(Duration::from_secs(60)).expect("a run at work");
        }
        let third = host.run(job("c.db", &Arc::default()));
        drop(closed);
        for run in held.map(|run| run.join().expect("no panic")).into_iter().chain([third]) {
            assert_eq!(run.expect("a run").counts.stored, ITEMS as u64);
        }
    });
}
