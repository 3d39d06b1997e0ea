//! Reads are serial in effect: a plugin that reads and writes at random leaves the same store whatever the batch size.

use super::component::Module;
use super::{STRATEGIES, folder, items, run};
use crate::harness::{Folder, guest_arg};

/// Every item looks at 8 rows `k0` to `k7` and 4 values of the index `g` through `count`, `find` and `get`, writes what it
/// saw into its own row, and puts or deletes one of the 8 rows. Now and then it names a collection that is not there.
fn wandering() -> Vec<u8> {
    let imports = r#"
        (import "atlas:batch/context@0.1.0" "seed" (func $seed (param i64) (result i64)))
        (import "atlas:batch/store@0.1.0" "get" (func $get (param i32 i32 i32 i32 i32 i32)))
        (import "atlas:batch/store@0.1.0" "count" (func $count (param i32 i32 i32 i32 i32 i32 i64 i32 i32 i32)))
        (import "atlas:batch/store@0.1.0" "find" (func $find (param i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32)))"#;
    let fields = r#"
        (data (i32.const 4096) "g") (data (i32.const 4100) "k0") (data (i32.const 4104) "k3") (data (i32.const 4110) "nowhere")
        (data (i32.const 4120) "{\22seen\22:\22----\22}") (data (i32.const 4140) "{\22g\22:0,\22u\22:10}")
        (global $n (mut i64) (i64.const 1))
        (func $random (param $below i32) (result i32)
          (global.set $n (i64.xor (global.get $n) (i64.shl (global.get $n) (i64.const 13))))
          (global.set $n (i64.xor (global.get $n) (i64.shr_u (global.get $n) (i64.const 7))))
          (global.set $n (i64.xor (global.get $n) (i64.shl (global.get $n) (i64.const 17))))
          (i32.rem_u (i32.wrap_i64 (i64.shr_u (global.get $n) (i64.const 24))) (local.get $below)))
        (func $copy (param $from i32) (param $bytes i32) (result i32) (local $to i32)
          (local.set $to (call $alloc (i32.const 0) (i32.const 0) (i32.const 4) (local.get $bytes)))
          (memory.copy (local.get $to) (local.get $from) (local.get $bytes))
          (local.get $to))
        (func $digit (param $at i32) (param $number i32)
          (i32.store8 (local.get $at) (i32.add (i32.const 48) (local.get $number))))
        (func $name (result i32) (local $at i32)
          (local.set $at (call $copy (i32.const 4100) (i32.const 2)))
          (call $digit (i32.add (local.get $at) (i32.const 1)) (call $random (i32.const 8)))
          (local.get $at))
        (func $looked (result i32) (local $seen i32) (local $last i32)
          (local.set $seen (call $copy (i32.const 4120) (i32.const 15)))
          (call $count (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 1)
            (i32.const 1) (i64.extend_i32_u (call $random (i32.const 4))) (i32.const 0)
            (i32.add (i32.const 1) (call $random (i32.const 8))) (i32.const 1024))
          (if (i32.load8_u (i32.const 1024)) (then unreachable))
          (call $digit (i32.add (local.get $seen) (i32.const 9)) (i32.load (i32.const 1028)))
          (call $find (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096) (i32.const 1)
            (i32.const 1) (i64.extend_i32_u (call $random (i32.const 4))) (i32.const 0)
            (call $random (i32.const 2)) (i32.const 4104) (i32.const 2)
            (i32.add (i32.const 1) (call $random (i32.const 3))) (i32.const 1024))
          (if (i32.load8_u (i32.const 1024)) (then unreachable))
          (call $digit (i32.add (local.get $seen) (i32.const 10)) (i32.load (i32.const 1032)))
          (if (i32.load (i32.const 1032)) (then
            (local.set $last (i32.add (i32.load (i32.const 1028)) (i32.mul (i32.sub (i32.load (i32.const 1032)) (i32.const 1)) (i32.const 16))))
            (i32.store8 (i32.add (local.get $seen) (i32.const 11))
              (i32.load8_u (i32.add (i32.load (local.get $last)) (i32.const 1))))))
          (call $get (i32.const 0) (i32.const 0) (i32.const 0) (call $name) (i32.const 2) (i32.const 1024))
          (if (i32.load8_u (i32.const 1024)) (then unreachable))
          (if (i32.load8_u (i32.const 1028)) (then
            (i32.store8 (i32.add (local.get $seen) (i32.const 12))
              (i32.load8_u (i32.add (i32.load (i32.const 1032)) (i32.const 5))))))
          (local.get $seen))
        (func $body (result i32) (local $at i32)
          (local.set $at (call $copy (i32.const 4140) (i32.const 14)))
          (call $digit (i32.add (local.get $at) (i32.const 5)) (call $random (i32.const 4)))
          (call $digit (i32.add (local.get $at) (i32.const 11)) (i32.add (i32.const 1) (call $random (i32.const 2))))
          (call $digit (i32.add (local.get $at) (i32.const 12)) (call $random (i32.const 10)))
          (local.get $at))"#;
    let each = "
        (global.set $n (i64.or (call $seed (i64.load (local.get $item))) (i64.const 1)))
        (local.set $b (call $looked))
        (local.set $a (call $alloc (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 64)))
        (memory.fill (local.get $a) (i32.const 0) (i32.const 64))
        (i32.store8 (local.get $one) (i32.const 2))
        (i32.store offset=4 (local.get $one) (local.get $a))
        (i32.store offset=8 (local.get $one) (i32.const 2))
        (i32.store offset=16 (local.get $a) (i32.load offset=8 (local.get $item)))
        (i32.store offset=20 (local.get $a) (i32.load offset=12 (local.get $item)))
        (i32.store offset=24 (local.get $a) (local.get $b))
        (i32.store offset=28 (local.get $a) (i32.const 15))
        (i32.store offset=48 (local.get $a) (call $name))
        (i32.store offset=52 (local.get $a) (i32.const 2))
        (i32.store offset=56 (local.get $a) (call $body))
        (i32.store offset=60 (local.get $a) (i32.const 14))
        (local.set $b (call $random (i32.const 12)))
        (if (i32.lt_u (local.get $b) (i32.const 4)) (then
          (i32.store8 offset=32 (local.get $a) (i32.const 1))))
        (if (i32.eq (local.get $b) (i32.const 11)) (then
          (i32.store8 offset=36 (local.get $a) (i32.const 1))
          (i32.store offset=40 (local.get $a) (i32.const 4110))
          (i32.store offset=44 (local.get $a) (i32.const 7))))";
    Module { imports, fields, each, ..Module::default() }.component()
}

#[test]
fn a_plugin_that_wanders_through_the_store_sees_the_same_whatever_the_batch_size() {
    let plugin = wandering();
    for (number, more) in [
        &["--on-existing", "replace"][..],
        &["--on-existing", "replace", "--unique", "u"],
        &["--on-existing", "reject", "--unique", "u"],
        &["--on-existing", "ignore"],
        &["--on-existing", "replace", "--unique", "u", "--atomic", "run"],
    ]
    .into_iter()
    .enumerate()
    {
        let folder = folder(&plugin, &items(300, &[]));
        let seed = (number + 1).to_string();
        let flags = [&["--plugin", "plugin.wasm", "--seed", &seed, "--index", "g"][..], more].concat();
        let fates = |letters: &[serde_json::Value]| -> Vec<(String, String)> {
            letters.iter().map(|letter| (letter["ordinal"].to_string(), letter["code"].to_string())).collect()
        };
        let alone = run(&folder, "alone.db", &[&flags[..], &["--batch-size", "1", "--lanes", "1"]].concat());
        let sights: std::collections::BTreeSet<&String> = alone.stored.values().collect();
        assert!(sights.len() > 50, "{more:?}: there is too little to be seen: {sights:?}");
        assert!(!alone.letters.is_empty(), "{more:?}: nothing was refused");
        for (strategy, size) in STRATEGIES.into_iter().zip(["7", "50", "300"]) {
            let found = run(
                &folder,
                &format!("{size}.db"),
                &[&flags[..], &["--batch-size", size, "--strategy", strategy]].concat(),
            );
            let about = format!("{more:?}, batches of {size}");
            let differs = alone.stored.iter().find(|(id, body)| found.stored.get(*id) != Some(body));
            assert_eq!(differs.map(|(id, body)| (id, body, found.stored.get(id))), None, "{about}");
            assert_eq!(found.stored.len(), alone.stored.len(), "{about}");
            assert_eq!(fates(&found.letters), fates(&alone.letters), "{about}");
        }
    }
}

/// It alone can tell what it refuses.
#[test]
fn what_an_index_of_another_tool_refuses_is_seen_by_no_later_item() {
    let folder = Folder::new();
    folder.write("old.ndjson", "\"a\"\n\"keep\"\n");
    folder.write("new.ndjson", "\"keep\"\n\"get - 0\"\n");
    folder.atlas(["run", "-q", "--input", "old.ndjson"]).run().exits(0);
    let store = rusqlite::Connection::open(folder.at("atlas.db")).expect("a store");
    store.execute_batch("CREATE UNIQUE INDEX by_hand ON items (body)").expect("an index");
    drop(store);
    let probe = guest_arg("probe");
    folder.atlas(["run", "-q", "--input", "new.ndjson", "--plugin", &probe, "--batch-size", "10"]).run().exits(3);
    let letters = folder.atlas(["dead-letters", "list", "--output", "json"]).run().exits(0).json_lines();
    assert_eq!((letters.len(), &letters[0]["code"]), (2, &"INDEX_7005".into()));
    assert_eq!(letters[1]["problems"][0]["details"], serde_json::json!([["0", "\"a\""]]));
}
