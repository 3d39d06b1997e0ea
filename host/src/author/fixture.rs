//! Fixtures: items, and the answers that are wanted for them, in JSON files that people write and `test --update` mends.
//!
//! A file is changed in place: what stands around an answer stays, byte for byte.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::exact::Json;
use super::expect::{OUTCOMES, VERDICTS, judge_wanted};
use super::rows::{Rows, Table};
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Name, Pointer};
use crate::plugin::Grants;
use crate::source::judge_body;

/// What stands where no answer is wanted any more.
const NULL: &str = "null";

/// The clock that plugins under test see where the file sets none: the beginning of 2026.
const CLOCK_MS: u64 = 1_767_225_600_000;

/// One file of fixtures.
#[derive(Debug)]
pub struct Fixture {
    /// Where it lies.
    pub path: PathBuf,
    /// Its cases, in their order.
    pub cases: Vec<Case>,
    /// The plugin's own settings.
    pub(super) config: BTreeMap<String, String>,
    /// What the plugin is granted, which is nothing of the user's.
    pub(super) grants: Grants,
    /// What is stored before each case.
    pub(super) store: Rows,
    /// The run's clock, in milliseconds since the Unix epoch.
    pub(super) clock_ms: u64,
    /// The run's seed.
    pub(super) seed: u64,
    /// Which attempt each call is, from 1.
    pub(super) attempt: u32,
    text: String,
}

/// Items that come in one call.
#[derive(Debug)]
pub struct Case {
    /// What it shows.
    pub name: String,
    pub(super) items: Vec<Given>,
}

/// An item and what is wanted for it.
#[derive(Debug)]
pub(super) struct Given {
    pub id: String,
    /// As it stands in the file, line breaks between tokens included.
    pub body: String,
    pub verdict: Option<Wanted>,
    pub outcome: Option<Wanted>,
    /// Answers that stand there as null, for which nothing is wanted: by their key, with their place.
    nulls: Vec<(&'static str, Range<usize>)>,
    /// Where a further answer can be put into the file.
    end: usize,
}

/// An answer that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub value: Json,
    place: Range<usize>,
}

/// An answer to be put into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    place: Range<usize>,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawFixture<'a> {
    #[serde(default)]
    config: BTreeMap<String, String>,
    #[serde(default)]
    grant_dir: Vec<String>,
    #[serde(default)]
    grant_env: Vec<String>,
    #[serde(default)]
    grant_host: Vec<String>,
    #[serde(default)]
    grant_collection: Vec<String>,
    clock_ms: Option<u64>,
    #[serde(default)]
    seed: u64,
    attempt: Option<u32>,
    #[serde(default, borrow)]
    store: BTreeMap<String, RawTable<'a>>,
    #[serde(borrow)]
    cases: Vec<RawCase<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable<'a> {
    #[serde(default)]
    indexes: BTreeMap<String, String>,
    #[serde(default, borrow)]
    rows: BTreeMap<String, &'a RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase<'a> {
    name: String,
    #[serde(borrow)]
    items: Vec<RawItem<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawItem<'a> {
    id: String,
    #[serde(borrow)]
    body: &'a RawValue,
    #[serde(default, borrow, deserialize_with = "as_written")]
    verdict: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "as_written")]
    outcome: Option<&'a RawValue>,
}

/// A null is there, too: it has a place in the file.
fn as_written<'de: 'a, 'a, D: Deserializer<'de>>(value: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

impl Fixture {
    /// The fixtures at `path`: one file, or all `*.json` of a folder, by name.
    ///
    /// Errors: AUTHOR_11004, naming the file, and the line where there is one.
    pub fn all(path: &Path) -> Result<Vec<Self>> {
        let unreadable = |why: String| {
            Error::new(Code::FixtureInvalid, format!("{}: {why}", path.display()))
                .hint("fixtures are JSON files in the folder `fixtures/` of a project; `atlas-host new` makes one")
        };
        if path.is_file() {
            return Ok(vec![Self::read(path)?]);
        }
        let entries = std::fs::read_dir(path).map_err(|error| unreadable(error.to_string()))?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|p| p.extension().is_some_and(|e| e == "json"))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(unreadable("no *.json in it".to_owned()));
        }
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(path: &Path) -> Result<Self> {
        let unreadable = |why: String| Error::new(Code::FixtureInvalid, format!("{}: {why}", path.display()));
        // A pipe would be waited for.
        let meta = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
        if !meta.is_file() {
            return Err(unreadable("it is no file".to_owned()));
        }
        let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        let mut text = String::new();
        let bound = limits::FIXTURE_BYTES_MAX;
        file.take(bound + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        if text.len() as u64 > bound {
            return Err(unreadable(format!("it has more than {bound} bytes")).hint("write several files"));
        }
        Self::parse(path, text)
    }

    fn parse(path: &Path, text: String) -> Result<Self> {
        let place = |at: usize| format!("{}:{}", path.display(), 1 + text[..at].matches('\n').count());
        let json = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let raw: RawFixture<'_> = serde_json::from_str(json).map_err(|error| {
            let told = error.to_string();
            let what = told.split(" at line ").next().unwrap_or(&told);
            Error::new(Code::FixtureInvalid, format!("{}:{}: {what}", path.display(), error.line()))
        })?;
        let refused = |at: usize, why: String| Error::new(Code::FixtureInvalid, format!("{}: {why}", place(at)));
        let mut grants = Grants::default();
        let folder = path.parent().unwrap_or(Path::new(""));
        for (key, texts) in [
            ("grant-dir", &raw.grant_dir),
            ("grant-env", &raw.grant_env),
            ("grant-host", &raw.grant_host),
            ("grant-collection", &raw.grant_collection),
        ] {
            for text in texts {
                let told = |error: Error| refused(0, error.to_string()).hint(error.hint_text());
                grants.add_of_fixture(key, text, folder).map_err(told)?;
            }
        }
        let mut cases = Vec::new();
        for case in &raw.cases {
            let at = case.items.first().map_or(0, |item| offset(&text, item.body.get()));
            if !(1..=limits::CHUNK_ITEMS_MAX).contains(&case.items.len()) {
                let (found, most) = (case.items.len(), limits::CHUNK_ITEMS_MAX);
                return Err(refused(at, format!("case {:?} has {found} items, wanted 1 to {most}", case.name)));
            }
            let given = |item| given(&text, item).map_err(|(at, why)| refused(at, why));
            cases.push(Case { name: case.name.clone(), items: case.items.iter().map(given).collect::<Result<_>>()? });
        }
        let mut store = Rows::default();
        for (name, table) in &raw.store {
            let wrong = || refused(0, format!("{name:?} cannot name a collection"));
            let name = Name::parse(name).ok_or_else(wrong)?;
            let mut indexes = BTreeMap::new();
            for (index, pointer) in &table.indexes {
                let wrong = || refused(0, format!("{pointer:?} of index {index:?} is no JSON pointer"));
                indexes.insert(index.clone(), Pointer::parse(pointer).ok_or_else(wrong)?);
            }
            let rows = table.rows.iter().map(|(id, body)| (id.clone(), body.get().to_owned())).collect();
            store.put_table(name, Table { indexes, rows });
        }
        let attempt = raw.attempt.unwrap_or(1);
        if !(1..=limits::ATTEMPTS_LIMIT).contains(&attempt) {
            return Err(refused(0, format!("attempt is {attempt}, wanted 1 to {}", limits::ATTEMPTS_LIMIT)));
        }
        let (clock_ms, seed) = (raw.clock_ms.unwrap_or(CLOCK_MS), raw.seed);
        let config = raw.config.clone();
        Ok(Self { path: path.to_owned(), cases, config, grants, store, clock_ms, seed, attempt, text })
    }

    /// Puts answers into the file. It is whole at any moment: no full disk and no kill takes cases from it.
    ///
    /// Errors: AUTHOR_11004 if it cannot be written, or was changed meanwhile.
    pub(super) fn write(&self, edits: &[Edit]) -> Result<()> {
        let failed = |why: String| Error::new(Code::FixtureInvalid, format!("{}: {why}", self.path.display()));
        let now = std::fs::read_to_string(&self.path).map_err(|error| failed(error.to_string()))?;
        if now != self.text {
            return Err(failed("it was changed while its cases ran".to_owned()).hint("run it again"));
        }
        replace(&self.path, &edited(&self.text, edits)).map_err(|error| failed(error.to_string()))
    }
}

impl Given {
    /// What has to be written so that the item wants this answer; none where nothing is to be wanted and nothing is.
    pub fn edit(&self, key: &str, wanted: Option<&Wanted>, answer: Option<&str>) -> Option<Edit> {
        let null = self.nulls.iter().find(|(name, _)| *name == key);
        match (wanted, answer, null) {
            (Some(wanted), answer, _) => {
                Some(Edit { place: wanted.place.clone(), text: answer.unwrap_or(NULL).to_owned() })
            }
            // A second member of that name would make the file unreadable.
            (None, Some(answer), Some((_, place))) => Some(Edit { place: place.clone(), text: answer.to_owned() }),
            (None, Some(answer), None) => {
                Some(Edit { place: self.end..self.end, text: format!(", \"{key}\": {answer}") })
            }
            (None, None, _) => None,
        }
    }
}

fn given(text: &str, item: &RawItem<'_>) -> Result<Given, (usize, String)> {
    let at = offset(text, item.body.get());
    let body = item.body.get();
    if item.id.is_empty() || item.id.len() > limits::ID_BYTES_MAX || item.id.contains('\0') {
        return Err((at, format!("an id has 1 to {} bytes and no NUL", limits::ID_BYTES_MAX)));
    }
    judge_body(body).map_err(|problem| (at, format!("item {:?}: {}", item.id, problem.message)))?;
    let mut nulls = Vec::new();
    let mut wanted = |key: &'static str, raw: Option<&RawValue>, kinds: &[&str]| {
        let Some(raw) = raw else { return Ok(None) };
        let at = offset(text, raw.get());
        if raw.get() == NULL {
            nulls.push((key, at..at + NULL.len()));
            return Ok(None);
        }
        let value = Json::parse(raw.get()).map_err(|why| (at, why))?;
        judge_wanted(&value, kinds).map_err(|why| (at, format!("item {:?}: {why}", item.id)))?;
        Ok(Some(Wanted { value, place: at..at + raw.get().len() }))
    };
    let verdict = wanted("verdict", item.verdict, VERDICTS)?;
    let outcome = wanted("outcome", item.outcome, OUTCOMES)?;
    let ends = [Some(item.body), item.verdict, item.outcome].into_iter().flatten();
    let end = ends.map(|raw| offset(text, raw.get()) + raw.get().len()).max().unwrap_or(at);
    Ok(Given { id: item.id.clone(), body: body.to_owned(), verdict, outcome, nulls, end })
}

/// Where a part of a text begins in it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}

/// Gives a file another text, all at once. Its mode stays, and so does a link to it; what may not be written is not replaced.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let place = path.canonicalize()?;
    let mode = OpenOptions::new().append(true).open(&place)?.metadata()?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(place.parent().unwrap_or(Path::new("/")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    file.persist(&place)?;
    Ok(())
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut edits: Vec<&Edit> = edits.iter().collect();
    // Stable: two answers put at one place keep their order.
    edits.sort_by_key(|edit| edit.place.start);
    let mut out = String::new();
    let mut from = 0;
    for edit in edits {
        out.push_str(&text[from..edit.place.start]);
        out.push_str(&edit.text);
        from = edit.place.end;
    }
    out.push_str(&text[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Fixture> {
        Fixture::parse(Path::new("f/a.json"), text.to_owned())
    }

    const ONE: &str = "{\n \"cases\": [{\"name\": \"n\", \"items\": [\n  {\"id\": \"a\", \"body\": {\"x\": 1.0}, \"outcome\": \"keep\"}\n]}]}";

    #[test]
    fn a_body_is_what_stands_in_the_file() {
        let fixture = parsed(ONE).unwrap();
        assert_eq!(fixture.cases[0].items[0].body, "{\"x\": 1.0}");
        assert!(fixture.cases[0].items[0].verdict.is_none());
    }

    #[test]
    fn answers_are_put_in_place_and_all_else_stays() {
        let fixture = parsed(ONE).unwrap();
        let item = &fixture.cases[0].items[0];
        let edits = [
            item.edit("verdict", None, Some("\"accept\"")).unwrap(),
            item.edit("outcome", item.outcome.as_ref(), Some("\"drop\"")).unwrap(),
        ];
        let wanted = ONE.replace("\"keep\"", "\"drop\", \"verdict\": \"accept\"");
        assert_eq!(edited(&fixture.text, &edits), wanted);
        assert_eq!(item.edit("verdict", None, None), None);
    }

    #[test]
    fn an_answer_that_comes_back_takes_the_place_of_the_null_that_was_written_for_it() {
        let fixture = parsed(ONE).unwrap();
        let item = &fixture.cases[0].items[0];
        let none = item.edit("outcome", item.outcome.as_ref(), None).unwrap();
        let without = edited(&fixture.text, &[none]);
        assert_eq!(without, ONE.replace("\"keep\"", "null"));
        let fixture = parsed(&without).unwrap();
        let item = &fixture.cases[0].items[0];
        assert!(item.outcome.is_none(), "nothing is wanted");
        assert_eq!(item.edit("outcome", None, None), None);
        let edits = [
            item.edit("verdict", None, Some("\"accept\"")).unwrap(),
            item.edit("outcome", None, Some("\"keep\"")).unwrap(),
        ];
        let mended = edited(&fixture.text, &edits);
        assert_eq!(mended, ONE.replace("\"keep\"", "\"keep\", \"verdict\": \"accept\""));
        assert!(parsed(&mended).unwrap().cases[0].items[0].outcome.is_some());
    }

    #[test]
    fn a_file_is_replaced_and_never_cut_short() {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("a.json"), place.path().join("link.json"));
        std::fs::write(&file, ONE).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        symlink("a.json", &link).unwrap();
        // Whoever has it open sees the old text to its end.
        let mut before = std::fs::File::open(&file).unwrap();
        let fixture = Fixture::read(&link).unwrap();
        let item = &fixture.cases[0].items[0];
        fixture.write(&[item.edit("outcome", item.outcome.as_ref(), Some("\"drop\"")).unwrap()]).unwrap();
        let mut old = String::new();
        before.read_to_string(&mut old).unwrap();
        assert_eq!(old, ONE);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), ONE.replace("keep", "drop"));
        assert!(link.is_symlink());
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_kept() {
        let text = format!("\u{feff}{ONE}");
        let fixture = parsed(&text).unwrap();
        let item = &fixture.cases[0].items[0];
        let edit = item.edit("outcome", item.outcome.as_ref(), Some("\"drop\"")).unwrap();
        assert_eq!(edited(&fixture.text, &[edit]), text.replace("keep", "drop"));
        let error = parsed(&text.replace("\"a\"", "\"\"")).unwrap_err();
        assert!(error.to_string().contains("f/a.json:3"), "{error}");
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("a.json");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = Fixture::all(place.path()).unwrap_err();
        assert!(error.to_string().contains("a.json: it is no file"), "{error}");
    }

    #[test]
    fn a_mistake_is_refused_with_its_line() {
        for (from, to, words) in [
            ("\"keep\"", "\"kept\"", &["f/a.json:3", "kept", "replace"][..]),
            ("\"keep\"", "{\"keep\": 1}", &["f/a.json:3", "keep"]),
            ("\"outcome\"", "\"outcom\"", &["f/a.json:3", "outcom"]),
            ("\"a\"", "\"\"", &["f/a.json:3", "id"]),
            ("{\"x\": 1.0}", "{\"x\": 01}", &["f/a.json:3"]),
            ("\"cases\"", "\"config\": {\"a\": 1}, \"cases\"", &["f/a.json:2"]),
            ("\"cases\"", "\"grant-host\": [\"a\"], \"cases\"", &["f/a.json", "127.0.0.1:PORT"]),
            ("\"cases\"", "\"grant-collection\": [\"a b\"], \"cases\"", &["f/a.json", "no legal name"]),
            ("\"cases\"", "\"attempt\": 0, \"cases\"", &["f/a.json", "attempt is 0"]),
            ("\"cases\"", "\"clock-ms\": -1, \"cases\"", &["f/a.json:2"]),
            ("{\"id\": \"a\", \"body\": {\"x\": 1.0}, \"outcome\": \"keep\"}", "", &["\"n\"", "0 items"]),
        ] {
            let error = parsed(&ONE.replace(from, to)).unwrap_err();
            assert_eq!(error.code(), Code::FixtureInvalid);
            let told = format!("{error} {}", error.hint_text());
            for word in words {
                assert!(told.contains(word), "{to}: {told} lacks {word:?}");
            }
        }
    }

    #[test]
    fn a_fixture_grants_nothing_that_is_the_users() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("fixtures");
        std::fs::create_dir_all(folder.join("data")).unwrap();
        std::fs::create_dir(place.path().join("other")).unwrap();
        std::os::unix::fs::symlink("../other", folder.join("link")).unwrap();
        let granted = |key: &str, text: &str| {
            let text = ONE.replace("\"cases\"", &format!("\"{key}\": [\"{text}\"], \"cases\""));
            Fixture::parse(&folder.join("a.json"), text).map(|fixture| fixture.grants)
        };
        for (key, text) in [
            ("grant-dir", "data"),
            ("grant-dir", "../fixtures/data::d:ro"),
            ("grant-dir", "."),
            ("grant-env", "KEY=value"),
            ("grant-host", "127.0.0.1:80"),
            ("grant-host", "[::1]:80"),
            ("grant-collection", "others"),
        ] {
            assert_ne!(granted(key, text).unwrap(), Grants::default(), "{key} {text}");
        }
        for (key, text, may) in [
            ("grant-dir", "../other", "its own folder"),
            ("grant-dir", "link::d", "its own folder"),
            ("grant-dir", "..", "its own folder"),
            ("grant-dir", "/", "its own folder"),
            ("grant-dir", "data:rw", "for reading"),
            ("grant-env", "PATH", "KEY=VALUE"),
            ("grant-host", "localhost:80", "127.0.0.1:PORT"),
            ("grant-host", "192.0.2.1:443", "127.0.0.1:PORT"),
        ] {
            let error = granted(key, text).unwrap_err();
            let told = format!("{error} {}", error.hint_text());
            assert_eq!(error.code(), Code::FixtureInvalid);
            assert!(told.contains("a.json") && told.contains(text) && told.contains(may), "{told}");
        }
    }
}
