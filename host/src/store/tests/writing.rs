use std::collections::BTreeMap;

use super::*;
use crate::error::Code;
use crate::model::{Change, Counts, Fate, Phase, Refusal};

#[test]
fn a_group_is_all_there_with_its_history_and_checkpoint() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    assert_eq!((run.epoch, run.next, run.next_batch), (1, 0, BatchNumber(0)));
    let reader = place.reader();
    writer.begin().unwrap();
    let group = [kept(0, 0, &[("b", r#"{"status":"new"}"#), ("a", r#"{"status":"old"}"#)]), kept(1, 2, &[("c", "{}")])];
    let receipts = writer.apply(&run, &group, &replacing()).unwrap();
    let new = || reader.find(&name("items"), &name("status"), &IndexKey::Text("new".to_owned()), None, 10).unwrap();
    assert!(
        rows(&reader).is_empty() && reader.batches(run.run, BatchNumber(0), 10).unwrap().is_empty(),
        "nothing shows before the commit"
    );
    assert!(new().is_empty(), "nor does the index show anything");
    writer.commit().unwrap();
    assert_eq!(
        receipts.iter().map(|r| (r.counts.read, r.counts.inserted, r.bytes_out)).collect::<Vec<_>>(),
        [(2, 2, 32), (1, 1, 2)]
    );

    assert_eq!(rows(&reader).iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let batches = reader.batches(run.run, BatchNumber(0), 10).unwrap();
    assert_eq!(
        batches.iter().map(|b| (b.first_ordinal, b.counts)).collect::<Vec<_>>(),
        [(0, receipts[0].counts), (2, receipts[1].counts)]
    );
    assert_eq!(new().iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["b"]);
    let row = reader.run(run.run).unwrap().unwrap();
    assert_eq!((row.next, row.batches, row.counts.read, row.seed), (3, 2, 3, u64::MAX));
    assert_eq!(row.status, RunStatus::Running);

    writer.note_commit_time(&run, BatchNumber(0), BatchNumber(1), 77);
    let done = writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap();
    assert_eq!(
        (done.status, done.ended_ms, done.duration_ms),
        (RunStatus::Succeeded, Some(1_700_000_000_500), Some(500))
    );
    let batches = reader.batches(run.run, BatchNumber(0), 10).unwrap();
    assert!(batches.iter().all(|b| b.metrics.unwrap().commit_us == 77));
    assert_eq!(batches[0].metrics.unwrap().bytes_out, 32);
}

#[test]
fn a_rolled_back_group_leaves_nothing() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", true)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"status":1}"#)])], &replacing());
    writer.begin().unwrap();
    writer.apply(&run, &[kept(1, 1, &[("a", r#"{"status":2}"#), ("b", "{}")])], &replacing()).unwrap();
    writer.rollback().unwrap();
    let reader = place.reader();
    assert_eq!(rows(&reader), [row("a", r#"{"status":1}"#)]);
    assert_eq!(reader.run(run.run).unwrap().unwrap().next, 1);
    assert!(reader.verify(Level::Full).unwrap().is_empty());
}

#[test]
fn update_keeps_the_rowid_and_other_rows() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1"), ("b", "1"), ("c", "1")])], &replacing());
    let rowids = || -> Vec<(String, i64)> {
        let raw = place.raw();
        let mut s = raw.prepare("SELECT id, rowid FROM items ORDER BY id").unwrap();
        s.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let before = rowids();
    let receipts = commit(&mut writer, &run, &[kept(1, 3, &[("b", "2"), ("c", "1")])], &replacing());
    assert_eq!((receipts[0].counts.replaced, receipts[0].counts.unchanged), (1, 1));
    assert_eq!(rowids(), before);
    let reader = place.reader();
    let origin = |id| reader.why(&name("items"), id).unwrap().unwrap().origin.unwrap();
    assert_eq!(origin("b").batch.number, BatchNumber(1));
    assert_eq!(origin("c").batch.number, BatchNumber(0), "an unchanged row keeps where it comes from");
    assert_eq!(origin("b").plugins[0].digest, Some(Digest::of(b"clean")));
}

#[test]
fn existing_keys_are_ignored_or_refused_as_told() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    let ignored =
        commit(&mut writer, &run, &[kept(1, 1, &[("a", "2"), ("b", "2")])], &policy(OnExisting::Ignore, true));
    assert_eq!((ignored[0].counts.ignored, ignored[0].counts.inserted, ignored[0].counts.stored), (1, 1, 2));
    let refused = commit(
        &mut writer,
        &run,
        &[kept(2, 3, &[("a", "3"), ("c", "3"), ("c", "4")])],
        &policy(OnExisting::Reject, true),
    );
    assert_eq!((refused[0].counts.dead_lettered, refused[0].counts.inserted), (2, 1));
    assert_eq!(refused[0].refused.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 2]);
    let reader = place.reader();
    assert_eq!(rows(&reader), [row("a", "1"), row("b", "2"), row("c", "3")]);
    let letters = reader.dead_letters(&LetterFilter::default(), 0, 10).unwrap();
    assert_eq!(
        letters.iter().map(|l| (l.ordinal, l.code.as_str(), l.phase)).collect::<Vec<_>>(),
        [(3, "INDEX_7005", Phase::Store), (5, "INDEX_7005", Phase::Store)]
    );
    assert_eq!(letters[0].original.as_deref(), Some(b"3".as_slice()));
}

#[test]
fn a_unique_index_refuses_only_the_later_item_and_names_the_holder() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("email", true), index("status", false)]);
    let items = [
        ("z", r#"{"email":"x"}"#),
        ("a", r#"{"email":"x"}"#),
        ("b", "{}"),
        ("c", r#"{"email":null}"#),
        ("z", r#"{"email":"x","n":1}"#),
    ];
    let receipts = commit(&mut writer, &run, &[kept(0, 0, &items)], &replacing());
    assert_eq!((receipts[0].counts.stored, receipts[0].counts.dead_lettered, receipts[0].counts.replaced), (4, 1, 1));
    let (at, refusal) = &receipts[0].refused[0];
    assert_eq!((*at, refusal.fate, refusal.phase), (1, Fate::DeadLettered, Phase::Store));
    let problem = &refusal.problems[0];
    assert_eq!((problem.code.as_str(), problem.pointer.as_str()), ("INDEX_7005", "/email"));
    let details: BTreeMap<_, _> = problem.details.iter().cloned().collect();
    assert_eq!((details["index"].as_str(), details["value"].as_str(), details["id"].as_str()), ("email", "\"x\"", "z"));
    let stored: Vec<_> = rows(&place.reader()).into_iter().map(|r| r.0).collect();
    assert_eq!(stored, ["b", "c", "z"]);
}

#[test]
fn an_item_of_several_changes_is_all_or_nothing() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("email", true)]);
    writer.declare(&[name("edges")], &[], &name("items")).unwrap();
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"email":"x"}"#)])], &replacing());
    let put = |collection: Option<&str>, id: &str, body: &str| Change::Put {
        collection: collection.map(name),
        id: id.to_owned(),
        body: body.to_owned(),
    };
    let delete = |id: &str| Change::Delete { collection: None, id: id.to_owned() };
    let emits = vec![
        Decision::Emit(vec![put(Some("edges"), "e1", "{}"), delete("a"), put(None, "b", r#"{"email":"y"}"#)]),
        Decision::Emit(vec![put(Some("edges"), "e2", "{}"), put(None, "c", r#"{"email":"y"}"#)]),
        Decision::Emit(vec![put(Some("edges"), "e3", "{}"), put(Some("nowhere"), "c", "{}")]),
        Decision::Emit(vec![]),
        Decision::Emit(vec![delete("not there")]),
    ];
    let items = [("1", "{}"), ("2", "{}"), ("3", "{}"), ("4", "{}"), ("5", "{}")];
    let receipts = commit(&mut writer, &run, &[decided(1, 1, &items, emits)], &replacing());
    let expected = Counts { read: 5, stored: 3, dead_lettered: 2, inserted: 2, deleted: 1, ..Counts::default() };
    assert_eq!(receipts[0].counts, expected);
    let reader = place.reader();
    assert_eq!(rows(&reader), [row("b", r#"{"email":"y"}"#)]);
    assert_eq!(reader.count(&name("edges")).unwrap(), 1);
    let codes: Vec<_> = receipts[0].refused.iter().map(|(_, r)| r.problems[0].code.clone()).collect();
    assert_eq!(codes, ["INDEX_7005", "GUEST_10012"]);
    assert!(receipts[0].refused[1].1.problems[0].message.contains("`edges`, `items`"), "{:?}", receipts[0].refused[1]);
}

#[test]
fn a_collection_that_the_store_has_and_the_run_does_not_declare_is_left_alone() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    writer.declare(&[name("others")], &[], &name("items")).unwrap();
    let of_others = WritePolicy {
        target: name("others"),
        collections: [name("others")].into(),
        ..policy(OnExisting::Replace, true)
    };
    commit(&mut writer, &run, &[kept(0, 0, &[("a", r#"{"n":1}"#)])], &of_others);
    let others = || Some(name("others"));
    let emits = vec![
        Decision::Emit(vec![Change::Put { collection: others(), id: "a".to_owned(), body: "{}".to_owned() }]),
        Decision::Emit(vec![Change::Delete { collection: others(), id: "a".to_owned() }]),
    ];
    let receipts = commit(&mut writer, &run, &[decided(1, 1, &[("1", "{}"), ("2", "{}")], emits)], &replacing());
    assert_eq!((receipts[0].counts.dead_lettered, receipts[0].counts.stored), (2, 0));
    for (_, refusal) in &receipts[0].refused {
        let problem = &refusal.problems[0];
        assert_eq!(problem.code, "GUEST_10012");
        assert!(problem.message.contains("`others`; declared are `edges`, `items`, and --collection"), "{problem:?}");
    }
    assert_eq!(place.reader().get(&name("others"), "a").unwrap().unwrap().body, r#"{"n":1}"#);
}

#[test]
fn a_body_that_an_index_cannot_read_is_the_items_affair() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    let receipts = commit(&mut writer, &run, &[kept(0, 0, &[("a", "{"), ("b", ""), ("c", "{}")])], &replacing());
    assert_eq!((receipts[0].counts.dead_lettered, receipts[0].counts.stored), (2, 1));
    assert!(receipts[0].refused.iter().all(|(_, r)| r.problems[0].code == "INDEX_7005"));
}

#[test]
fn every_fate_is_counted_and_kept_with_its_bytes() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    let refusal = |fate, phase, code: &str| {
        let problem = Problem {
            code: code.to_owned(),
            message: "no".to_owned(),
            pointer: "/x".to_owned(),
            details: vec![("k".to_owned(), "v".to_owned())],
        };
        Decision::Refuse(Box::new(Refusal {
            fate,
            phase,
            problems: vec![problem],
            attempts: 2,
            slot: Some(name("clean")),
        }))
    };
    let decisions = vec![
        Decision::Keep,
        Decision::Replace("[2]".to_owned()),
        Decision::Drop,
        refusal(Fate::Rejected, Phase::Validate, "RULE_1"),
        refusal(Fate::DeadLettered, Phase::Decode, "VALIDATION_4004"),
    ];
    let mut write =
        decided(0, 0, &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("", "not { json \u{1}")], decisions);
    write.retries = 3;
    write.blank_lines = 2;
    let receipts = commit(&mut writer, &run, &[write], &replacing());
    let expected = Counts {
        read: 5,
        stored: 2,
        rejected: 1,
        dead_lettered: 1,
        dropped: 1,
        inserted: 2,
        retries: 3,
        ..Counts::default()
    };
    assert_eq!(receipts[0].counts, expected);
    assert!(receipts[0].refused.is_empty(), "only what the store itself refused");

    let reader = place.reader();
    let letters = reader.dead_letters(&LetterFilter::default(), 0, 10).unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!((letters[0].item_id.as_deref(), letters[0].original.as_deref()), (Some("d"), Some(b"4".as_slice())));
    assert_eq!(
        (letters[0].plugin, letters[0].attempts, letters[0].line, letters[0].offset),
        (Some(Digest::of(b"clean")), 2, 4, 30)
    );
    assert_eq!(letters[0].input, "in.ndjson");
    assert_eq!(
        (letters[1].item_id.as_deref(), letters[1].original.as_deref()),
        (None, Some("not { json \u{1}".as_bytes()))
    );
    assert_eq!(letters[1].original_digest, Some(Digest::of("not { json \u{1}".as_bytes())));
    assert_eq!(letters[0].problems[0].details, [("k".to_owned(), "v".to_owned())]);
    assert_eq!(reader.run(run.run).unwrap().unwrap().blank_lines, 2);
    assert!(reader.verify(Level::Full).unwrap().is_empty());
}

#[test]
fn a_wrong_shape_is_a_defect_and_never_commits() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    for bad in [decided(0, 0, &[("a", "1")], vec![]), decided(0, 0, &[("", "1")], vec![Decision::Keep])] {
        writer.begin().unwrap();
        let error = writer.apply(&run, &[bad], &replacing()).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
        assert!(error.to_string().starts_with("BUG:"), "{error}");
        writer.rollback().unwrap();
    }
}

#[test]
fn only_the_owner_of_the_checkpoint_goes_on() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    // The same batch again, and one that leaves a gap.
    for late in [kept(1, 0, &[("b", "1")]), kept(1, 5, &[("b", "1")])] {
        writer.begin().unwrap();
        assert_eq!(writer.apply(&run, &[late], &replacing()).unwrap_err().code(), Code::TransactionFenced);
        writer.rollback().unwrap();
    }
    let newer = writer.resume_run(run.run, &start("job")).unwrap();
    assert_eq!((newer.epoch, newer.next, newer.next_batch, newer.counts.read), (2, 1, BatchNumber(1), 1));
    assert_eq!(newer.input_digest, Some(Digest::of(&0u64.to_le_bytes())));
    writer.begin().unwrap();
    assert_eq!(
        writer.apply(&run, &[kept(1, 1, &[("b", "1")])], &replacing()).unwrap_err().code(),
        Code::TransactionFenced
    );
    writer.rollback().unwrap();
    assert_eq!(writer.finish_run(&run, &end(RunStatus::Succeeded)).unwrap_err().code(), Code::TransactionFenced);
    commit(&mut writer, &newer, &[kept(1, 1, &[("b", "1")])], &replacing());
    writer.finish_run(&newer, &end(RunStatus::Succeeded)).unwrap();
    assert_eq!(rows(&place.reader()).len(), 2);
}

#[test]
fn a_range_ends_where_it_was_said_to_end() {
    let place = place();
    let mut writer = place.writer();
    writer.declare(&[], &[], &name("items")).unwrap();
    let run = writer.begin_run(&RunStart { lo: 10, hi: Some(11), ..start("job") }).unwrap();
    assert_eq!(run.next, 10);
    writer.begin().unwrap();
    assert_eq!(
        writer.apply(&run, &[kept(0, 10, &[("a", "1"), ("b", "1")])], &replacing()).unwrap_err().code(),
        Code::TransactionFenced
    );
    writer.rollback().unwrap();
    commit(&mut writer, &run, &[kept(0, 10, &[("a", "1")])], &replacing());
}

#[test]
fn a_changed_chain_is_noted_from_the_next_batch_on() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    let mut changed = start("job");
    changed.plugins[0].digest = Some(Digest::of(b"better"));
    changed.plugins[0].bytes = Some(b"better".as_slice().into());
    let run = writer.resume_run(run.run, &changed).unwrap();
    commit(&mut writer, &run, &[kept(1, 1, &[("b", "1")])], &replacing());
    let run = writer.resume_run(run.run, &changed).unwrap();
    let reader = place.reader();
    let digest = |id| reader.why(&name("items"), id).unwrap().unwrap().origin.unwrap().plugins[0].digest.unwrap();
    assert_eq!((digest("a"), digest("b")), (Digest::of(b"clean"), Digest::of(b"better")));
    assert_eq!(reader.plugins(run.run).unwrap().len(), 2, "continuing with the same chain notes nothing");
    assert_eq!(reader.plugin_bytes(&Digest::of(b"better")).unwrap().as_deref(), Some(b"better".as_slice()));
}

#[test]
fn a_chain_that_has_come_to_an_end_made_nothing_after_it() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "1")])], &replacing());
    let without = RunStart { plugins: Vec::new(), ..start("job") };
    for (number, id) in [(1, "b"), (2, "c")] {
        let run = writer.resume_run(run.run, &without).unwrap();
        commit(&mut writer, &run, &[kept(number, number, &[(id, "1")])], &replacing());
    }
    assert_eq!(place.reader().last_chain(run.run).unwrap(), []);
    let run = writer.resume_run(run.run, &start("job")).unwrap();
    commit(&mut writer, &run, &[kept(3, 3, &[("d", "1")])], &replacing());
    let reader = place.reader();
    let made = |id| reader.why(&name("items"), id).unwrap().unwrap().origin.unwrap().plugins.len();
    assert_eq!(["a", "b", "c", "d"].map(made), [1, 0, 0, 1]);
    let noted: Vec<u64> = reader.plugins(run.run).unwrap().iter().map(|used| used.from_batch.0).collect();
    assert_eq!(noted, [0, 3]);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}

#[test]
fn a_transaction_over_its_time_bound_is_given_up() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    writer.time_max = std::time::Duration::ZERO;
    writer.begin().unwrap();
    assert_eq!(
        writer.apply(&run, &[kept(0, 0, &[("a", "1")])], &replacing()).unwrap_err().code(),
        Code::TransactionTimeout
    );
    writer.rollback().unwrap();
    assert!(rows(&place.reader()).is_empty());
}

#[test]
fn a_full_store_gives_up_the_group_and_goes_on_once_there_is_space() {
    let place = place();
    let (mut writer, run) = begun(&place, &[index("status", false)]);
    commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
    let pages: i64 = writer.conn.pragma_query_value(None, "page_count", |r| r.get(0)).unwrap();
    let big = format!(r#"{{"status":1,"text":"{}"}}"#, "x".repeat(4000));
    let ids: Vec<String> = (0..200).map(|i| format!("{i}")).collect();
    let items: Vec<(&str, &str)> = ids.iter().map(|i| (i.as_str(), big.as_str())).collect();
    // The disk runs full after ever more pages: at any point, nothing of the group may be left.
    for more in [1, 2, 3, 5, 8, 13, 30, 45] {
        writer.conn.pragma_update(None, "max_page_count", pages + more).unwrap();
        writer.begin().unwrap();
        let error = writer.apply(&run, &[kept(1, 1, &items)], &replacing()).unwrap_err();
        assert_eq!(error.code(), Code::StorageFull, "{error}");
        writer.rollback().unwrap();
        assert!(!writer.in_transaction());
        let reader = place.reader();
        assert_eq!(rows(&reader).len(), 1);
        assert!(reader.verify(Level::Full).unwrap().is_empty());
    }
    writer.conn.pragma_update(None, "max_page_count", 1_000_000).unwrap();
    commit(&mut writer, &run, &[kept(1, 1, &items)], &replacing());
    assert_eq!(rows(&place.reader()).len(), 201);
}

#[test]
fn an_atomic_run_keeps_all_of_its_groups_or_none() {
    for keep in [true, false] {
        let place = place();
        let (mut writer, run) = begun(&place, &[index("status", true)]);
        writer.begin().unwrap();
        commit(&mut writer, &run, &[kept(0, 0, &[("a", "{}")])], &replacing());
        writer.begin().unwrap();
        writer.apply(&run, &[kept(1, 1, &[("b", "{}")])], &replacing()).unwrap();
        writer.rollback().unwrap();
        commit(&mut writer, &run, &[kept(1, 1, &[("c", "{}")])], &replacing());
        let reader = place.reader();
        assert!(rows(&reader).is_empty());
        let status = if keep { RunStatus::Succeeded } else { RunStatus::RolledBack };
        if keep {
            writer.commit().unwrap()
        } else {
            writer.rollback().unwrap()
        }
        let done = writer.finish_run(&run, &end(status)).unwrap();
        assert_eq!((done.status, done.counts.read), (status, if keep { 2 } else { 0 }));
        let expected = [row("a", "{}"), row("c", "{}")];
        assert_eq!(rows(&reader), if keep { &expected[..] } else { &[] });
        assert_eq!(reader.verify(Level::Full).unwrap(), []);
    }
}

#[test]
fn old_metrics_are_pruned_and_provenance_stays() {
    let place = place();
    let (mut writer, run) = begun(&place, &[]);
    for i in 0..5 {
        commit(&mut writer, &run, &[kept(i, i, &[(&format!("{i}"), "1")])], &replacing());
    }
    history::prune(&writer.conn, 2).unwrap();
    let reader = place.reader();
    let kept: Vec<bool> =
        reader.batches(run.run, BatchNumber(0), 10).unwrap().iter().map(|b| b.metrics.is_some()).collect();
    assert_eq!(kept, [false, false, false, true, true]);
    assert!(reader.why(&name("items"), "0").unwrap().unwrap().origin.is_some());
    assert!(reader.verify(Level::Full).unwrap().is_empty());
}
