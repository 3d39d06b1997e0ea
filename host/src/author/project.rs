//! A plugin project: a folder with a `plugin.toml` that says what the plugin is called and how it is made.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::language::{LANGUAGES, Language};
use crate::error::{Code, Error, Result};
use crate::limits::CONFIG_BYTES_MAX;

/// Name of the file that makes a folder a project.
pub const PROJECT_FILE: &str = "plugin.toml";

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It says what becomes of each item.
    Operation,
    /// It says whether an item may pass.
    Validator,
    /// It does both, in one component.
    Both,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Operation, Kind::Validator, Kind::Both];

    /// As `plugin.toml` and `--kind` have it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Operation => "operation",
            Kind::Validator => "validator",
            Kind::Both => "both",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Kind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// True if a plugin of this kind transforms items.
    pub fn operates(self) -> bool {
        self != Kind::Validator
    }

    /// True if a plugin of this kind judges items.
    pub fn validates(self) -> bool {
        self != Kind::Operation
    }
}

/// A project as its `plugin.toml` has it.
#[derive(Debug)]
pub struct Project {
    /// Folder of the project.
    pub folder: PathBuf,
    /// Name of the plugin and of its file.
    pub name: String,
    /// Version, as `1.2.3`.
    pub version: String,
    /// One sentence; may be empty.
    pub description: String,
    /// What it is written in.
    pub language: &'static Language,
    /// What it does.
    pub kind: Kind,
    settings: BTreeMap<&'static str, &'static str>,
}

impl Project {
    /// Reads `plugin.toml` in `folder`.
    ///
    /// Errors: AUTHOR_11001, naming the file, and line and key where there is one.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(PROJECT_FILE);
        let unreadable = |why: String| {
            Error::new(Code::ProjectInvalid, format!("{} cannot be read: {why}", path.display()))
                .hint("name the folder of a plugin project; `atlas-host new` makes one")
        };
        let file = std::fs::File::open(&path).map_err(|error| unreadable(error.to_string()))?;
        let mut text = String::new();
        file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > CONFIG_BYTES_MAX {
            return Err(unreadable(format!("it has more than {CONFIG_BYTES_MAX} bytes")));
        }
        Reader { path: &path, text: &text }.project(folder)
    }

    /// A place in the project, as a user would type it: without `./`.
    pub fn at(&self, place: &str) -> PathBuf {
        self.folder.join(place).components().filter(|part| *part != Component::CurDir).collect()
    }

    /// Folder of everything that is made of the sources. Nothing in it is ever needed to build again.
    pub fn build_folder(&self) -> PathBuf {
        self.at("build")
    }

    /// Where the component is put.
    pub fn component(&self) -> PathBuf {
        self.build_folder().join(format!("{}.wasm", self.name))
    }

    /// The name as an identifier of programming languages: `_` for `-`.
    pub fn identifier(&self) -> String {
        self.name.replace('-', "_")
    }

    /// A setting of the language's own table, such as `engine` of `[javascript]`: what was chosen, else its first value.
    ///
    /// Panics if the language has no such setting.
    pub fn setting(&self, key: &str) -> &'static str {
        let of_language = self.language.settings.iter().find(|setting| setting.key == key);
        let default = of_language.expect("BUG: a setting that is not in the language's row").values[0];
        self.settings.get(key).copied().unwrap_or(default)
    }
}

/// Longest name of a plugin, in bytes: what a slot can be called.
const NAME_BYTES_MAX: usize = 63;

/// True for what can name a plugin: it becomes a file, a package of its language and a slot.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && !text.contains("--")
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// What [`is_name`] wants, in words.
pub const NAME_RULE: &str =
    "a lower-case letter first, then lower-case letters, digits and single hyphens, at most 63 characters";

fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    core.split('.').count() == 3 && core.split('.').all(is_number) && text.chars().all(legal)
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Reader<'_> {
    fn project(&self, folder: &Path) -> Result<Project> {
        let root = DeTable::parse(self.text).map_err(|error| {
            self.refused(error.span().map_or(0, |span| span.start), error.message()).hint("the file must be TOML")
        })?;
        let mut texts: BTreeMap<&'static str, (String, usize)> = BTreeMap::new();
        let mut tables = Vec::new();
        let mut plugin_at = None;
        for (key, value) in root.into_inner() {
            let at = key.span().start;
            let name = key.into_inner();
            let DeValue::Table(table) = value.into_inner() else {
                return Err(self.refused(at, &format!("{name} stands outside of a table, wanted [plugin]")));
            };
            if name != "plugin" {
                tables.push((name.into_owned(), at, table));
                continue;
            }
            plugin_at = Some(at);
            for (key, value) in table {
                let at = key.span().start;
                let known = KEYS.iter().find(|known| **known == *key.get_ref());
                let Some(known) = known else { return Err(self.unknown(at, key.get_ref(), "[plugin]", KEYS)) };
                texts.insert(known, (self.text_of(known, at, &value)?, value.span().start));
            }
        }
        let Some(plugin_at) = plugin_at else { return Err(self.refused(0, "the table [plugin] is missing")) };
        let wanted = |key: &'static str| {
            let missing = || self.refused(plugin_at, &format!("[plugin] lacks {key}"));
            texts.get(key).map(|(text, at)| (text.as_str(), *at)).ok_or_else(missing)
        };
        let (name, at) = wanted("name")?;
        if !is_name(name) {
            return Err(self.refused(at, &format!("name is {name:?}, wanted {NAME_RULE}")));
        }
        let (version, at) = wanted("version")?;
        if !is_version(version) {
            return Err(self.refused(at, &format!("version is {version:?}, wanted three numbers such as 1.2.3")));
        }
        let (word, at) = wanted("language")?;
        let language = Language::find(word).ok_or_else(|| {
            let names: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
            self.refused(at, &format!("language is {word:?}, wanted one of {}", names.join(", ")))
        })?;
        let (word, at) = wanted("kind")?;
        let kind = Kind::parse(word).ok_or_else(|| {
            self.refused(at, &format!("kind is {word:?}, wanted one of {}", Kind::ALL.map(Kind::name).join(", ")))
        })?;
        Ok(Project {
            folder: folder.to_owned(),
            name: name.to_owned(),
            version: version.to_owned(),
            description: texts.get("description").map(|(text, _)| text.clone()).unwrap_or_default(),
            language,
            kind,
            settings: self.settings(language, tables)?,
        })
    }

    /// The language's own table, which alone may stand beside `[plugin]`.
    fn settings(
        &self,
        language: &'static Language,
        tables: Vec<(String, usize, DeTable<'_>)>,
    ) -> Result<BTreeMap<&'static str, &'static str>> {
        let mut settings = BTreeMap::new();
        for (name, at, table) in tables {
            if name != language.name || language.settings.is_empty() {
                let own: &[&str] = if language.settings.is_empty() { &[] } else { &[language.name] };
                return Err(self.unknown(at, &name, "a project in this language", &[&["plugin"], own].concat()));
            }
            for (key, value) in table {
                let at = key.span().start;
                let Some(setting) = language.settings.iter().find(|setting| setting.key == *key.get_ref()) else {
                    let keys: Vec<&str> = language.settings.iter().map(|setting| setting.key).collect();
                    return Err(self.unknown(at, key.get_ref(), &format!("[{name}]"), &keys));
                };
                let text = self.text_of(setting.key, at, &value)?;
                let Some(chosen) = setting.values.iter().find(|value| **value == text) else {
                    let wanted = setting.values.join(", ");
                    return Err(self.refused(at, &format!("{} is {text:?}, wanted one of {wanted}", setting.key)));
                };
                settings.insert(setting.key, *chosen);
            }
        }
        Ok(settings)
    }

    fn text_of(&self, key: &str, at: usize, value: &Spanned<DeValue<'_>>) -> Result<String> {
        let wrong = || self.refused(at, &format!("{key} is no text; write {key} = \"…\""));
        value.get_ref().as_str().map(str::to_owned).ok_or_else(wrong)
    }

    fn unknown(&self, at: usize, key: &str, place: &str, known: &[&str]) -> Error {
        self.refused(at, &format!("{place} has no {key}, it has {}", known.join(", ")))
    }

    fn refused(&self, at: usize, why: &str) -> Error {
        let line = 1 + self.text[..at.min(self.text.len())].matches('\n').count();
        Error::new(Code::ProjectInvalid, format!("{}:{line}: {why}", self.path.display()))
            .hint("mend the line; `atlas-host new` makes a project that has all of it right")
    }
}

/// The keys of `[plugin]`.
const KEYS: &[&str] = &["name", "version", "description", "language", "kind"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Project> {
        Reader { path: Path::new("p/plugin.toml"), text }.project(Path::new("p"))
    }

    const GOOD: &str = "[plugin]\nname = \"a-b\"\nversion = \"1.2.3-rc.1\"\nlanguage = \"rust\"\nkind = \"both\"\n";

    #[test]
    fn a_project_is_what_its_file_says() {
        let project = read(GOOD).unwrap();
        assert_eq!((project.name.as_str(), project.version.as_str(), project.kind), ("a-b", "1.2.3-rc.1", Kind::Both));
        assert_eq!(project.component(), Path::new("p/build/a-b.wasm"));
        assert_eq!((project.identifier().as_str(), project.description.as_str()), ("a_b", ""));
        assert!(Kind::Both.operates() && Kind::Both.validates());
        assert!(!Kind::Validator.operates() && !Kind::Operation.validates());
    }

    #[test]
    fn a_mistake_is_refused_with_its_line() {
        for (from, to, words) in [
            ("kind = \"both\"", "kind = \"nothing\"", &["p/plugin.toml:5", "nothing", "validator"][..]),
            ("kind = \"both\"\n", "", &["p/plugin.toml:1", "lacks kind"]),
            ("kind = \"both\"", "kind = 7", &["p/plugin.toml:5", "kind is no text"]),
            ("language = \"rust\"", "language = \"cobol\"", &["p/plugin.toml:4", "cobol", "rust"]),
            ("name = \"a-b\"", "name = \"A b\"", &["p/plugin.toml:2", "A b", "lower-case"]),
            ("1.2.3-rc.1", "1.2", &["p/plugin.toml:3", "1.2.3"]),
            ("name = ", "title = \"x\"\nname = ", &["p/plugin.toml:2", "title", "name, version"]),
            ("[plugin]", "top = 1\n[plugin]", &["p/plugin.toml:1", "top", "[plugin]"]),
            ("kind = \"both\"\n", "kind = \"both\"\n[cobol]\n", &["p/plugin.toml:6", "cobol"]),
            ("[plugin]", "[plugin", &["p/plugin.toml:1"]),
        ] {
            let error = read(&GOOD.replace(from, to)).unwrap_err();
            assert_eq!(error.code(), Code::ProjectInvalid);
            for word in words {
                assert!(error.to_string().contains(word), "{to:?}: {error} lacks {word:?}");
            }
        }
        assert!(read("").unwrap_err().to_string().contains("[plugin] is missing"));
    }

    #[test]
    fn names_fit_files_packages_and_slots() {
        for good in ["a", "ticket-tidy", "v2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "2v", "-a", "a-", "a--b", "a_b", "Ä", "a/b", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
