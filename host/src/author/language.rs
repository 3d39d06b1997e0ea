//! The table of languages.
//!
//! To add one: a file beside this one with a `build`, a folder of templates, and a row here.

use super::project::{Kind, Project};
use super::tools::Tools;
use super::{c, go, javascript, python, rust};
use crate::error::Result;

/// Every language that `new` and `build` know.
pub const LANGUAGES: &[Language] = &[rust::LANGUAGE, javascript::LANGUAGE, python::LANGUAGE, c::LANGUAGE, go::LANGUAGE];

/// One language.
#[derive(Debug)]
pub struct Language {
    /// As `plugin.toml` and `--lang` have it.
    pub name: &'static str,
    /// As people write it: `Rust`.
    pub title: &'static str,
    /// The file of a new project that its author changes first.
    pub(super) source: &'static str,
    /// What has to be installed, and by which commands: a part of the README of a new project, in Markdown.
    pub(super) needs: &'static str,
    /// What the language's own table in `plugin.toml` may set.
    pub(super) settings: &'static [Setting],
    /// The file that lists packages, which projects may share by having it in a folder above them.
    pub(super) packages: Option<&'static str>,
    /// The files of a new project, beside those that projects of all languages have.
    pub(super) templates: &'static [Template],
    /// What `.gitignore` of a new project names beside `/build/`: with a slash before it at the top alone, else at any depth.
    pub(super) ignored: &'static [&'static str],
    /// Compiles a project with the language's own tools.
    pub(super) build: fn(&Project, &Tools<'_>) -> Result<Produced>,
}

impl Language {
    /// The language of that name.
    pub fn find(name: &str) -> Option<&'static Language> {
        LANGUAGES.iter().find(|language| language.name == name)
    }
}

impl PartialEq for Language {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// A key of the language's own table in `plugin.toml`.
#[derive(Debug)]
pub(super) struct Setting {
    /// The key.
    pub key: &'static str,
    /// What it may be; the first is what it is where the file is silent.
    pub values: &'static [&'static str],
}

/// A file of a new project. In path and text `%NAME%`, `%IDENTIFIER%` (the name with `_` for `-`), `%VERSION%`,
/// `%DESCRIPTION%`, `%KIND%` and `%WORLD%` are filled in.
#[derive(Debug)]
pub(super) struct Template {
    /// Place in the project.
    pub path: &'static str,
    /// Text.
    pub text: &'static str,
    /// The kind of plugin that it is for; none for all of them.
    pub kind: Option<Kind>,
}

/// What a language's own tools made.
#[derive(Debug)]
pub(super) struct Produced {
    /// A core module or a component.
    pub wasm: Vec<u8>,
    /// Name and version of each tool that had a part in it.
    pub tools: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_has_what_a_project_needs() {
        let mut names: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), LANGUAGES.len(), "two rows have one name");
        for language in LANGUAGES {
            assert!(language.settings.iter().all(|setting| !setting.values.is_empty()), "{}", language.name);
            assert!(!language.needs.is_empty() && !language.source.is_empty(), "{}", language.name);
        }
    }
}
