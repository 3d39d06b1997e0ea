//! Is a project's component up to date? A stamp beside it says of which sources it was made, by content.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::project::Project;
use super::sources;
use crate::model::Digest;

/// Digests of the files that go into a component, by path; none where there are too many to look at.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sources(Option<BTreeMap<PathBuf, Digest>>);

impl Sources {
    pub fn of(project: &Project) -> Self {
        let mut files = BTreeMap::new();
        let whole = sources::each(project, &mut |path, bytes| {
            files.insert(path.to_owned(), Digest::of(bytes));
        });
        Self(whole.is_ok().then_some(files))
    }

    /// True if every file of `self` is the same in `later`: tools may add files, such as locks.
    fn unchanged_in(&self, later: &Self) -> bool {
        let (Some(before), Some(after)) = (&self.0, &later.0) else { return false };
        before.iter().all(|(path, digest)| after.get(path) == Some(digest))
    }

    /// One digest over all of them; none where they cannot be told.
    pub fn digest(&self) -> Option<Digest> {
        let files = self.0.as_ref()?;
        let all: String = files.iter().map(|(path, digest)| format!("{} {digest}\n", path.display())).collect();
        Some(Digest::of(all.as_bytes()))
    }

    fn text(&self, component: &[u8]) -> Option<String> {
        let made_by = env!("CARGO_PKG_VERSION");
        Some(format!("{made_by} {} {}\n", self.digest()?, Digest::of(component)))
    }
}

fn place(project: &Project) -> PathBuf {
    project.component().with_extension("stamp")
}

/// True if the component at its usual place was made of what the project has now.
pub(super) fn is_fresh(project: &Project) -> bool {
    let Ok(component) = fs::read(project.component()) else { return false };
    let Ok(stamp) = fs::read_to_string(place(project)) else { return false };
    Sources::of(project).text(&component) == Some(stamp)
}

/// Notes of what the component at its usual place was made; not if a source changed since `before`. A note that cannot be
/// written costs another build.
pub(super) fn note(project: &Project, before: &Sources, component: &[u8]) {
    let now = Sources::of(project);
    match now.text(component).filter(|_| before.unchanged_in(&now)) {
        Some(text) => drop(fs::write(place(project), text)),
        None => drop(fs::remove_file(place(project))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::language::{LANGUAGES, Language};
    use super::super::project::Kind;
    use super::super::scaffold::{Plan, scaffold};
    use super::*;

    #[test]
    fn a_component_is_as_fresh_as_what_it_shares() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("p");
        let plan = Plan { name: "p".into(), language: Language::find("python").unwrap(), kind: Kind::Both };
        scaffold(&plan, &folder).unwrap();
        // The list of packages above the project, with a module beside it, as guests/python has them.
        fs::rename(folder.join("requirements.txt"), home.path().join("requirements.txt")).unwrap();
        fs::create_dir(home.path().join("shared")).unwrap();
        fs::write(home.path().join("shared/rules.py"), "MOST = 1").unwrap();
        let project = Project::open(&folder).unwrap();
        fs::create_dir(project.build_folder()).unwrap();
        fs::write(project.component(), "component").unwrap();
        note(&project, &Sources::of(&project), b"component");
        assert!(is_fresh(&project));
        for (shared, text) in [("shared/rules.py", "MOST = 2"), ("requirements.txt", "componentize-py==0.0.0")] {
            fs::write(home.path().join(shared), text).unwrap();
            assert!(!is_fresh(&project), "{shared}");
            note(&project, &Sources::of(&project), b"component");
            assert!(is_fresh(&project));
        }
    }

    #[test]
    fn a_component_is_as_fresh_as_its_sources() {
        let home = tempfile::tempdir().unwrap();
        let plan = Plan { name: "p".into(), language: &LANGUAGES[0], kind: Kind::Both };
        scaffold(&plan, home.path()).unwrap();
        let project = Project::open(home.path()).unwrap();
        fs::create_dir(project.build_folder()).unwrap();
        assert!(!is_fresh(&project));
        let before = Sources::of(&project);
        fs::write(project.component(), "component").unwrap();
        fs::write(home.path().join("made.lock"), "by a tool").unwrap();
        note(&project, &before, b"component");
        assert!(is_fresh(&project));
        for beside in ["README.md", "contacts.ndjson", "atlas.db", "atlas.db-wal", "atlas.db.lock", "atlas.toml"] {
            fs::write(home.path().join(beside), "other words").unwrap();
        }
        fs::write(home.path().join("fixtures/more.json"), "{}").unwrap();
        assert!(is_fresh(&project));
        fs::write(home.path().join("wit/types.wit"), "package a:b;").unwrap();
        assert!(!is_fresh(&project));
        note(&project, &before, b"component");
        assert!(!is_fresh(&project), "a source changed while it was built");
        note(&project, &Sources::of(&project), b"component");
        fs::write(project.component(), "another").unwrap();
        assert!(!is_fresh(&project), "the component is another");
    }
}
