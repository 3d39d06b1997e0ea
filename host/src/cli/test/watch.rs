//! `test --watch`: the cases once more whenever something is saved, and which answers are others now.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::super::Talk;
use super::super::print::{self, Printer};
use super::super::spec::counted;
use super::{TestArgs, difference, once};
use crate::author::{CaseResult, Project, sources_digest};
use crate::coordinator::Host;
use crate::error::Result;
use crate::model::{Digest, printable};

/// Between two looks at the files; what is saved has to look the same twice, since editors write in pieces.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until a signal ends the program, or nobody reads what it prints. A mistake in a source or a fixture is told, and the
/// next save tried again.
pub fn run(args: &TestArgs, config: Option<&Path>, host: &Host, talking: Talk, printer: &mut Printer) -> Result<u8> {
    let (mut code, mut before, mut seen) = (0, None::<Vec<CaseResult>>, None);
    while !printer.closed() {
        let now = state(args);
        if seen.as_ref() != Some(&now) {
            thread::sleep(LOOK);
            if state(args) != now {
                continue;
            }
            seen = Some(now);
            match once(args, config, host, talking, printer, before.as_deref()) {
                Ok((ended, cases)) => (code, before) = (ended, Some(cases)),
                Err(error) => print::talk(&format!("{}: {error}", error.code().as_str())),
            }
            printer.flush()?;
        }
        thread::sleep(LOOK);
    }
    Ok(code)
}

/// What the answers depend on, by content.
fn state(args: &TestArgs) -> Vec<Option<Digest>> {
    let of_file = |path: &Path| {
        // A pipe would be waited for.
        let bytes = path.is_file().then(|| fs::read(path).ok())??;
        Some(Digest::of(&bytes))
    };
    let project = Project::open(&args.folder).ok().filter(|_| args.plugin.is_none());
    let mut all = match (&args.plugin, &project) {
        (Some(file), _) => vec![of_file(file)],
        (None, Some(project)) => vec![Some(sources_digest(project))],
        (None, None) => vec![of_file(&args.folder.join(crate::author::PROJECT_FILE))],
    };
    let place = args.fixtures.clone().or_else(|| project.map(|project| project.at("fixtures"))).unwrap_or_default();
    let mut files: Vec<_> = match fs::read_dir(&place) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => vec![place],
    };
    files.sort();
    all.extend(files.iter().map(|file| of_file(file)));
    all
}

/// The answers that differ from those of the run before, cases that came or went, and what is not as wanted where that is new,
/// as lines.
pub fn changes(before: &[CaseResult], now: &[CaseResult]) -> Vec<String> {
    let keys = |cases: &[CaseResult]| numbered(cases.iter().map(|case| (case.file.clone(), case.name.clone())));
    let (keys_before, keys_now) = (keys(before), keys(now));
    let mut lines = Vec::new();
    let mut changed = 0;
    for (case, key) in now.iter().zip(&keys_now) {
        let title = format!("  {}  {}", if case.passed { "pass" } else { "FAIL" }, printable(&case.name));
        let old = keys_before.iter().position(|known| known == key).map(|place| &before[place]);
        let told = old.map_or_else(Vec::new, |old| answers_changed(old, case));
        changed += told.len();
        let other_problems = old.is_none_or(|old| old.problems != case.problems);
        match old {
            None => lines.push(format!("{title} (new)")),
            Some(old) if !told.is_empty() || other_problems || old.passed != case.passed => lines.push(title),
            Some(_) => {}
        }
        lines.extend(told);
        if other_problems {
            lines.extend(case.problems.iter().map(difference));
        }
    }
    let gone = before.iter().zip(&keys_before).filter(|(_, key)| !keys_now.contains(key));
    lines.extend(gone.map(|(case, _)| format!("  gone  {}", printable(&case.name))));
    lines.push(match changed {
        0 => "no answer changed".to_owned(),
        number => format!("{} changed", counted(number as u64, "answer")),
    });
    lines
}

/// The answers to the items of a case that are others than before, each as some lines.
fn answers_changed(old: &CaseResult, case: &CaseResult) -> Vec<String> {
    let ids = |case: &CaseResult| numbered(case.answers.iter().map(|(id, _)| id.clone()));
    let known: BTreeMap<_, _> = ids(old).into_iter().zip(&old.answers).collect();
    let mut told = Vec::new();
    for (key, (id, answer)) in ids(case).iter().zip(&case.answers) {
        let was = known.get(key).map(|(_, answer)| answer.as_str());
        if was != Some(answer) {
            let was = printable(was.unwrap_or("no such item"));
            told.push(format!(
                "        item {}\n          was  {was}\n          now  {}",
                printable(id),
                printable(answer)
            ));
        }
    }
    told
}

/// Each with how many before it are the same: the second of one name is the second of that name the next time, too.
fn numbered<T: Clone + Ord>(all: impl Iterator<Item = T>) -> Vec<(T, usize)> {
    let mut met = BTreeMap::new();
    let number = |one: T| {
        let count = met.entry(one.clone()).or_insert(0);
        *count += 1;
        (one, *count)
    };
    all.map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::author::{CaseProblem, Difference};

    fn case(name: &str, passed: bool, answers: &[(&str, &str)]) -> CaseResult {
        CaseResult {
            file: "f.json".to_owned(),
            name: name.to_owned(),
            items: answers.len(),
            passed,
            updated: 0,
            problems: Vec::new(),
            answers: answers.iter().map(|(id, answer)| ((*id).to_owned(), (*answer).to_owned())).collect(),
        }
    }

    #[test]
    fn only_answers_that_are_others_are_shown() {
        let before = [
            case("a", true, &[("1", "keep"), ("2", "drop")]),
            case("b", true, &[("3", "keep")]),
            case("old", true, &[]),
        ];
        let now = [
            case("a", false, &[("1", "keep"), ("2", "keep")]),
            case("b", true, &[("3", "keep")]),
            case("new", true, &[]),
        ];
        let lines = changes(&before, &now);
        assert_eq!(lines[0], "  FAIL  a");
        assert_eq!(lines[1], "        item 2\n          was  drop\n          now  keep");
        assert_eq!(lines[2..], ["  pass  new (new)", "  gone  old", "1 answer changed"]);
        assert_eq!(changes(&now, &now), ["no answer changed"]);
    }

    fn problem(expected: &str) -> CaseProblem {
        let (expected, found) = (expected.to_owned(), "\"keep\"".to_owned());
        let difference = Difference { pointer: String::new(), expected, found };
        CaseProblem { item: Some("1".to_owned()), what: "outcome", difference }
    }

    #[test]
    fn what_is_not_as_wanted_is_shown_where_that_is_new() {
        let failed = |name: &str, expected: &str| CaseResult {
            problems: vec![problem(expected)],
            ..case(name, false, &[("1", "\"keep\"")])
        };
        let told = |expected: &str| {
            format!("        item 1, outcome\n          expected  {expected}\n          found     \"keep\"")
        };
        let before = [case("a", true, &[("1", "\"keep\"")]), failed("same", "\"drop\"")];
        let now = [failed("a", "\"drop\""), failed("same", "\"drop\""), failed("new", "\"retry\"")];
        assert_eq!(
            changes(&before, &now),
            ["  FAIL  a", &told("\"drop\""), "  FAIL  new (new)", &told("\"retry\""), "no answer changed"]
        );
        let other = [failed("a", "\"retry\""), case("same", true, &[("1", "\"keep\"")])];
        assert_eq!(changes(&now[..2], &other), ["  FAIL  a", &told("\"retry\""), "  pass  same", "no answer changed"]);
    }

    #[test]
    fn cases_of_one_name_and_items_of_one_id_are_told_apart_by_their_order() {
        let two = [case("a", true, &[("1", "keep"), ("1", "drop")]), case("a", true, &[("1", "retry")])];
        assert_eq!(changes(&two, &two), ["no answer changed"]);
        let other = [case("a", true, &[("1", "keep"), ("1", "drop")]), case("a", true, &[("1", "keep")])];
        let told = "        item 1\n          was  retry\n          now  keep";
        assert_eq!(changes(&two, &other), ["  pass  a", told, "1 answer changed"]);
        assert_eq!(changes(&two, &two[..1]), ["  gone  a", "no answer changed"]);
    }
}
