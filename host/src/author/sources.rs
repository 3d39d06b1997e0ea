//! The files that go into a component: those of its project, and what it shares with others.
//!
//! Shared are the files beside the list of packages that the project takes from a folder above its own (but not the projects
//! there), and whatever a source names by a relative path in quotes, as `#include`, `import` and `path = ` do, or after
//! `//go:embed`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::packages;
use super::project::{PROJECT_FILE, Project};
use crate::limits;

/// What at the top of a project is made, or is not for the component.
const BESIDE: &[&str] = &["build", "fixtures", "atlas.toml"];
/// Records, and words for people, at the top of a project: a plugin is tried where it is written.
const DATA: &[&str] = &["md", "ndjson", "jsonl", "csv", "tsv", "gz", "zst"];
/// The folder that a crate's path leads to is a source as a whole.
const CRATE_FILE: &str = "Cargo.toml";

/// Gives each file once, with its bytes. False if there are too many to look at, or one cannot be read.
pub(super) fn each(project: &Project, see: &mut dyn FnMut(&Path, &[u8])) -> bool {
    let mut walk = Walk { project, seen: BTreeSet::new(), waiting: Vec::new() };
    let Ok(folder) = std::path::absolute(&project.folder) else { return false };
    if !walk.folder(&folder, true) {
        return false;
    }
    if let Some(list) = project.language.packages
        && let Ok(home) = packages::home(project, list)
        && home != folder
        && !walk.folder(&home, false)
    {
        return false;
    }
    while let Some(path) = walk.waiting.pop() {
        let Ok(bytes) = fs::read(&path) else { return false };
        see(&path, &bytes);
        if bytes.len() > limits::SOURCE_BYTES_MAX {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        if !walk.named_in(&path, &text) || !walk.embedded_in(&path, &text) {
            return false;
        }
    }
    true
}

struct Walk<'a> {
    project: &'a Project,
    seen: BTreeSet<PathBuf>,
    waiting: Vec<PathBuf>,
}

impl Walk<'_> {
    /// Takes in a file that was not yet met; false if they become too many.
    fn file(&mut self, path: PathBuf) -> bool {
        if self.seen.insert(path.clone()) {
            self.waiting.push(path);
        }
        self.seen.len() <= limits::PROJECT_FILES_MAX
    }

    /// Takes in a folder with all below it; of one that is not the project's own without the projects in it.
    fn folder(&mut self, top: &Path, own: bool) -> bool {
        let mut folders = vec![(top.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { return false };
            for path in entries.flatten().map(|entry| entry.path()) {
                if self.skipped(&path, depth) {
                    continue;
                }
                if path.is_dir() && !path.is_symlink() {
                    if own || !path.join(PROJECT_FILE).is_file() {
                        folders.push((path, depth + 1));
                    }
                } else if !self.file(path) {
                    return false;
                }
            }
        }
        true
    }

    fn skipped(&self, path: &Path, depth: usize) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with('.')
            || self.project.language.ignored.iter().any(|ignored| ignored.trim_end_matches('/') == name)
            // Further down such a file may be part of the plugin (`include_str!`).
            || depth == 0
                && (path.extension().is_some_and(|extension| DATA.iter().any(|data| extension == *data))
                    || name.ends_with(".db")
                    || name.contains(".db-")
                    || name.contains(".db.")
                    || BESIDE.contains(&&*name))
    }

    /// Takes in what a text names by a relative path in quotes, where that is there.
    fn named_in(&mut self, path: &Path, text: &str) -> bool {
        let folder = path.parent().unwrap_or(Path::new("/"));
        for (at, quote) in text.match_indices(['"', '\'']) {
            let rest = &text[at + 1..];
            if !rest.starts_with("./") && !rest.starts_with("../") {
                continue;
            }
            let end = rest.find([quote.chars().next().unwrap_or('"'), '\n']).unwrap_or(rest.len());
            let place = straight(&folder.join(&rest[..end]));
            if place.is_file() && !self.file(place.clone()) {
                return false;
            }
            if place.join(CRATE_FILE).is_file()
                && !self.seen.contains(&place.join(CRATE_FILE))
                && !self.folder(&place, false)
            {
                return false;
            }
        }
        true
    }

    /// Takes in what a Go source embeds: files wherever they lie, and folders with all below them.
    fn embedded_in(&mut self, path: &Path, text: &str) -> bool {
        if path.extension().is_none_or(|extension| extension != "go") {
            return true;
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
                } else if !self.file(place) {
                    return false;
                }
            }
        }
        true
    }
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

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map_or_else(|_| Vec::new(), |all| all.flatten().map(|entry| entry.path()).collect())
}

/// Without `.` and `..`, so that one file has one name.
fn straight(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::language::Language;
    use super::super::project::Kind;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    fn found(project: &Project, top: &Path) -> Vec<String> {
        let mut names = Vec::new();
        assert!(each(project, &mut |path, _| names.push(path.strip_prefix(top).unwrap().display().to_string())));
        names.sort();
        names.retain(|name| !name.contains("/wit/") && !name.ends_with("plugin.toml"));
        names
    }

    fn made(language: &str, folder: &Path) -> Project {
        let plan = Plan { name: "p".into(), language: Language::find(language).unwrap(), kind: Kind::Operation };
        scaffold(&plan, folder).unwrap();
        Project::open(folder).unwrap()
    }

    #[test]
    fn what_projects_share_belongs_to_each_of_them_and_other_projects_do_not() {
        let home = tempfile::tempdir().unwrap();
        let (top, one) = (home.path(), home.path().join("one"));
        let project = made("python", &one);
        made("python", &top.join("two"));
        fs::rename(one.join("requirements.txt"), top.join("requirements.txt")).unwrap();
        fs::create_dir(top.join("together")).unwrap();
        fs::write(top.join("together/__init__.py"), "x = 1").unwrap();
        fs::write(top.join("README.md"), "words").unwrap();
        // At the top records are what it is tried with; further down they may be part of it.
        fs::write(one.join("sample.csv"), "a,b").unwrap();
        fs::write(one.join("src/countries.csv"), "a,b").unwrap();
        assert_eq!(
            found(&project, top),
            ["one/src/countries.csv", "one/src/plugin.py", "requirements.txt", "together/__init__.py"]
        );
        fs::remove_file(one.join("src/countries.csv")).unwrap();
    }

    #[test]
    fn what_a_source_names_beside_its_project_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let (top, one) = (home.path(), home.path().join("c/one"));
        let project = made("c", &one);
        fs::create_dir_all(top.join("c/common")).unwrap();
        fs::write(one.join("src/more.c"), "#include \"../../common/a.c\"\n#include \"../../common/none.c\"\n").unwrap();
        fs::write(top.join("c/common/a.c"), "#include \"./b.h\"\n").unwrap();
        fs::write(top.join("c/common/b.h"), "").unwrap();
        fs::write(top.join("c/common/other.h"), "").unwrap();
        let files = found(&project, top);
        assert!(files.contains(&"c/common/a.c".to_owned()) && files.contains(&"c/common/b.h".to_owned()), "{files:?}");
        assert!(!files.contains(&"c/common/other.h".to_owned()), "{files:?}");
    }

    #[test]
    fn what_a_go_source_embeds_is_a_source_wherever_it_lies() {
        let home = tempfile::tempdir().unwrap();
        let (top, one) = (home.path(), home.path().join("one"));
        let project = made("go", &one);
        for beside in ["countries.csv", "tried.ndjson", "atlas.db", "a b.md", "t1.tsv", "t22.tsv", "z.gz"] {
            fs::write(one.join(beside), "").unwrap();
        }
        fs::create_dir_all(one.join("fixtures/deep")).unwrap();
        fs::write(one.join("fixtures/deep/rows.csv"), "").unwrap();
        let data = |project: &Project| {
            let mut files = found(project, top);
            files.retain(|name| !name.ends_with(".go") && !name.ends_with("go.mod"));
            files
        };
        assert_eq!(data(&project), [""; 0], "records beside the sources are what it is tried with");
        let embeds = "package main\n//go:embed countries.csv \"a b.md\" `t?.tsv`\nvar a embed.FS\n\
            var (\n\t//go:embed all:fixtures/d*\n\tb embed.FS\n)\n//go:embedded z.gz\n// countries.tsv\n";
        fs::write(one.join("data.go"), embeds).unwrap();
        assert_eq!(data(&project), ["one/a b.md", "one/countries.csv", "one/fixtures/deep/rows.csv", "one/t1.tsv"]);
    }

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

    #[test]
    fn a_crate_that_is_named_by_its_path_is_a_source_as_a_whole() {
        let home = tempfile::tempdir().unwrap();
        let (top, one) = (home.path(), home.path().join("one"));
        let project = made("rust", &one);
        fs::create_dir_all(top.join("common/src")).unwrap();
        fs::write(top.join("common/Cargo.toml"), "[package]\n").unwrap();
        fs::write(top.join("common/src/lib.rs"), "").unwrap();
        let manifest = fs::read_to_string(one.join("Cargo.toml")).unwrap();
        fs::write(one.join("Cargo.toml"), manifest + "\n[dependencies.common]\npath = \"../common\"\n").unwrap();
        let files = found(&project, top);
        assert!(files.contains(&"common/src/lib.rs".to_owned()), "{files:?}");
    }
}
