//! Changes that a plugin asks for: what may not be done is refused whole, and leaves nothing for later items to see.

use super::component::{Half, Module, POISON, replace, when_poisoned};
use super::{ITEMS, STRATEGIES, code_of, faults_cost_only_their_items, folder, items, run, text};
use crate::harness::guest_arg;

/// Memory from 4096: names that changes use.
const NAMES: &str = r#"(data (i32.const 4096) "nowhere") (data (i32.const 4110) "no table; --") (data (i32.const 4130) "i-013")
    (data (i32.const 4140) "{\22seen\22:true}") (data (i32.const 4160) "a\00b") (data (i32.const 4170) "edges")"#;

/// `put` as number `n` of a list at 16384. Each of the three texts is an address and a length.
fn put(n: u32, collection: Option<(u32, u32)>, id: &str, body: &str) -> String {
    let at = 16_384 + 32 * n;
    let (given, (name, bytes)) = (u32::from(collection.is_some()), collection.unwrap_or_default());
    let store = |offset: u32, value: &str| format!("(i32.store (i32.const {}) {value})", at + offset);
    let pair = |offset: u32, text: &str| {
        let (address, length) = text.split_once('|').expect("an address and a length");
        store(offset, address) + &store(offset + 4, length)
    };
    [
        store(0, "(i32.const 0)"),
        store(4, &format!("(i32.const {given})")),
        store(8, &format!("(i32.const {name})")),
        store(12, &format!("(i32.const {bytes})")),
        pair(16, id),
        pair(24, body),
    ]
    .concat()
}

/// `delete` as number `n`, of the run's own collection.
fn delete(n: u32, id: &str) -> String {
    let put = put(n, None, id, "(i32.const 0)|(i32.const 0)");
    format!("{put} (i32.store (i32.const {}) (i32.const 1))", 16_384 + 32 * n)
}

/// The outcome `emit` with the first `count` changes.
fn emit(count: u32) -> String {
    format!(
        "(i32.store8 (local.get $one) (i32.const 2)) (i32.store offset=4 (local.get $one) (i32.const 16384)) \
         (i32.store offset=8 (local.get $one) (i32.const {count}))"
    )
}

const OWN_ID: &str = "(i32.load offset=8 (local.get $item))|(i32.load offset=12 (local.get $item))";
const OWN_BODY: &str = "(i32.load offset=16 (local.get $item))|(i32.load offset=20 (local.get $item))";

fn poisoned(changes: &[String]) -> Vec<u8> {
    let each = when_poisoned(&(changes.concat() + &emit(changes.len() as u32)));
    Module { fields: NAMES, each: &each, ..Module::default() }.component()
}

#[test]
fn changes_that_may_not_be_made_cost_one_item() {
    let nowhere = || put(1, Some((4096, 7)), OWN_ID, OWN_BODY);
    for (what, changes, code) in [
        ("a collection that is not declared", vec![put(0, None, OWN_ID, OWN_BODY), nowhere()], "GUEST_10012"),
        ("no name of a collection", vec![put(0, Some((4110, 12)), OWN_ID, OWN_BODY)], "GUEST_10007"),
        ("an empty name", vec![put(0, Some((4110, 0)), OWN_ID, OWN_BODY)], "GUEST_10007"),
        ("an id too long", vec![put(0, None, "(i32.const 4096)|(i32.const 513)", OWN_BODY)], "GUEST_10005"),
        ("a NUL in an id", vec![put(0, None, "(i32.const 4160)|(i32.const 3)", OWN_BODY)], "GUEST_10005"),
        ("no body", vec![put(0, None, OWN_ID, "(i32.const 0)|(i32.const 0)")], "GUEST_10008"),
        (
            "a good change and a bad one",
            vec![put(0, None, OWN_ID, OWN_BODY), put(1, None, OWN_ID, OWN_ID)],
            "GUEST_10008",
        ),
    ] {
        let folder = folder(&poisoned(&changes), &items(ITEMS, &[]));
        faults_cost_only_their_items(what, &folder, &[(POISON as usize, code)], &["--plugin", "plugin.wasm"]);
    }
}

#[test]
fn the_last_of_two_changes_to_one_key_wins_and_deleting_nothing_is_no_problem() {
    let seen = "(i32.const 4140)|(i32.const 13)";
    let changes = [
        delete(0, "(i32.const 4096)|(i32.const 7)"),
        put(1, None, OWN_ID, OWN_BODY),
        delete(2, OWN_ID),
        put(3, None, OWN_ID, OWN_BODY),
        put(4, None, OWN_ID, seen),
    ];
    let left = run(&folder(&poisoned(&changes), &items(ITEMS, &[])), "atlas.db", &["--plugin", "plugin.wasm"]);
    assert_eq!((left.stored.len(), left.stored["i-013"].as_str()), (ITEMS, r#"{"seen":true}"#));
    let left = run(&folder(&poisoned(&changes[..3]), &items(ITEMS, &[])), "atlas.db", &["--plugin", "plugin.wasm"]);
    assert_eq!((left.stored.len(), left.stored.get("i-013")), (ITEMS - 1, None));
}

/// The poisoned item makes these changes; every other one says in its body whether it saw the row `i-013`.
fn watched(changes: &[String]) -> Vec<u8> {
    let get = r#"(import "atlas:batch/store@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32 i32)))"#;
    let each = format!(
        "(if (i64.eq (i64.load (local.get $item)) (i64.const {POISON}))
           (then {} {})
           (else
             (call $get (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4130) (i32.const 5) (i32.const 1024))
             (if (i32.or (i32.load8_u (i32.const 1024)) (i32.load8_u (i32.const 1028))) (then {}))))",
        changes.concat(),
        emit(changes.len() as u32),
        replace("(i32.const 4140)", "(i32.const 13)"),
    );
    Module { imports: get, fields: NAMES, each: &each, ..Module::default() }.component()
}

#[test]
fn later_items_see_nothing_of_an_item_that_the_store_refuses() {
    let own = || put(0, None, OWN_ID, OWN_BODY);
    for (what, changes, more) in [
        ("an undeclared collection", vec![own(), put(1, Some((4096, 7)), OWN_ID, OWN_BODY)], &[][..]),
        (
            "an undeclared collection first",
            vec![put(0, Some((4096, 7)), OWN_ID, OWN_BODY), put(1, None, OWN_ID, OWN_BODY)],
            &[],
        ),
        (
            "an undeclared collection where keys are looked up",
            vec![own(), put(1, Some((4096, 7)), OWN_ID, OWN_BODY)],
            &["--on-existing", "reject"],
        ),
        (
            "an undeclared collection where keys are ignored",
            vec![own(), put(1, Some((4096, 7)), OWN_ID, OWN_BODY)],
            &["--on-existing", "ignore"],
        ),
        (
            "a value that is taken",
            vec![own(), put(1, None, "(i32.const 4096)|(i32.const 7)", OWN_BODY)],
            &["--unique", "taken=/id"],
        ),
    ] {
        for strategy in STRATEGIES {
            let folder = folder(&watched(&changes), &items(ITEMS, &[]));
            for (size, atomic) in [("1", "batch"), ("10", "batch"), ("60", "batch"), ("10", "run")] {
                let flags =
                    ["--plugin", "plugin.wasm", "--batch-size", size, "--strategy", strategy, "--atomic", atomic];
                let left = run(&folder, &format!("{size}-{atomic}.db"), &[&flags[..], more].concat());
                let letters: Vec<_> = left.letters.iter().map(|letter| letter["ordinal"].as_u64()).collect();
                assert_eq!(letters, [Some(POISON)], "{what}, batches of {size}: {:?}", left.letters);
                let saw: Vec<&String> =
                    left.stored.iter().filter(|(_, body)| body.contains("seen")).map(|(id, _)| id).collect();
                assert!(saw.is_empty(), "{what}, batches of {size}, {strategy}: {saw:?} saw what is not there");
            }
        }
    }
}

#[test]
fn later_items_see_what_an_item_stored_whatever_the_batch_size() {
    let declared = [put(0, None, OWN_ID, OWN_BODY), put(1, Some((4170, 5)), OWN_ID, OWN_BODY)];
    for size in ["1", "10", "60"] {
        let flags = ["--plugin", "plugin.wasm", "--batch-size", size, "--collection", "edges"];
        let left = run(&folder(&watched(&declared), &items(ITEMS, &[])), "atlas.db", &flags);
        let saw = left.stored.values().filter(|body| body.contains("seen")).count();
        assert_eq!((left.stored.len(), saw), (ITEMS, ITEMS - 1 - POISON as usize), "batches of {size}");
    }
}

#[test]
fn a_validator_that_faults_loses_its_own_verdicts_only() {
    // Another validator refuses the poisoned item and the next one.
    let each = "(if (i64.eq (i64.div_u (i64.sub (i64.load (local.get $item)) (i64.const 13)) (i64.const 2)) (i64.const 0)) (then
        (i32.store8 (local.get $one) (i32.const 1))
        (i32.store offset=4 (local.get $one) (i32.const 4200)) (i32.store offset=8 (local.get $one) (i32.const 1))))";
    // A problem with the code `RULE` and nothing else.
    let fields = r#"(data (i32.const 4200) "\f0\10\00\00\04\00\00\00") (data (i32.const 4336) "RULE")"#;
    let plugin = Module { half: Half::Validator, fields, each, ..Module::default() }.component();
    for fault in ["trap", "spin", "short"] {
        let poisoned = format!(r#"{{"id":"i-013","fault":"validator-{fault}"}}"#);
        let alone = format!(r#"{{"id":"i-020","fault":"validator-{fault}"}}"#);
        let folder = folder(&plugin, &items(ITEMS, &[(13, poisoned), (20, alone)]));
        let faulty = guest_arg("faulty");
        for pair in [[faulty.as_str(), "plugin.wasm"], ["plugin.wasm", faulty.as_str()]] {
            let flags = ["--validator", pair[0], "--validator", pair[1], "--deadline", "300ms"];
            let left = run(&folder, &format!("{}.db", pair[0].len()), &flags);
            let fates: Vec<(u64, String, String)> = left
                .letters
                .iter()
                .map(|letter| {
                    (letter["ordinal"].as_u64().expect("an ordinal"), text(letter, "fate"), text(letter, "code"))
                })
                .collect();
            let row = |at: u64, fate: &str, code: &str| (at, fate.to_owned(), code.to_owned());
            let wanted =
                [row(13, "rejected", "RULE"), row(14, "rejected", "RULE"), row(20, "dead-lettered", "BATCH_8004")];
            assert_eq!(fates, wanted, "{fault}, {pair:?}");
            let both = left.letters[0]["problems"].as_array().expect("problems");
            assert_eq!(both.len(), 2, "{fault}: the lack of a verdict is told as well: {both:?}");
        }
    }
}

/// An operation whose answer is pseudo-random: bytes in the whole list, most of them small, over memory that is random too.
fn babbling() -> Vec<u8> {
    let fields = "(global $n (mut i64) (i64.const 1))
        (func $random (result i32)
          (global.set $n (i64.xor (global.get $n) (i64.shl (global.get $n) (i64.const 13))))
          (global.set $n (i64.xor (global.get $n) (i64.shr_u (global.get $n) (i64.const 7))))
          (global.set $n (i64.xor (global.get $n) (i64.shl (global.get $n) (i64.const 17))))
          (i32.wrap_i64 (i64.shr_u (global.get $n) (i64.const 20))))
        (func $word (result i32) (local $kind i32)
          (local.set $kind (i32.and (call $random) (i32.const 7)))
          (if (i32.lt_u (local.get $kind) (i32.const 3)) (then (return (i32.const 0))))
          (if (i32.lt_u (local.get $kind) (i32.const 5)) (then (return (i32.and (call $random) (i32.const 7)))))
          (if (i32.lt_u (local.get $kind) (i32.const 7)) (then (return (i32.and (call $random) (i32.const 0xfffc)))))
          (call $random))";
    let each = "(global.set $n (i64.or (call $seed (i64.load (local.get $item))) (i64.const 1)))
        (local.set $a (i32.const 1024))
        (loop $more
          (i32.store (local.get $a) (call $word))
          (local.set $a (i32.add (local.get $a) (i32.const 4)))
          (br_if $more (i32.lt_u (local.get $a) (i32.const 8192))))
        (local.set $a (i32.const 0))
        (loop $more
          (i32.store (i32.add (local.get $one) (local.get $a)) (call $word))
          (local.set $a (i32.add (local.get $a) (i32.const 4)))
          (br_if $more (i32.lt_u (local.get $a) (i32.const 44))))
        (i32.store8 (local.get $one) (i32.rem_u (call $random) (i32.const 7)))";
    let imports = r#"(import "atlas:batch/context@0.1.0" "seed" (func $seed (param i64) (result i64)))"#;
    Module { imports, fields, each, ..Module::default() }.component()
}

#[test]
fn whatever_bytes_a_plugin_answers_every_item_has_its_fate() {
    let folder = folder(&babbling(), &items(400, &[]));
    let mut kinds = std::collections::BTreeSet::new();
    for seed in ["1", "2", "3"] {
        let flags = ["--plugin", "plugin.wasm", "--seed", seed, "--batch-size", "20", "--attempts", "1"];
        let left = run(&folder, &format!("{seed}.db"), &flags);
        assert_eq!(left.report["read"], 400, "seed {seed}");
        kinds.extend(left.letters.iter().map(code_of).filter(|code| code.starts_with("GUEST_")));
    }
    assert!(kinds.contains("GUEST_10006") && kinds.len() > 2, "the answers were not wild enough: {kinds:?}");
}
