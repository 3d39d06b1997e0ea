use super::*;
use crate::model::RunNumber;

#[test]
fn runs_of_a_collection_that_came_to_their_end_are_given_the_newest_first_until_it_is_enough() {
    let place = place();
    let mut writer = place.writer();
    writer.declare(&[name("others")], &[], &name("items")).unwrap();
    let statuses = [
        Some(RunStatus::Succeeded),
        Some(RunStatus::Interrupted),
        Some(RunStatus::Partial),
        Some(RunStatus::Failed),
        Some(RunStatus::RolledBack),
        Some(RunStatus::Succeeded),
        Some(RunStatus::Succeeded),
        None,
    ];
    for (number, status) in (1..).zip(statuses) {
        let collection = name(if number == 6 { "others" } else { "items" });
        let identity = vec![("number".to_owned(), number.to_string())];
        let run = writer.begin_run(&RunStart { identity, collection, ..start("job") }).unwrap();
        if number == 1 {
            commit(&mut writer, &run, &[kept(0, 0, &[("a", "1"), ("b", "2")])], &replacing());
        }
        if let Some(status) = status {
            writer.finish_run(&run, &end(status)).unwrap();
        }
    }
    let of = |collection: &str, besides: u64, most: usize| {
        let mut found = Vec::new();
        let mut enough = |run: EndedRun| {
            found.push((run.identity[0].1.clone(), run.read, run.failed, run.ended_ms));
            found.len() == most
        };
        writer.ended_runs(&name(collection), RunNumber(besides), &mut enough).unwrap();
        found
    };
    let run = |number: &str, read| (number.to_owned(), read, 0, 1_700_000_000_500);
    assert_eq!(of("items", 0, 10), [run("7", 0), run("3", 0), run("1", 2)]);
    assert_eq!(of("items", 7, 10), [run("3", 0), run("1", 2)]);
    assert_eq!(of("items", 0, 2), [run("7", 0), run("3", 0)]);
    assert_eq!(of("others", 0, 10), [run("6", 0)]);
}
