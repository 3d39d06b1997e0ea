//! What Go sources embed: after `//go:embed` files are named without quotes, by patterns.

use std::path::{Path, PathBuf};

use super::sources::{Culprit, entries};

/// Gives each file that a Go source embeds, wherever it lies, and all below a folder.
///
/// Errors: those of `see`.
pub(super) fn each(
    path: &Path,
    text: &str,
    see: &mut dyn FnMut(PathBuf) -> Result<(), Culprit>,
) -> Result<(), Culprit> {
    if path.extension().is_none_or(|extension| extension != "go") {
        return Ok(());
    }
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("//go:embed"));
    for pattern in lines.filter(|rest| rest.starts_with([' ', '\t'])).flat_map(patterns) {
        let mut places = vec![path.parent().unwrap_or(Path::new("/")).to_owned()];
        for part in pattern.strip_prefix("all:").unwrap_or(pattern).split('/') {
            places = places.iter().flat_map(|place| entries(place)).filter(|place| fits(part, place)).collect();
        }
        while let Some(place) = places.pop() {
            if place.is_dir() && !place.is_symlink() {
                places.extend(entries(&place));
            } else if place.is_file() {
                see(place)?;
            }
        }
    }
    Ok(())
}

/// The patterns of one `//go:embed`: words, or in quotes.
fn patterns(mut line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    loop {
        line = line.trim_start();
        let Some(first) = line.chars().next() else { return found };
        let quoted = matches!(first, '"' | '`');
        let rest = if quoted { &line[1..] } else { line };
        let end = rest.find(|c: char| if quoted { c == first } else { c.is_whitespace() }).unwrap_or(rest.len());
        found.push(&rest[..end]);
        line = rest.get(end + 1..).unwrap_or_default();
    }
}

/// True if the name of a file is as Go's `path.Match` wants it. A class such as `[a-z]` fits any character here: one file too
/// many costs a build, one too few a wrong component.
fn fits(pattern: &str, place: &Path) -> bool {
    fn all(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|from| all(rest, &name[from..])),
            ['[', rest @ ..] => {
                let end = rest.iter().position(|c| *c == ']').map_or(rest.len(), |end| end + 1);
                !name.is_empty() && all(&rest[end..], &name[1..])
            }
            ['\\', wanted, rest @ ..] => name.first() == Some(wanted) && all(rest, &name[1..]),
            [wanted, rest @ ..] => name.first().is_some_and(|c| *wanted == '?' || wanted == c) && all(rest, &name[1..]),
        }
    }
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    all(&chars(pattern), &chars(&place.file_name().unwrap_or_default().to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns_as_go_has_them() {
        for (pattern, name, wanted) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "a.csv.gz", false),
            ("a*b*c", "a-b-b-c", true),
            ("?", "ä", true),
            ("?", "", false),
            ("[a-c].md", "b.md", true),
            ("[a-c", "b", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, Path::new(name)), wanted, "{pattern} {name}");
        }
    }
}
