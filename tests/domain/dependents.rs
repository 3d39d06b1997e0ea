//! A row that hangs from another one is judged by what is stored at that moment.

use super::validated;
use crate::harness::Folder;

const ROOT: &str = r#"{"path":"p","name":"P","type":"MILESTONE"}"#;
const FIRST: &str = r#"{"path":"p/first","name":"First"}"#;
const SECOND: &str = r#"{"path":"p/second","name":"Second","dependencies":["p/first"]}"#;

/// Code of each row's refusal, none where it is stored, after a run with these flags.
fn judged(rows: &[&str], batch_size: usize, lanes: usize) -> Vec<Option<String>> {
    let folder = Folder::new();
    folder.write("rows.ndjson", rows.join("\n"));
    let (size, lanes) = (batch_size.to_string(), lanes.to_string());
    let mut arguments: Vec<String> =
        ["run", "-q", "--input", "rows.ndjson", "--output", "json", "--batch-size", &size, "--lanes", &lanes]
            .map(str::to_owned)
            .into();
    arguments.extend(validated());
    let report = folder.atlas(&arguments).run().exits(3).json();
    assert_eq!(report["read"], rows.len());
    let mut found = vec![None; rows.len()];
    for letter in folder.atlas(["dead-letters", "list", "--output", "json"]).run().exits(0).json_lines() {
        let ordinal = letter["ordinal"].as_u64().expect("an ordinal") as usize;
        found[ordinal] = Some(letter["code"].as_str().expect("a code").to_owned());
    }
    folder.atlas(["verify"]).run().exits(0);
    found
}

#[test]
fn a_dependent_passes_as_soon_as_its_dependency_is_stored() {
    // The same sandbox judges the dependent twice where there is one lane; no verdict of it is kept.
    let rows = [ROOT, SECOND, FIRST, SECOND];
    let wanted = [None, Some("TASK_1003".to_owned()), None, None];
    for (batch_size, lanes) in [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (4, 2)] {
        assert_eq!(judged(&rows, batch_size, lanes), wanted, "batches of {batch_size}, {lanes} lanes");
    }
}

#[test]
fn a_dependent_of_a_refused_row_is_refused_until_that_row_is_stored() {
    let bad = r#"{"path":"p/first","name":""}"#;
    let rows = [ROOT, bad, SECOND, FIRST, SECOND];
    let wanted = [None, Some("TASK_1002".to_owned()), Some("TASK_1003".to_owned()), None, None];
    for (batch_size, lanes) in [(1, 1), (5, 1), (5, 2)] {
        assert_eq!(judged(&rows, batch_size, lanes), wanted, "batches of {batch_size}, {lanes} lanes");
    }
}
