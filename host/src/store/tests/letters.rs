use super::*;
use crate::model::{Fate, Phase, Refusal};

fn refusal(phase: Phase, code: &str) -> Decision {
    let fate = if phase == Phase::Validate { Fate::Rejected } else { Fate::DeadLettered };
    let problem =
        Problem { code: code.to_owned(), message: "no".to_owned(), pointer: String::new(), details: Vec::new() };
    Decision::Refuse(Box::new(Refusal {
        fate,
        phase,
        problems: vec![problem],
        attempts: 1,
        slot: (phase == Phase::Operate).then(|| name("clean")),
    }))
}

fn filled(place: &Place) -> (Writer, RunHandle) {
    let (mut writer, run) = begun(place, &[]);
    let items = [("a", "1"), ("b", "2"), ("c", "3"), ("", "junk")];
    let decisions = vec![
        refusal(Phase::Validate, "R1"),
        refusal(Phase::Operate, "R2"),
        refusal(Phase::Validate, "R2"),
        refusal(Phase::Decode, "R3"),
    ];
    commit(&mut writer, &run, &[decided(0, 0, &items, decisions)], &replacing());
    (writer, run)
}

fn ordinals(reader: &Reader, filter: &LetterFilter) -> Vec<u64> {
    let letters = reader.dead_letters(filter, 0, 100).unwrap();
    assert_eq!(reader.dead_letter_count(filter).unwrap(), letters.len() as u64);
    letters.iter().map(|l| l.ordinal).collect()
}

#[test]
fn letters_are_found_by_what_they_are() {
    let place = place();
    let (_writer, run) = filled(&place);
    let reader = place.reader();
    let all = LetterFilter::default();
    let of = |change: &dyn Fn(&mut LetterFilter)| {
        let mut filter = LetterFilter::default();
        change(&mut filter);
        ordinals(&reader, &filter)
    };
    assert_eq!(ordinals(&reader, &all), [0, 1, 2, 3]);
    assert_eq!(of(&|f| f.code = Some("R2".to_owned())), [1, 2]);
    assert_eq!(of(&|f| f.phase = Some(Phase::Validate)), [0, 2]);
    assert_eq!(of(&|f| (f.phase, f.code) = (Some(Phase::Validate), Some("R2".to_owned()))), [2]);
    assert_eq!(of(&|f| f.plugin = Some(Digest::of(b"clean"))), [1]);
    assert_eq!(of(&|f| f.slot = Some("clean".to_owned())), [1]);
    assert_eq!(of(&|f| f.run = Some(run.run)), [0, 1, 2, 3]);
    assert_eq!(of(&|f| f.run = Some(crate::model::RunNumber(9))), [] as [u64; 0]);
    assert_eq!(of(&|f| f.ids = vec![2, 4, 77]), [1, 3]);
    assert_eq!(of(&|f| f.state = Some(LetterState::Discarded)), [] as [u64; 0]);
    let heads = reader.dead_letter_heads(&all, 0, 100).unwrap();
    let bare = |letter: DeadLetter| DeadLetter { original: None, ..letter };
    assert_eq!(heads, reader.dead_letters(&all, 0, 100).unwrap().into_iter().map(bare).collect::<Vec<_>>());
    assert_eq!(heads.iter().map(|l| l.kept_bytes).collect::<Vec<_>>(), [Some(1), Some(1), Some(1), Some(4)]);
    let within = |after, bytes_max| -> Vec<i64> {
        reader.dead_letters_within(&all, after, 100, bytes_max).unwrap().iter().map(|l| l.id).collect()
    };
    assert_eq!((within(0, 2), within(2, 2), within(0, 0)), (vec![1, 2], vec![3, 4], vec![1]), "pages end by bytes");
    assert_eq!(within(0, 1000), [1, 2, 3, 4]);
    let page = reader.dead_letters(&all, 2, 1).unwrap();
    assert_eq!(page.iter().map(|l| l.id).collect::<Vec<_>>(), [3]);
}

#[test]
fn no_question_scans_all_letters() {
    let place = place();
    let (_writer, _) = filled(&place);
    let mut reader = place.reader();
    for condition in [
        "run = 1",
        "code = 'R2'",
        "phase = 'decode'",
        "plugin = 'x'",
        "batch = 1",
        "id IN (SELECT value FROM json_each('[1]'))",
    ] {
        let mut plan = String::new();
        reader
            .sql(
                &format!("EXPLAIN QUERY PLAN SELECT id FROM atlas_dead_letters WHERE {condition}"),
                None,
                |_, row| -> crate::error::Result<()> {
                    plan.push_str(&format!("{row:?}"));
                    Ok(())
                },
            )
            .unwrap();
        assert!(!plan.contains("SCAN atlas_dead_letters"), "{condition}: {plan}");
    }
}

#[test]
fn a_discarded_letter_keeps_its_reason_and_loses_its_bytes() {
    let place = place();
    let (mut writer, _) = filled(&place);
    let filter = LetterFilter { code: Some("R2".to_owned()), ..LetterFilter::default() };
    assert_eq!(writer.discard_dead_letters(&filter).unwrap(), 2);
    assert_eq!(writer.discard_dead_letters(&filter).unwrap(), 0);
    let reader = place.reader();
    let letters = reader.dead_letters(&filter, 0, 10).unwrap();
    assert!(
        letters.iter().all(|l| l.state == LetterState::Discarded && l.original.is_none() && l.resolved_ms.is_some())
    );
    let open = LetterFilter { state: Some(LetterState::Open), ..LetterFilter::default() };
    assert_eq!(ordinals(&reader, &open), [0, 3]);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}

#[test]
fn a_retry_marks_its_letters_in_the_transaction_that_stores_them() {
    let place = place();
    let (mut writer, _) = filled(&place);
    let retry = writer.begin_run(&start("retry")).unwrap();
    let write = || {
        let mut write = decided(0, 0, &[("a", "1"), ("c", "3")], vec![Decision::Keep, refusal(Phase::Operate, "R9")]);
        write.retried = vec![1, 3];
        write
    };
    let open = LetterFilter { state: Some(LetterState::Open), ..LetterFilter::default() };
    let reader = place.reader();
    writer.begin().unwrap();
    writer.apply(&retry, &[write()], &replacing()).unwrap();
    writer.rollback().unwrap();
    assert_eq!(reader.dead_letter_count(&open).unwrap(), 4);

    commit(&mut writer, &retry, &[write()], &replacing());
    let letters = reader.dead_letters(&LetterFilter::default(), 0, 10).unwrap();
    let states: Vec<_> = letters.iter().map(|l| (l.id, l.state, l.resolved_run)).collect();
    let retried = |id| (id, LetterState::Retried, Some(retry.run));
    let open = |id| (id, LetterState::Open, None);
    assert_eq!(states, [retried(1), open(2), retried(3), open(4), open(5)]);
    assert_eq!((letters[4].run, letters[4].code.as_str()), (retry.run, "R9"));
    assert_eq!(rows(&reader), [row("a", "1")]);

    // Whoever has chosen the same letters before that finds out, and nothing of theirs is kept.
    let late = writer.begin_run(&start("late")).unwrap();
    writer.begin().unwrap();
    let error = writer.apply(&late, &[write()], &replacing()).unwrap_err();
    assert_eq!(error.code(), crate::error::Code::ConcurrentModification, "{error}");
    assert!(error.to_string().contains("2 of 2 dead letters"), "{error}");
    writer.rollback().unwrap();
    assert_eq!(reader.dead_letter_count(&LetterFilter::default()).unwrap(), 5);
    assert_eq!(reader.verify(Level::Full).unwrap(), []);
}
