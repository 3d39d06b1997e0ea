//! `test --watch`: the cases once more whenever something is saved, and which answers are others now.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::super::Talk;
use super::super::print::{self, Printer};
use super::super::spec::counted;
use super::{TestArgs, once};
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

/// The answers that differ from those of the run before, and cases that came or went, as lines.
pub fn changes(before: &[CaseResult], now: &[CaseResult]) -> Vec<String> {
    let find = |cases: &'_ [CaseResult], case: &CaseResult| {
        cases.iter().position(|other| (&other.file, &other.name) == (&case.file, &case.name))
    };
    let mut lines = Vec::new();
    let mut changed = 0;
    for case in now {
        let title = format!("  {}  {}", if case.passed { "pass" } else { "FAIL" }, printable(&case.name));
        let Some(place) = find(before, case) else {
            lines.push(format!("{title} (new)"));
            continue;
        };
        let old = &before[place];
        let mut told = Vec::new();
        for (id, answer) in &case.answers {
            let was = old.answers.iter().find(|(known, _)| known == id).map(|(_, answer)| answer.as_str());
            if was != Some(answer) {
                let was = printable(was.unwrap_or("no such item"));
                told.push(format!(
                    "        item {}\n          was  {was}\n          now  {}",
                    printable(id),
                    printable(answer)
                ));
            }
        }
        changed += told.len();
        if !told.is_empty() || old.passed != case.passed {
            lines.push(title);
            lines.extend(told);
        }
    }
    let gone = before.iter().filter(|case| find(now, case).is_none());
    lines.extend(gone.map(|case| format!("  gone  {}", printable(&case.name))));
    lines.push(match changed {
        0 => "no answer changed".to_owned(),
        number => format!("{} changed", counted(number as u64, "answer")),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
