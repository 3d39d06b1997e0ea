//! A process that is killed, or whose disk is full, leaves a sound store, and the same command finishes the job.

mod creation;
mod errors;
mod kills;
mod reader;
mod retries;
mod space;
mod sweep;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Folder, guest_arg, tickets};
use crate::library::{letters, rows, sound};

/// A job over tickets through two plugins, and what an undisturbed run of it leaves.
struct Job {
    input: PathBuf,
    rules: String,
    tidy: String,
    strategy: &'static str,
    batch_size: u64,
    wanted: Left,
    _folder: Folder,
}

/// What is in a store, as far as it must be the same after any disturbance.
#[derive(Debug, PartialEq)]
struct Left {
    export: String,
    letters: Vec<(u64, String, Option<Vec<u8>>)>,
}

impl Left {
    fn of(store: &Path) -> Self {
        let export = rows(store, "items").into_iter().map(|(id, body)| format!("{id}\t{body}\n")).collect();
        let letters = letters(store).into_iter().map(|letter| (letter.ordinal, letter.code, letter.original));
        Self { export, letters: letters.collect() }
    }
}

impl Job {
    fn new(count: u64, strategy: &'static str, batch_size: u64) -> Self {
        let folder = Folder::new();
        let mut job = Self {
            input: folder.write("tickets.ndjson", tickets(count, 5)),
            rules: guest_arg("ticket-rules"),
            tidy: guest_arg("ticket-tidy"),
            strategy,
            batch_size,
            wanted: Left { export: String::new(), letters: Vec::new() },
            _folder: folder,
        };
        let quiet = Folder::new();
        job.finish(&quiet, &quiet.at("atlas.db"));
        job.wanted = Left::of(&quiet.at("atlas.db"));
        assert_eq!(job.wanted.export.lines().count() + job.wanted.letters.len(), count as usize);
        job
    }

    /// The command, always the same for one store.
    fn arguments(&self, store: &Path) -> Vec<String> {
        let (input, store) = (self.input.to_str().expect("UTF-8"), store.to_str().expect("UTF-8"));
        let size = self.batch_size.to_string();
        let list = [
            "--quiet", "run", "--input", input, "--id", "id", "--store", store, "--index", "status", "--index", "slug",
        ];
        let plan =
            ["--validator", &self.rules, "--plugin", &self.tidy, "--strategy", self.strategy, "--batch-size", &size];
        list.into_iter().chain(plan).map(str::to_owned).collect()
    }

    /// Runs the command to its end, undisturbed.
    #[track_caller]
    fn finish(&self, folder: &Folder, store: &Path) {
        let ran = folder.atlas(self.arguments(store)).run();
        assert!(matches!(ran.code, Some(0 | 3)), "exit {:?}: {}", ran.code, ran.stderr);
    }

    /// Asserts that the store is sound, if it is there yet.
    #[track_caller]
    fn is_sound(&self, folder: &Folder, store: &Path) {
        let ran = folder.atlas(["verify".as_ref(), "--store".as_ref(), store.as_os_str()]).run();
        // Killed before the schema was committed, there is no store to be verified.
        let none_yet = ["there is no store", "holds no store yet", "in the middle of its creation"];
        let none_yet = ran.code == Some(5) && none_yet.iter().any(|text| ran.stderr.contains(text));
        assert!(ran.code == Some(0) || none_yet, "verify: {:?} {} {}", ran.code, ran.stdout, ran.stderr);
    }

    /// Asserts that `index verify` finds every index in step, if there is a store, and leaves none unbuilt.
    #[track_caller]
    fn indexes_agree(&self, folder: &Folder, store: &Path) {
        let Ok(reader) = atlas_host::store::Reader::open(store) else { return };
        let ran =
            folder.atlas(["index", "verify", "--store"].map(OsStr::new).into_iter().chain([store.as_os_str()])).run();
        assert_eq!(ran.code, Some(0), "index verify: {} {}", ran.stdout, ran.stderr);
        let indexes = reader.indexes(None).expect("indexes");
        assert!(indexes.iter().all(|index| index.built), "what a killed run put off is built: {indexes:?}");
    }

    /// Asserts that the job comes to its end, with exactly what an undisturbed run leaves.
    #[track_caller]
    fn comes_out_the_same(&self, folder: &Folder, store: &Path) {
        self.finish(folder, store);
        let left = Left::of(store);
        assert!(left.export == self.wanted.export, "the export differs from that of an undisturbed run");
        assert_eq!(left.letters, self.wanted.letters);
        sound(store);
        let indexes = atlas_host::store::Reader::open(store).and_then(|reader| reader.indexes(None)).expect("indexes");
        assert!(indexes.iter().all(|index| index.built), "what a killed run put off is built: {indexes:?}");
    }
}

/// True if this program can be started; says that the test is left out, if not.
fn found(program: &str) -> bool {
    let there = Command::new(program).arg("-V").output().is_ok();
    if !there {
        eprintln!("Left out: there is no {program} here.");
    }
    there
}
