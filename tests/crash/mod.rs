//! A process that is killed, or whose disk is full, leaves a sound store, and the same command finishes the job.

mod creation;
mod errors;
mod kills;
mod reader;
mod retries;
mod space;
mod stored;
mod sweep;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Folder, guest_arg, tickets};
use crate::library::{letters, rows, sound};

/// A job, and what an undisturbed run of it leaves.
struct Job {
    input: PathBuf,
    /// All but the input and the store.
    arguments: Vec<String>,
    /// Those that it writes.
    collections: &'static [&'static str],
    wanted: Left,
    _folder: Folder,
}

/// What is in a store, as far as it must be the same after any disturbance.
#[derive(Debug, Default, PartialEq)]
struct Left {
    export: String,
    letters: Vec<(u64, String, Option<Vec<u8>>)>,
}

impl Left {
    fn of(store: &Path, collections: &[&str]) -> Self {
        let rows = collections.iter().flat_map(|name| rows(store, name).into_iter().map(move |row| (name, row)));
        let export = rows.map(|(name, (id, body))| format!("{name}\t{id}\t{body}\n")).collect();
        let letters = letters(store).into_iter().map(|letter| (letter.ordinal, letter.code, letter.original));
        Self { export, letters: letters.collect() }
    }
}

impl Job {
    /// Tickets through two plugins, with two indexes.
    fn new(count: u64, strategy: &'static str, batch_size: u64) -> Self {
        let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
        let arguments = format!(
            "--id id --index status --index slug --validator {rules} --plugin {tidy} --strategy {strategy} --batch-size {batch_size}"
        );
        let job = Self::of("tickets.ndjson", &tickets(count, 5), &arguments, &["items"]);
        assert_eq!(job.wanted.export.lines().count() + job.wanted.letters.len(), count as usize);
        job
    }

    /// Tasks, some of them wrong, and later changes of them, compressed, through plugins that read the store and write edges
    /// into another collection.
    fn of_tasks(count: u64) -> Self {
        let (links, enrich) = (guest_arg("task-links"), guest_arg("task-enrich"));
        let arguments = format!(
            "--id path --into tasks --collection edges --index parent=/parentPath --validator {links} --plugin {enrich} --plugin-config edges=edges --batch-size 20"
        );
        let row = |n: u64| match n % 50 {
            0 => format!(r#"{{"path":"r{n}","name":"root {n}","type":"MILESTONE"}}"#),
            7 => format!(r#"{{"path":"r{}/t{n}","name":"task","dependencies":["nobody"]}}"#, n - 7),
            40..50 => {
                format!(r#"{{"op":"update","path":"r{}/t{}","set":{{"name":"again {n}"}}}}"#, n / 50 * 50, n - 30)
            }
            _ => {
                let root = n / 50 * 50;
                format!(
                    r#"{{"path":"r{root}/t{n}","name":"task {n}","parentPath":"r{root}","dependencies":["r{root}"]}}"#
                )
            }
        };
        let text: String = (0..count).map(|n| row(n) + "\n").collect();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).expect("memory");
        let job = Self::of("tasks.ndjson.gz", &packed.finish().expect("memory"), &arguments, &["tasks", "edges"]);
        assert!(job.wanted.letters.len() as u64 == count / 50 && job.wanted.export.contains("edges\tedge:"));
        job
    }

    /// The rows of a table, all in one transaction.
    fn of_one_transaction(count: u64) -> Self {
        let text: String = (0..count).map(|n| format!("{n},\"name, {n}\"\n")).collect();
        let arguments = format!("--id id --index name --atomic run --batch-size 50 --plugin {}", guest_arg("identity"));
        Self::of("rows.csv", format!("id,name\n{text}").as_bytes(), &arguments, &["items"])
    }

    fn of(input: &str, bytes: &[u8], arguments: &str, collections: &'static [&'static str]) -> Self {
        let folder = Folder::new();
        let mut job = Self {
            input: folder.write(input, bytes),
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            collections,
            wanted: Left::default(),
            _folder: folder,
        };
        let quiet = Folder::new();
        job.finish(&quiet, &quiet.at("atlas.db"));
        job.wanted = Left::of(&quiet.at("atlas.db"), collections);
        job
    }

    /// The command, always the same for one store.
    fn arguments(&self, store: &Path) -> Vec<String> {
        let (input, store) = (self.input.to_str().expect("UTF-8"), store.to_str().expect("UTF-8"));
        let list = ["--quiet", "run", "--input", input, "--store", store];
        list.into_iter().map(str::to_owned).chain(self.arguments.iter().cloned()).collect()
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
        let left = Left::of(store, self.collections);
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
