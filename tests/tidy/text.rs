//! Rust sources as plain text, with what no rule looks at taken away.

use super::{File, files};

/// A source without comments and without what is compiled for tests only.
pub struct Source {
    pub path: String,
    /// Same line numbers as the file.
    pub code: String,
}

/// The sources of the host, without its unit tests.
pub fn host_sources() -> Vec<Source> {
    let files = files("host/src", ".rs");
    let only_for_tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    let compiled = |file: &&File| !only_for_tests.iter().any(|module| file.path.starts_with(module.as_str()));
    files.iter().filter(compiled).map(|file| Source { path: file.path.clone(), code: code(&file.text) }).collect()
}

/// Paths (without `.rs` or `/`) of the modules that a file declares for tests only.
fn test_modules(file: &File) -> Vec<String> {
    let folder = match file.path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs")) => folder.to_owned(),
        _ => file.path.trim_end_matches(".rs").to_owned(),
    };
    let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].strip_prefix("pub ").unwrap_or(pair[1]).strip_prefix("mod ")?.strip_suffix(';')?;
        Some(name.to_owned())
    });
    declared.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]).collect()
}

/// The text with comments blanked, and cut where its unit tests begin.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let tests_follow = lines.peek().is_some_and(|next| next.starts_with("mod tests {"));
        if line == "#[cfg(test)]" && tests_follow {
            break;
        }
        code.push_str(without_comment(line));
        code.push('\n');
    }
    code
}

/// What stands before `//`, unless that is inside of a text.
fn without_comment(line: &str) -> &str {
    let mut inside = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            '\\' if inside => escaped = !escaped,
            '"' if !escaped => inside = !inside,
            '/' if !inside && line[at..].starts_with("//") => return &line[..at],
            _ => escaped = false,
        }
    }
    line
}

/// Every place of a whole word: where it stands alone, as its line number from 1.
pub fn lines_with(code: &str, word: &str) -> Vec<usize> {
    let part_of_name = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut lines = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let whole = line.match_indices(word).any(|(at, _)| {
            !part_of_name(line[..at].chars().next_back()) && !part_of_name(line[at + word.len()..].chars().next())
        });
        if whole {
            lines.push(number + 1);
        }
    }
    lines
}

/// `exit_code` and `ExitCode` as `exit-code`.
pub fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(if c == '_' { '-' } else { c.to_ascii_lowercase() });
    }
    out
}

#[test]
fn comments_and_unit_tests_are_no_code() {
    let text = "let a = \"http://x\"; // b\n/// c\nfn d() {}\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(code(text), "let a = \"http://x\"; \n\nfn d() {}\n");
    assert_eq!(lines_with("use a_b;\nuse b;\n", "b"), [2]);
    assert_eq!(kebab("RunStarted"), "run-started");
}
