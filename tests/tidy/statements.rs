//! What stands once: each SQL statement of the store, and each bound in `limits.rs`.

use std::collections::BTreeMap;

use super::none;
use super::text::host_sources;

/// What a statement begins with.
const VERBS: &[&str] = &[
    "ALTER",
    "BEGIN",
    "COMMIT",
    "CREATE",
    "DELETE",
    "DROP",
    "EXPLAIN",
    "INSERT",
    "PRAGMA",
    "REINDEX",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "SELECT",
    "UPDATE",
    "VACUUM",
    "WITH",
];

/// The string literals of a source, as they are written there, without their quotes.
fn literals(code: &str) -> Vec<&str> {
    let mut literals = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find('"') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        // A quote as a character.
        if after.starts_with('\'') && (before.ends_with('\'') || before.ends_with("'\\")) {
            rest = after;
            continue;
        }
        let head = before.trim_end_matches('#');
        let end = if head.ends_with('r') {
            after.find(&format!("\"{}", "#".repeat(before.len() - head.len())))
        } else {
            end_of_plain(after)
        };
        let Some(end) = end else { break };
        literals.push(&after[..end]);
        rest = &after[end + 1..];
    }
    literals
}

/// Where the first quote stands that no backslash takes its meaning from.
fn end_of_plain(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends.then_some(at)
    })
}

/// The text in one form, however it was broken into lines; none if it is no statement.
fn statement(literal: &str) -> Option<String> {
    let folded = literal.replace("\\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let folded = folded.trim_end_matches([';', ' ']);
    let verb = folded.split(' ').next().unwrap_or_default();
    VERBS.contains(&verb).then(|| folded.to_owned())
}

#[test]
fn no_statement_of_the_store_stands_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in host_sources().iter().filter(|source| source.path.starts_with("host/src/store/")) {
        for statement in literals(&source.code).into_iter().filter_map(statement) {
            places.entry(statement).or_default().push(source.path.clone());
        }
    }
    assert!(places.len() > 50, "the statements are found: {places:?}");
    let twice = places.into_iter().filter(|(_, places)| places.len() > 1);
    none(&twice.map(|(statement, places)| format!("{}: {statement}", places.join(" and "))).collect::<Vec<_>>());
}

#[test]
fn statements_are_found_in_every_kind_of_literal() {
    let code = r##"
        let quote = ['"', '\"'];
        run("SELECT \"a\" \
             FROM t;");
        let sql = r#"DELETE FROM "t""#;
        let text = "SELECTED";
    "##;
    let found: Vec<String> = literals(code).into_iter().filter_map(statement).collect();
    assert_eq!(found, [r#"SELECT \"a\" FROM t"#, r#"DELETE FROM "t""#]);
}

/// Bounds that stand beside what they bound, and why they are no bound of the host's. Terms of the strategies' formulas
/// are none either, and stand in `strategy/`.
const BESIDE: &[(&str, &str)] = &[
    ("CODES_MAX", "different codes that a summary tells apart; the rest are counted together"),
    ("COMMANDS_MAX", "words of control that wait; more of them wait with who says them"),
    ("FINDINGS_PER_CHECK_MAX", "lines told of one kind; nothing is refused"),
    ("LINE_BYTES_LIMIT", "what the 32-bit ranges of a batch can hold"),
    ("NAME_BYTES_MAX", "a part of what a name is, as `model` has it"),
    ("PIPE_BLOCKS_MAX", "blocks that a pipe reads ahead; a part of the window"),
    ("SHARE_ESTIMATED_MAX", "what an estimate shows at the most; a number of the display"),
    ("TABLE_ROWS_MAX", "rows laid out as one table; more of them become several"),
    ("TEXT_BYTES_LIMIT", "what the 32-bit ranges of a batch can hold"),
    ("TIME_NS_MAX", "the widest class of a histogram"),
    ("ZSTD_WINDOW_LOG_MAX", "what the `zstd` command accepts unasked"),
];

#[test]
fn bounds_of_the_host_stand_in_limits() {
    let mut found = Vec::new();
    let mut complaints = Vec::new();
    for source in host_sources() {
        if source.path.ends_with("/limits.rs") || source.path.starts_with("host/src/strategy/") {
            continue;
        }
        for (number, line) in source.code.lines().enumerate() {
            let Some((_, constant)) = line.split_once("const ") else { continue };
            let Some((name, _)) = constant.split_once(": ") else { continue };
            if !(name.ends_with("_MAX") || name.ends_with("_LIMIT")) {
                continue;
            }
            found.push(name.to_owned());
            if !BESIDE.iter().any(|(beside, _)| *beside == name) {
                complaints.push(format!("{}:{}: {name} belongs into limits.rs", source.path, number + 1));
            }
        }
    }
    let gone = BESIDE.iter().filter(|(beside, _)| !found.iter().any(|name| name == beside));
    complaints.extend(gone.map(|(name, _)| format!("{name} is gone: take it off the list")));
    none(&complaints);
}
