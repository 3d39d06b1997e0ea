//! The sample domain, end to end: generated rows through the real components, held against what the generator foresaw.

mod dependents;
mod enrich;
mod entries;
mod order;
mod relations;
mod settings;
mod tickets;
mod workflow;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;

use crate::generator::cases::Case;
use crate::generator::tasks::{Options, Order, Profile, Tasks};
use crate::harness::{Folder, Ran, guest_arg};

/// A generated file in a folder of its own, and what it must come to.
struct Input {
    folder: Folder,
    name: String,
    manifest: Value,
}

/// What becomes of one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fate {
    fate: String,
    codes: BTreeSet<String>,
    /// The parent, or else the dependency, that is missing.
    link: Option<String>,
}

/// An open dead letter, as far as fates are concerned.
#[derive(Debug, Clone)]
struct Letter {
    ordinal: u64,
    path: String,
    slot: Option<String>,
    fate: Fate,
}

fn options(seed: u64, count: u64, profile: Profile) -> Options {
    Options { seed, count, profile, order: Order::Topo, projects: None, mixed: false }
}

impl Input {
    fn tasks(options: Options) -> Self {
        let mut tasks = Tasks::new(options).expect("the options fit");
        let mut file = Vec::new();
        let written = tasks.write(&mut file).expect("writing to memory");
        let mut manifest = tasks.manifest();
        manifest.finish(written);
        Self::of(format!("{options:?}"), &file, &manifest)
    }

    fn case(case: Case) -> Self {
        let mut file = Vec::new();
        let written = case.write(&mut file).expect("writing to memory");
        let mut manifest = case.manifest();
        manifest.finish(written);
        Self::of(case.name().to_owned(), &file, &manifest)
    }

    fn of(name: String, file: &[u8], manifest: &crate::generator::manifest::Manifest) -> Self {
        let folder = Folder::new();
        folder.write("rows.ndjson", file);
        Self { folder, name, manifest: serde_json::to_value(manifest).expect("it is JSON") }
    }

    /// Runs the file into `store` with `more` flags; gives what the run reports, and its exit code.
    fn run(&self, store: &str, more: &[&str]) -> (Value, Option<i32>) {
        let mut arguments = vec!["run", "-q", "--input", "rows.ndjson", "--store", store, "--output", "json"];
        arguments.extend(["--durability", "normal"]);
        arguments.extend(more);
        let ran = self.folder.atlas(arguments).run();
        let report = self.reported(&ran, more);
        (report, ran.code)
    }

    #[track_caller]
    fn reported(&self, ran: &Ran, what: &[&str]) -> Value {
        assert!(matches!(ran.code, Some(0 | 3)), "{} {what:?}: {ran:?}", self.name);
        let reports = ran.json_lines();
        let report = reports.last().unwrap_or_else(|| panic!("{} {what:?} told nothing: {ran:?}", self.name));
        let count = |name: &str| report[name].as_u64().expect("a count");
        let fates = count("stored") + count("rejected") + count("dead_lettered") + count("dropped");
        assert_eq!(count("read"), fates, "{} {what:?}: the books do not balance: {report}", self.name);
        report.clone()
    }

    /// Open dead letters, by id.
    fn letters(&self, store: &str) -> Vec<Letter> {
        let arguments = ["dead-letters", "list", "--limit", "0", "--output", "json", "--store", store];
        let ran = self.folder.atlas(arguments).run().exits(0);
        ran.json_lines().iter().map(letter).collect()
    }

    /// Every row's fate after one run that had all the rows.
    fn fates(&self, store: &str, report: &Value) -> Vec<(Fate, Option<String>)> {
        let mut fates = Vec::new();
        for run in report["fates"].as_array().expect("a list") {
            let (fate, first, last) =
                (run[0].as_str().expect("a fate"), run[1].as_u64().expect("first"), run[2].as_u64().expect("last"));
            assert_eq!(first, fates.len() as u64, "{}: fates have a gap", self.name);
            let fate = Fate { fate: fate.to_owned(), codes: BTreeSet::new(), link: None };
            fates.extend((first..=last).map(|_| (fate.clone(), None)));
        }
        for letter in self.letters(store) {
            let place = &mut fates[letter.ordinal as usize];
            assert_eq!(place.0.fate, letter.fate.fate, "{}: row {}", self.name, letter.ordinal);
            assert!(place.0.codes.is_empty(), "{}: two dead letters for row {}", self.name, letter.ordinal);
            *place = (letter.fate, letter.slot);
        }
        fates
    }

    /// What the manifest foresees for each row of a run in topological order.
    fn expected(&self, with_faults: bool) -> Vec<Fate> {
        let stored = Fate { fate: "stored".to_owned(), codes: BTreeSet::new(), link: None };
        let mut fates = vec![stored; self.count("/request/count") as usize];
        let rows = |list: &Value| {
            assert_eq!(list["complete"], true, "{}", self.name);
            list["rows"].as_array().expect("a list").clone()
        };
        for refused in self.manifest["refused"].as_object().expect("an object").values() {
            for row in [rows(&refused["direct"]), rows(&refused["followers"])].concat() {
                let codes = row["codes"].as_array().expect("codes").iter();
                let codes = codes.map(|code| code.as_str().expect("a code").to_owned()).collect();
                // A change of a task that is not there has the task itself as its link, which its code says as well.
                let link = row.get("link").filter(|link| **link != row["path"]);
                let link = link.map(|link| link.as_str().expect("a path").to_owned());
                fates[ordinal(&row)] = Fate { fate: "rejected".to_owned(), codes, link };
            }
        }
        for row in rows(&self.manifest["dropped"]) {
            fates[ordinal(&row)].fate = "dropped".to_owned();
        }
        for row in rows(&self.manifest["faults"]["rows"]).iter().filter(|_| with_faults) {
            let codes = row.get("code").map(|code| code.as_str().expect("a code").to_owned()).into_iter().collect();
            let fate = row["fate"].as_str().expect("a fate").to_owned();
            fates[ordinal(row)] = Fate { fate, codes, link: None };
        }
        fates
    }

    #[track_caller]
    fn count(&self, pointer: &str) -> u64 {
        let found = self.manifest.pointer(pointer).and_then(Value::as_u64);
        found.unwrap_or_else(|| panic!("{}: no count at {pointer}", self.name))
    }

    /// Rows of a collection, as (id, body).
    fn rows(&self, store: &str, collection: &str) -> Vec<(String, Value)> {
        let arguments = ["export", "--with-id", "--into", collection, "--store", store];
        let rows = self.folder.atlas(arguments).run().exits(0).json_lines();
        rows.into_iter().map(|row| (row["id"].as_str().expect("an id").to_owned(), row["body"].clone())).collect()
    }

    /// The bytes of a whole collection, and all open letters: what two runs that should agree are compared by.
    fn picture(&self, store: &str, collections: &[&str]) -> (Vec<String>, Vec<(u64, Fate)>) {
        let exports = collections
            .iter()
            .map(|name| {
                self.folder.atlas(["export", "--with-id", "--into", name, "--store", store]).run().exits(0).stdout
            })
            .collect();
        let mut letters: Vec<(u64, Fate)> =
            self.letters(store).into_iter().map(|letter| (letter.ordinal, letter.fate)).collect();
        letters.sort();
        (exports, letters)
    }

    /// Compares what is stored with the manifest's table `stored` or `stored_with_faults`.
    #[track_caller]
    fn compare_stored(&self, store: &str, table: &str) {
        let mut tables: BTreeMap<&str, BTreeMap<String, u64>> =
            ["status", "type", "project"].map(|name| (name, BTreeMap::new())).into();
        let mut children: BTreeMap<String, u64> = BTreeMap::new();
        let mut tasks = 0;
        for (id, body) in self.rows(store, "items").iter().filter(|(id, _)| !id.starts_with("key:")) {
            tasks += 1;
            let text = |name: &str, default: &str| body[name].as_str().unwrap_or(default).to_owned();
            assert_eq!(id, &text("path", ""), "{}", self.name);
            let mut add =
                |name: &str, value: String| *tables.get_mut(name).expect("known").entry(value).or_default() += 1;
            add("status", text("status", "PENDING"));
            add("type", text("type", "TASK"));
            add("project", id.split('/').next().expect("a first segment").to_owned());
            if let Some((parent, _)) = id.rsplit_once('/') {
                *children.entry(parent.to_owned()).or_default() += 1;
            }
        }
        let stored = &self.manifest[table];
        assert_eq!(stored["tasks"], tasks, "{}: {table}", self.name);
        for (name, counts) in tables {
            assert_eq!(stored[name], serde_json::to_value(counts).expect("JSON"), "{}: {table} by {name}", self.name);
        }
        assert_eq!(stored["parents"]["count"], children.len(), "{}: {table}", self.name);
        for shown in stored["parents"]["most_children"].as_array().expect("a list") {
            let path = shown["path"].as_str().expect("a path");
            assert_eq!(shown["children"].as_u64(), children.get(path).copied(), "{}: {table}, {path}", self.name);
        }
    }

    /// The store keeps all its promises.
    #[track_caller]
    fn verify(&self, store: &str) {
        self.folder.atlas(["verify", "--store", store]).run().exits(0);
    }
}

fn ordinal(row: &Value) -> usize {
    row["ordinal"].as_u64().expect("an ordinal") as usize
}

fn letter(document: &Value) -> Letter {
    let problems = document["problems"].as_array().expect("problems");
    let codes = problems.iter().map(|problem| problem["code"].as_str().expect("a code").to_owned()).collect();
    let link = problems.iter().find_map(|problem| {
        // Only what is missing has a broken link; empty details are left out.
        let details = problem["details"].as_array()?;
        let of = |name: &str| details.iter().find(|pair| pair[0] == name).map(|pair| pair[1].as_str().expect("a path"));
        let (link, broken) = (of("parent").or(of("dependency"))?, of("brokenLink")?);
        assert!(link == broken || link.starts_with(&format!("{broken}/")), "{document}");
        Some(link.to_owned())
    });
    Letter {
        ordinal: document["ordinal"].as_u64().expect("an ordinal"),
        path: document["item"].as_str().unwrap_or_default().to_owned(),
        slot: document["slot"].as_str().map(str::to_owned),
        fate: Fate { fate: document["fate"].as_str().expect("a fate").to_owned(), codes, link },
    }
}

/// Flags of a run through both validators.
fn validated() -> Vec<String> {
    let mut flags = vec!["--validator".to_owned(), guest_arg("task-fields")];
    flags.extend(["--validator".to_owned(), guest_arg("task-links")]);
    flags.extend(["--id", "/path", "--index", "status", "--index", "parent=/parentPath"].map(str::to_owned));
    flags.extend(["--on-existing", "reject"].map(str::to_owned));
    flags
}

fn strings(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// Where further real tasks are, if they are at hand.
fn real_tasks() -> Option<PathBuf> {
    crate::harness::real_data().map(|folder| folder.join("atlas-tasks.ndjson"))
}
