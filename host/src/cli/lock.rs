//! `atlas.lock`: which image each tag named when it was first taken, so that a tag that moves changes no run.
//!
//! Invariant: a file that cannot be read is never written to, and the file is whole at every moment.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::whole_file::write_whole;
use crate::error::{Code, Error, Result};
use crate::limits::LOCK_BYTES_MAX;
use crate::plugin::{Image, Reference, Sha256};

/// Its name.
const FILE: &str = "atlas.lock";
/// The version of its form that is read and written.
const VERSION: u64 = 1;
const HEAD: &str = "\
# Written by atlas-host: the image that each tag named when it was first taken. Keep it under version control.
# `atlas-host plugins lock` lists it, `atlas-host plugins lock REFERENCE --update` moves a tag on.
";
/// How often, and how long each time, another process is waited for that changes the file at this moment.
const TRIES: u32 = 50;
const TRY: Duration = Duration::from_millis(20);

/// What the file says, by the text of each reference.
#[derive(Debug, Default)]
pub struct LockFile {
    entries: BTreeMap<String, Locked>,
}

/// What a tag stays at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// Digest of the manifest, or of the index.
    pub manifest: Sha256,
    /// Digest of the component.
    pub layer: Sha256,
    /// Bytes of the component.
    pub size: u64,
    /// Line of the file; 0 for one that does not stand there yet.
    pub line: usize,
}

impl Locked {
    /// What an image is locked at.
    pub fn of(image: &Image) -> Self {
        Self { manifest: image.manifest, layer: image.layer, size: image.bytes.len() as u64, line: 0 }
    }
}

/// Where the file lies: beside the configuration in use, else in the current folder.
pub fn place(config: Option<&Path>) -> PathBuf {
    config.and_then(Path::parent).unwrap_or(Path::new("")).join(FILE)
}

impl LockFile {
    /// Reads the file; one that is not there locks nothing.
    ///
    /// Errors: CONFIG_3001, naming file and line.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |why: String| {
            Error::new(Code::ConfigInvalid, format!("{} cannot be read: {why}", path.display())).hint(HINT)
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(refuse(error.to_string())),
        };
        let mut text = String::new();
        file.take(LOCK_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
        if text.len() as u64 > LOCK_BYTES_MAX {
            return Err(refuse(format!("it has more than {LOCK_BYTES_MAX} bytes")));
        }
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let line_of = |offset: usize| 1 + text[..offset.min(text.len())].matches('\n').count();
        let refuse = |offset: usize, why: &str| {
            Error::new(Code::ConfigInvalid, format!("{}:{}: {why}", path.display(), line_of(offset))).hint(HINT)
        };
        let document: Document =
            toml::from_str(text).map_err(|error| refuse(error.span().map_or(0, |span| span.start), error.message()))?;
        if *document.version.get_ref() != VERSION {
            let version = document.version.get_ref();
            let why = format!("version {version} of the file is not known, only version {VERSION} is");
            return Err(refuse(document.version.span().start, &why));
        }
        let mut entries = BTreeMap::new();
        for row in document.plugin {
            let at = row.reference.span().start;
            let reference =
                Reference::parse(row.reference.get_ref()).map_err(|error| refuse(at, &error.to_string()))?;
            if reference.digest().is_some() {
                return Err(refuse(at, &format!("{reference} has a digest of its own, so that nothing locks it")));
            }
            let digest = |text: &Spanned<String>| {
                let found = Sha256::parse(text.get_ref());
                found.ok_or_else(|| refuse(text.span().start, &format!("{:?} is no digest of sha256", text.get_ref())))
            };
            let (manifest, layer) = (digest(&row.manifest)?, digest(&row.layer)?);
            let locked = Locked { manifest, layer, size: row.size, line: line_of(at) };
            if entries.insert(reference.to_string(), locked).is_some() {
                return Err(refuse(at, &format!("{reference} stands there twice")));
            }
        }
        Ok(Self { entries })
    }

    /// What a tag stays at, if that is known.
    pub fn get(&self, reference: &Reference) -> Option<&Locked> {
        self.entries.get(&reference.to_string())
    }

    /// All of it, sorted by reference.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Locked)> {
        self.entries.iter().map(|(reference, locked)| (reference.as_str(), locked))
    }

    fn text(&self) -> String {
        let mut text = format!("{HEAD}version = {VERSION}\n");
        for (reference, Locked { manifest, layer, size, .. }) in &self.entries {
            // Nothing in a reference or a digest needs an escape.
            text.push_str(&format!(
                "\n[[plugin]]\nreference = \"{reference}\"\nmanifest = \"{manifest}\"\nlayer = \"{layer}\"\nsize = {size}\n"
            ));
        }
        text
    }
}

/// Writes what a tag stays at into the file as it is by now, and gives what stands there: another process may have locked the
/// same tag meanwhile, which holds unless it is to be replaced.
///
/// Errors: those of [`LockFile::read`], and STORAGE_2002 if the file cannot be written; it is as it was then.
pub fn keep(path: &Path, reference: &Reference, locked: Locked, replace: bool) -> Result<Locked> {
    let _one_at_a_time = hold(path);
    let mut file = LockFile::read(path)?;
    if let (Some(there), false) = (file.get(reference), replace) {
        return Ok(there.clone());
    }
    file.entries.insert(reference.to_string(), locked.clone());
    write_whole(Path::new(""), path, |out, failed| out.write_all(file.text().as_bytes()).map_err(failed))?;
    Ok(locked)
}

/// Keeps other processes from changing the file until it is dropped. The folder is what is locked, since the file itself is
/// replaced. Whoever holds the folder for longer has other reasons, such as a script that keeps a second run away, and
/// file systems may know no locks: then the change goes on without.
fn hold(path: &Path) -> Option<File> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = File::open(folder).ok()?;
    for _ in 0..TRIES {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => std::thread::sleep(TRY),
            Err(TryLockError::Error(_)) => break,
        }
    }
    None
}

const HINT: &str = "mend it, or take it back from version control; a tag that it lacks is resolved anew";

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: Spanned<u64>,
    #[serde(default)]
    plugin: Vec<Row>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    reference: Spanned<String>,
    manifest: Spanned<String>,
    layer: Spanned<String>,
    size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> Sha256 {
        Sha256([n; 32])
    }

    fn locked(n: u8) -> Locked {
        Locked { manifest: digest(n), layer: digest(n + 1), size: u64::from(n), line: 0 }
    }

    fn reference(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn what_is_kept_is_read_again_and_sorted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(LockFile::read(&path).unwrap().entries().count(), 0, "one that is not there locks nothing");
        for (n, text) in [(9, "oci://b/x:1"), (1, "oci://a/x:2"), (5, "oci://a/x:1")] {
            assert_eq!(keep(&path, &reference(text), locked(n), false).unwrap(), locked(n));
        }
        let file = LockFile::read(&path).unwrap();
        let all: Vec<(&str, u64, usize)> =
            file.entries().map(|(text, locked)| (text, locked.size, locked.line)).collect();
        assert_eq!(all, [("oci://a/x:1", 5, 6), ("oci://a/x:2", 1, 12), ("oci://b/x:1", 9, 18)]);
        assert_eq!(file.get(&reference("oci://A/x:2")).unwrap().manifest, digest(1));
        assert_eq!(file.text(), std::fs::read_to_string(&path).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn what_is_locked_stays_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let tag = reference("oci://a/x:1");
        keep(&path, &tag, locked(1), false).unwrap();
        assert_eq!(keep(&path, &tag, locked(7), false).unwrap().manifest, digest(1));
        assert_eq!(keep(&path, &tag, locked(7), true).unwrap().manifest, digest(7));
        assert_eq!(LockFile::read(&path).unwrap().get(&tag).unwrap().manifest, digest(7));
    }

    #[test]
    fn a_broken_file_is_refused_by_its_line_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        keep(&path, &reference("oci://a/x:1"), locked(1), false).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let row = &good[good.find("\n[[plugin]]").unwrap()..];
        let hex = digest(1).hex();
        for (text, line, why) in [
            (String::new(), 1, "version"),
            (good.replace("version = 1", "version = 2"), 3, "version 2 of the file is not known"),
            (good.replace("size = 1", "size = -1"), 9, "invalid value"),
            (good.replace("size = 1\n", ""), 5, "size"),
            (good.replace("size", "sizes"), 9, "unknown field"),
            (good.replace("[[plugin]]", "[[plugins]]"), 5, "unknown field"),
            (good.replace("oci://a/x:1", "oci://a/X:1"), 6, "is no reference"),
            (good.replace("oci://a/x:1", &format!("oci://a/x@sha256:{hex}")), 6, "has a digest of its own"),
            (good.replace(&hex, &hex[1..]), 7, "is no digest of sha256"),
            (format!("{good}{row}"), 12, "stands there twice"),
            (format!("{good}<<<<<<< ours\n"), 10, ""),
        ] {
            std::fs::write(&path, &text).unwrap();
            for error in [
                LockFile::read(&path).unwrap_err(),
                keep(&path, &reference("oci://a/y:1"), locked(1), true).unwrap_err(),
            ] {
                assert_eq!(error.code(), Code::ConfigInvalid, "{text}");
                let told = error.to_string();
                assert!(
                    told.starts_with(&format!("{}:{line}: ", path.display())) && told.contains(why),
                    "{told}\n{text}"
                );
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "it is as it was");
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(LockFile::read(&path).unwrap_err().code(), Code::ConfigInvalid);
    }

    #[test]
    fn it_lies_beside_the_configuration() {
        assert_eq!(place(None), Path::new("atlas.lock"));
        assert_eq!(place(Some(Path::new("atlas.toml"))), Path::new("atlas.lock"));
        assert_eq!(place(Some(Path::new("jobs/tickets.toml"))), Path::new("jobs/atlas.lock"));
    }

    #[test]
    fn many_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let path = &path;
                scope.spawn(move || keep(path, &reference(&format!("oci://a/x:{n}")), locked(n), false).unwrap());
            }
        });
        assert_eq!(LockFile::read(&path).unwrap().entries().count(), 8);
    }
}
