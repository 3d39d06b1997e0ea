//! The files that go into a component: those of its project, and what it shares with others.
//!
//! Shared are the files beside the list of packages that the project takes from a folder above its own (but not the projects
//! there), and whatever a source names by a relative path in quotes, as `import` and `path = ` do, by any name in quotes after
//! `#include`, or after `//go:embed`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::embeds;
use super::packages;
use super::project::{PROJECT_FILE, Project};
use super::tools::from_anywhere;
use crate::limits;

/// The folder at the top of a project for what is made.
const MADE: &str = "build";
/// What else lies at the top of a project and is not for the component.
const BESIDE: &[&str] = &["fixtures", "atlas.toml"];
/// Records, and words for people, at the top of a project: a plugin is tried where it is written.
const DATA: &[&str] = &["md", "ndjson", "jsonl", "csv", "tsv", "gz", "zst"];
/// The folder that a crate's path leads to is a source as a whole.
const CRATE_FILE: &str = "Cargo.toml";

/// A place that cannot be told, and why.
pub(super) type Culprit = (PathBuf, io::Error);

/// Gives each file once, with its bytes; a link to anything but a file with the place that it leads to. What is neither, such as
/// a pipe, is left out, and a file that nobody can read counts as an empty one: no compiler can read it either.
///
/// Errors: the folder that cannot be looked into, or the file that is one too many to look at.
pub(super) fn each(project: &Project, see: &mut dyn FnMut(&Path, &[u8])) -> Result<(), Culprit> {
    let mut walk = Walk::new(project);
    let top = walk.top.clone();
    walk.folder(&top, true)?;
    if let Some(list) = project.language.packages
        && let Ok(home) = packages::home(project, list)
        && home != top
    {
        walk.folder(&home, false)?;
    }
    while let Some(path) = walk.waiting.pop() {
        let bytes = content(&path);
        see(&path, &bytes);
        if bytes.len() <= limits::SOURCE_BYTES_MAX {
            let text = String::from_utf8_lossy(&bytes);
            walk.named_in(&path, &text)?;
            walk.read_by_crate(&path, &text)?;
            embeds::each(&path, &text, &mut |embedded| walk.file(embedded))?;
        }
    }
    Ok(())
}

/// When what lies at the top of a project, and in the folder of its sources, was saved last: tells that something was, where
/// there are more files than are read.
pub(super) fn saved(project: &Project) -> Vec<(PathBuf, Option<SystemTime>)> {
    let walk = Walk::new(project);
    let mut paths: Vec<PathBuf> = entries(&walk.top).into_iter().filter(|path| !walk.skipped(path, 0)).collect();
    let mut looked_at = 0;
    while looked_at < paths.len() && paths.len() <= limits::PROJECT_FILES_MAX {
        let path = &paths[looked_at];
        let deeper = path.starts_with(&walk.source) && path.is_dir() && !path.is_symlink();
        let below = if deeper { entries(path) } else { Vec::new() };
        paths.extend(below);
        looked_at += 1;
    }
    let with_time = |path: PathBuf| {
        let time = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
        (path, time)
    };
    paths.into_iter().map(with_time).collect()
}

fn content(path: &Path) -> Vec<u8> {
    match path.is_file() {
        true => fs::read(path).unwrap_or_default(),
        false => fs::read_link(path).map(|target| target.into_os_string().into_vec()).unwrap_or_default(),
    }
}

struct Walk<'a> {
    project: &'a Project,
    top: PathBuf,
    /// The folder of the language's sources.
    source: PathBuf,
    seen: BTreeSet<PathBuf>,
    /// Where links have led into folders.
    entered: BTreeSet<PathBuf>,
    waiting: Vec<PathBuf>,
}

impl<'a> Walk<'a> {
    fn new(project: &'a Project) -> Self {
        let top = from_anywhere(project.folder.clone());
        let source = top.join(Path::new(project.language.source).parent().unwrap_or(Path::new("")));
        Self { project, top, source, seen: BTreeSet::new(), entered: BTreeSet::new(), waiting: Vec::new() }
    }

    /// Takes in a file that was not yet met, unless they become too many.
    fn file(&mut self, path: PathBuf) -> Result<(), Culprit> {
        if self.seen.len() >= limits::PROJECT_FILES_MAX && !self.seen.contains(&path) {
            let most = limits::PROJECT_FILES_MAX;
            return Err((
                path,
                io::Error::other(format!("a project has {most} files at the most, and this is one more")),
            ));
        }
        if self.seen.insert(path.clone()) {
            self.waiting.push(path);
        }
        Ok(())
    }

    /// Takes in a folder with all below it; of one that is not the project's own without the projects in it.
    fn folder(&mut self, top: &Path, own: bool) -> Result<(), Culprit> {
        fs::read_dir(top).map_err(|error| (top.to_owned(), error))?;
        let mut folders = vec![(top.to_owned(), 0)];
        while let Some((folder, depth)) = folders.pop() {
            for path in entries(&folder) {
                if self.skipped(&path, depth) {
                    continue;
                }
                let link = path.is_symlink();
                if path.is_dir() && (!link || self.leads_on(&path, own)) {
                    if own || !path.join(PROJECT_FILE).is_file() {
                        folders.push((path, depth + 1));
                    }
                } else if link || path.is_file() {
                    self.file(path)?;
                }
            }
        }
        Ok(())
    }

    /// True for a link whose folder is looked into, once: one among sources. Elsewhere it may lead anywhere (`venv/lib64`).
    fn leads_on(&mut self, link: &Path, own: bool) -> bool {
        let (Ok(to), Some(Ok(from))) = (link.canonicalize(), link.parent().map(Path::canonicalize)) else {
            return false;
        };
        (!own || link.starts_with(&self.source)) && !from.starts_with(&to) && self.entered.insert(to)
    }

    fn skipped(&self, path: &Path, depth: usize) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ignored = |pattern: &&str| {
            let anywhere = pattern.trim_start_matches('/');
            anywhere.trim_end_matches('/') == name && (depth == 0 || anywhere == *pattern)
        };
        name.starts_with('.')
            || self.project.language.ignored.iter().any(ignored)
            // Further down such a file may be part of the plugin (`include_str!`).
            || depth == 0 && (name == MADE || is_beside(&name))
    }

    /// Takes in what a text names by a relative path in quotes, or includes, where that is there.
    fn named_in(&mut self, path: &Path, text: &str) -> Result<(), Culprit> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        for (at, quote) in text.match_indices(['"', '\'']) {
            let rest = &text[at + 1..];
            let relative = rest.starts_with("./") || rest.starts_with("../") || includes(&text[..at]);
            // A crate's path needs no dot: `path = "vendor/json"`, where a link may lead.
            if !relative && !path.ends_with(CRATE_FILE) {
                continue;
            }
            let end = rest.find([quote.chars().next().unwrap_or('"'), '\n']).unwrap_or(rest.len());
            let place = straight(&folder.join(&rest[..end]));
            if relative && place.is_file() {
                self.file(place.clone())?;
            }
            if place.join(CRATE_FILE).is_file() && !self.seen.contains(&place.join(CRATE_FILE)) {
                self.folder(&place, false)?;
            }
        }
        Ok(())
    }

    /// Takes in what a source in Rust, such as `build.rs`, names of what lies beside the sources at the top of its crate:
    /// `concat!(env!("CARGO_MANIFEST_DIR"), "/countries.csv")`.
    fn read_by_crate(&mut self, path: &Path, text: &str) -> Result<(), Culprit> {
        if path.extension().is_none_or(|extension| extension != "rs") {
            return Ok(());
        }
        let top = path.ancestors().skip(1).find(|folder| folder.join(CRATE_FILE).is_file());
        let Some(top) = top.map(Path::to_owned) else { return Ok(()) };
        for quoted in text.split(['"', '\n']) {
            // What comes before a slash may be the folder itself: `{root}/countries.csv`.
            for at in std::iter::once(0).chain(quoted.match_indices('/').map(|(at, _)| at + 1)) {
                let name = &quoted[at..];
                if !is_beside(name.split('/').next().unwrap_or_default()) {
                    continue;
                }
                let place = straight(&top.join(name));
                if place.is_file() {
                    self.file(place)?;
                }
            }
        }
        Ok(())
    }
}

/// True for the name of something at the top of a project that is not for the component, unless a source names it.
fn is_beside(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| DATA.iter().any(|data| extension == *data))
        || name.ends_with(".db")
        || name.contains(".db-")
        || name.contains(".db.")
        || BESIDE.contains(&name)
}

/// True for a text after which C has the name of a file that belongs there.
fn includes(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '\t']);
    let directive = ["include", "embed"].iter().find_map(|word| before.strip_suffix(word));
    directive.is_some_and(|rest| rest.trim_end_matches([' ', '\t']).ends_with('#'))
}

/// What lies in a folder; nothing where it cannot be looked into.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
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
    use std::os::unix::fs::symlink;

    use super::super::language::Language;
    use super::super::project::Kind;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    fn found(project: &Project, top: &Path) -> Vec<String> {
        let mut names = Vec::new();
        each(project, &mut |path, _| names.push(path.strip_prefix(top).unwrap().display().to_string())).unwrap();
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
        let text =
            "#include \"./b.h\"\n# include\t\"c.h\"\n#embed \"d.bin\"\n// include \"other.h\"\n#include \"none.h\"\n";
        fs::write(top.join("c/common/a.c"), text).unwrap();
        for name in ["b.h", "c.h", "d.bin", "other.h"] {
            fs::write(top.join("c/common").join(name), "").unwrap();
        }
        let mut files = found(&project, top);
        files.retain(|name| name.starts_with("c/common"));
        assert_eq!(files, ["c/common/a.c", "c/common/b.h", "c/common/c.h", "c/common/d.bin"]);
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

    #[test]
    fn a_crate_behind_a_link_is_a_source_though_its_path_has_no_dot() {
        let home = tempfile::tempdir().unwrap();
        let (top, one) = (home.path(), home.path().join("one"));
        let project = made("rust", &one);
        fs::create_dir_all(top.join("crates/common")).unwrap();
        fs::write(top.join("crates/common/Cargo.toml"), "[package]\n").unwrap();
        fs::write(top.join("crates/common/lib.rs"), "").unwrap();
        symlink("../crates", one.join("vendor")).unwrap();
        let manifest = fs::read_to_string(one.join("Cargo.toml")).unwrap();
        fs::write(one.join("Cargo.toml"), manifest + "\n[dependencies.common]\npath = \"vendor/common\"\n").unwrap();
        let files = found(&project, top);
        assert!(files.contains(&"one/vendor/common/lib.rs".to_owned()), "{files:?}");
    }

    #[test]
    fn what_is_made_lies_at_the_top_and_a_module_of_its_name_is_a_source() {
        let home = tempfile::tempdir().unwrap();
        let project = made("rust", home.path());
        for folder in ["target/release", "src/target", "src/build"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        for file in ["target/release/made.rs", "src/target/mod.rs", "src/build/mod.rs"] {
            fs::write(home.path().join(file), "").unwrap();
        }
        let mut files = found(&project, home.path());
        files.retain(|name| !name.starts_with("wit/"));
        assert_eq!(files, ["Cargo.lock", "Cargo.toml", "src/build/mod.rs", "src/lib.rs", "src/target/mod.rs"]);
        let python = tempfile::tempdir().unwrap();
        let project = made("python", python.path());
        fs::create_dir(python.path().join("src/__pycache__")).unwrap();
        fs::write(python.path().join("src/__pycache__/plugin.pyc"), "").unwrap();
        let files = found(&project, python.path());
        assert!(!files.iter().any(|name| name.ends_with(".pyc")), "{files:?}");
    }

    #[test]
    fn records_that_a_crate_reads_at_its_top_are_sources() {
        let home = tempfile::tempdir().unwrap();
        let project = made("rust", home.path());
        fs::create_dir_all(home.path().join("build")).unwrap();
        for file in ["a.csv", "b.tsv", "c d.md", "e.csv", "tried.ndjson", "fixtures/rows.csv", "build/made.csv"] {
            fs::write(home.path().join(file), "").unwrap();
        }
        let data = |project: &Project| {
            let mut files = found(project, home.path());
            files.retain(|name| !name.ends_with(".rs") && !name.starts_with("Cargo") && !name.starts_with("wit/"));
            files
        };
        assert_eq!(data(&project), [""; 0]);
        let source = "// tried.ndjson\nconst A: &str = include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/a.csv\"));\n\
            const R: &str = concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/fixtures/rows.csv\", \"/build/made.csv\");\n";
        fs::create_dir(home.path().join("src/deep")).unwrap();
        fs::write(home.path().join("src/deep/data.rs"), source).unwrap();
        let script = "fn main() { read(\"b.tsv\"); read(format!(\"{root}/c d.md\")); read(\"gone.csv\"); }";
        fs::write(home.path().join("build.rs"), script).unwrap();
        assert_eq!(data(&project), ["a.csv", "b.tsv", "c d.md", "fixtures/rows.csv"]);
    }

    #[test]
    fn links_and_what_is_no_file_spoil_nothing() {
        let home = tempfile::tempdir().unwrap();
        let (top, one) = (home.path(), home.path().join("one"));
        let project = made("python", &one);
        for folder in ["one/venv/lib", "elsewhere/deep"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        fs::write(one.join("venv/lib/a.py"), "").unwrap();
        fs::write(top.join("elsewhere/deep/b.py"), "").unwrap();
        for (to, link) in [
            ("lib", "venv/lib64"),
            ("../elsewhere", "data"),
            ("nowhere", "gone.py"),
            ("../../elsewhere", "src/shared"),
            ("../../elsewhere", "src/again"),
            (".", "src/deeper"),
            ("..", "src/up"),
        ] {
            symlink(to, one.join(link)).unwrap();
        }
        // In a folder that a link leads to, the way back is a link, too.
        symlink("../../one/src", top.join("elsewhere/deep/back")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(one.join("pipe")).status().unwrap().success());
        let mut seen = std::collections::BTreeMap::new();
        each(&project, &mut |path, bytes| drop(seen.insert(path.to_owned(), bytes.to_vec()))).unwrap();
        let bytes = |name: &str| seen.get(&one.join(name)).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        for (link, to) in [("venv/lib64", "lib"), ("data", "../elsewhere"), ("gone.py", "nowhere"), ("src/up", "..")] {
            assert_eq!(bytes(link).as_deref(), Some(to), "{link}");
        }
        let through = ["src/shared/deep/b.py", "src/again/deep/b.py"].map(|name| bytes(name).is_some());
        assert!(through[0] != through[1], "a folder is looked into once: {:?}", seen.keys());
        assert!(bytes("venv/lib/a.py").is_some() && bytes("pipe").is_none(), "{:?}", seen.keys());
        assert!(seen.len() < 40, "{:?}", seen.keys());
    }

    #[test]
    fn a_project_with_too_many_files_says_so_and_tells_what_was_saved() {
        use super::super::build::sources_digest;

        let home = tempfile::tempdir().unwrap();
        let project = made("python", home.path());
        fs::create_dir_all(home.path().join("data/deep")).unwrap();
        for number in 0..=limits::PROJECT_FILES_MAX {
            fs::write(home.path().join(format!("data/deep/{number}")), "").unwrap();
        }
        let (place, error) = each(&project, &mut |_, _| {}).unwrap_err();
        assert!(place.starts_with(home.path()) && error.to_string().contains("10000 files"), "{error}");
        let before = sources_digest(&project);
        assert_eq!(sources_digest(&project), before);
        let saved = |file: &str, seconds: u64| {
            let file = fs::File::options().append(true).open(home.path().join(file)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
            sources_digest(&project)
        };
        let after = saved("src/plugin.py", 1);
        assert_ne!(after, before);
        assert_ne!(saved("requirements.txt", 1), after);
    }
}
