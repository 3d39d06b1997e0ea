//! Every code that the host says is wanted by some test.

use atlas_host::error::Code;

use super::text::{host_sources, lines_with};
use super::{File, files, none};

/// Codes that no test can bring about, and why.
const OUT_OF_REACH: &[(Code, &str)] = &[(Code::GuestFuel, "no engine of ours meters fuel; deadlines end a plugin")];

/// What is compiled for tests only, and golden files. Help texts are left out: they list codes and show none of them.
fn test_texts() -> Vec<String> {
    let sources = host_sources();
    let own = |file: &File| match sources.iter().any(|source| source.path == file.path) {
        false => Some(file.text.clone()),
        true => file.text.split_once("#[cfg(test)]\nmod tests {").map(|(_, tests)| tests.to_owned()),
    };
    let beside = files("host/src", ".rs").iter().filter_map(own).collect::<Vec<_>>();
    let this = |file: &File| file.path.ends_with("tidy/codes.rs");
    let areas = files("tests", ".rs").into_iter().filter(|file| !this(file)).map(|file| file.text);
    let golden = files("tests/data/golden", "").into_iter().filter(|file| !file.path.contains("/help/"));
    beside.into_iter().chain(areas).chain(golden.map(|file| file.text)).collect()
}

/// True if a line has the code as text, or as a value that it does not merely make an error of.
fn wanted(code: Code, line: &str) -> bool {
    let value = format!("Code::{code:?}");
    let made = ["Error::new(", "Problem::of_host(", "Fault::new("]
        .iter()
        .any(|maker| line.contains(&format!("{maker}{value}")));
    !lines_with(line, code.as_str()).is_empty() || !made && !lines_with(line, &value).is_empty()
}

#[test]
fn every_code_that_the_host_says_is_wanted_by_a_test() {
    let sources: String =
        host_sources().iter().filter(|source| !source.path.ends_with("/error.rs")).map(|s| s.code.as_str()).collect();
    let tests = test_texts();
    let mut complaints = Vec::new();
    for code in Code::ALL {
        let said = !lines_with(&sources, &format!("Code::{code:?}")).is_empty();
        let tested = tests.iter().any(|text| text.lines().any(|line| wanted(*code, line)));
        match OUT_OF_REACH.iter().find(|(out, _)| out == code) {
            None if said && !tested => complaints.push(format!("{code} ({code:?}) is said, and no test wants it")),
            Some((_, why)) if tested || !said => {
                complaints.push(format!("{code} is in reach, or is not said: take it off the list ({why})"));
            }
            _ => {}
        }
    }
    none(&complaints);
}

#[test]
fn an_error_made_with_a_code_does_not_count_as_a_test_of_it() {
    let code = Code::StorageFull;
    assert!(wanted(code, "assert_eq!(error.code(), Code::StorageFull);"));
    assert!(wanted(code, r#"ran.says("error[STORAGE_2009]");"#));
    assert!(!wanted(code, r#"Err(Error::new(Code::StorageFull, "full"))"#));
    assert!(!wanted(code, "Code::StorageFullest"));
}
