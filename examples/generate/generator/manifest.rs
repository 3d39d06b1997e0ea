//! The manifest: what a run over a generated file has to come to.
//!
//! Owns the counting and the JSON. Rows are noted in any order. Memory grows
//! with the refused rows of inputs of up to 100,000 rows, and with the number
//! of projects beyond.

use std::collections::BTreeMap;

use serde::Serialize;

use super::digest::Written;
use super::limits::{LIMITS, Limits};
use super::tasks::drift::Stretches;
use super::tasks::model::{Code, Defect, Defects, Fate, Fault, Phase, Refusal, Status};

/// Inputs of more rows than this list examples only.
const ROWS_LISTED_MAX: u64 = 100_000;
/// Number of examples, the first of each kind.
const EXAMPLES: usize = 10;
/// Parents shown, those with the most children first.
const PARENTS_SHOWN: usize = 20;
/// Attempts that the expectations about faults take for granted.
const ATTEMPTS: u32 = 3;

/// How the input was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Request {
    /// `tasks`, or the name of a standing case.
    pub what: String,
    /// Profile of `tasks`.
    pub profile: Option<&'static str>,
    /// Seed of `tasks`.
    pub seed: Option<u64>,
    /// Number of rows.
    pub count: u64,
    /// Order of the rows in the file.
    pub order: &'static str,
    /// Number of projects of `tasks`.
    pub projects: Option<u32>,
    /// Whether there are rows that change tasks.
    pub mixed: bool,
    /// What changes along the way, in the profile `drift`.
    pub drift: Option<Stretches>,
}

/// One row, as far as fates are concerned.
#[derive(Debug)]
pub struct Noted {
    /// Position in the file, from 0.
    pub ordinal: u64,
    /// Its path, as the file shows it.
    pub path: String,
    /// What is wrong with it; nothing for a row that only follows another.
    pub defects: Defects,
    /// What becomes of it, faults not counted in.
    pub fate: Fate<String>,
    /// What a guest does wrong with it.
    pub fault: Option<Fault>,
    /// For a byte copy, where the row stands that is stored.
    pub copy_of: Option<u64>,
}

/// The manifest, as it is written.
#[derive(Debug, Serialize)]
pub struct Manifest {
    format: u32,
    request: Request,
    file: Option<Written>,
    limits: Limits,
    /// The fates below are those of a run in topological order.
    expected: Expected,
    /// By first code.
    refused: BTreeMap<Code, Refused>,
    /// Directly invalid rows by what is wrong; a row may be in several.
    defects: BTreeMap<&'static str, u64>,
    /// Rows without effect, since their key was used before.
    dropped: Listing,
    faults: Faults,
    /// What is in the store at the end, faults not counted in.
    stored: Stored,
    /// The same after a run whose operation obeys the fault directives.
    stored_with_faults: Stored,
}

#[derive(Debug, Default, Serialize)]
struct Expected {
    /// After a run with `task-fields` alone (order is of no account).
    task_fields: AfterFields,
    /// After a run with both validators.
    task_links: AfterLinks,
    /// After a run with both, whose operation obeys the fault directives.
    with_faults: AfterFaults,
}

#[derive(Debug, Default, Serialize)]
struct AfterFields {
    accepted: u64,
    rejected: u64,
}

#[derive(Debug, Default, Serialize)]
struct AfterLinks {
    stored: u64,
    dropped: u64,
    rejected_by_fields: u64,
    rejected_by_links: u64,
    /// Paths that are taken: `TASK_1005` where a validator looks for it,
    /// `INDEX_7005` where only the key refuses. Not among the others.
    duplicates: u64,
}

#[derive(Debug, Default, Serialize)]
struct AfterFaults {
    attempts: u32,
    stored: u64,
    dropped: u64,
    rejected_by_validators: u64,
    duplicates: u64,
    rejected_by_operation: u64,
    faulted: u64,
}

#[derive(Debug, Default, Serialize)]
struct Refused {
    direct: Listing,
    followers: Listing,
}

/// Rows in the order of the file, all of them or the first few.
#[derive(Debug, Default, Serialize)]
struct Listing {
    count: u64,
    complete: bool,
    rows: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    ordinal: u64,
    path: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    defects: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    codes: Vec<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_of: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fate: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
}

#[derive(Debug, Default, Serialize)]
struct Faults {
    by_name: BTreeMap<&'static str, u64>,
    rows: Listing,
}

/// Counts of what is in the store.
#[derive(Debug, Default, Serialize)]
pub struct Stored {
    tasks: u64,
    status: BTreeMap<&'static str, u64>,
    #[serde(rename = "type")]
    kind: BTreeMap<&'static str, u64>,
    project: BTreeMap<String, u64>,
    parents: Parents,
}

#[derive(Debug, Default, Serialize)]
struct Parents {
    /// Parents with a child at least.
    count: u64,
    most_children: Vec<Children>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Children {
    path: String,
    children: u64,
}

impl Manifest {
    /// A manifest without rows.
    pub fn new(request: Request) -> Self {
        let complete = request.count <= ROWS_LISTED_MAX;
        Self {
            format: 1,
            request,
            file: None,
            limits: LIMITS,
            expected: Expected {
                with_faults: AfterFaults { attempts: ATTEMPTS, ..Default::default() },
                ..Default::default()
            },
            refused: BTreeMap::new(),
            defects: BTreeMap::new(),
            dropped: Listing { complete, ..Default::default() },
            faults: Faults { rows: Listing { complete, ..Default::default() }, ..Default::default() },
            stored: Stored::default(),
            stored_with_faults: Stored::default(),
        }
    }

    /// Say which file it belongs to, after all rows are noted.
    pub fn finish(&mut self, file: Written) {
        self.file = Some(file);
        let refused = self.refused.values_mut().flat_map(|refused| [&mut refused.direct, &mut refused.followers]);
        for listing in refused.chain([&mut self.dropped, &mut self.faults.rows]) {
            listing.rows.sort_by_key(|entry| entry.ordinal);
        }
    }

    /// Note what becomes of one row.
    pub fn note(&mut self, noted: Noted) {
        let names: Vec<_> = noted.defects.iter().map(Defect::name).collect();
        for name in &names {
            *self.defects.entry(name).or_default() += 1;
        }
        let entry = Entry {
            ordinal: noted.ordinal,
            path: noted.path,
            defects: names,
            codes: Vec::new(),
            link: None,
            copy_of: noted.copy_of,
            fault: None,
            fate: None,
            code: None,
        };
        let Expected { task_fields, task_links, with_faults } = &mut self.expected;
        match noted.fate {
            Fate::Refused(refusal) => self.note_refused(entry, *refusal),
            Fate::Dropped => {
                task_fields.accepted += 1;
                task_links.dropped += 1;
                with_faults.dropped += 1;
                self.dropped.push(entry);
            }
            Fate::Stored => {
                task_fields.accepted += 1;
                task_links.stored += 1;
                match noted.fault {
                    None => with_faults.stored += 1,
                    Some(fault) => self.note_fault(entry, fault),
                }
            }
        }
    }

    fn note_fault(&mut self, mut entry: Entry, fault: Fault) {
        let (fate, code) = fate_of(fault);
        let expected = &mut self.expected.with_faults;
        *match fate {
            "stored" => &mut expected.stored,
            "rejected" => &mut expected.rejected_by_operation,
            _ => &mut expected.faulted,
        } += 1;
        *self.faults.by_name.entry(fault.name()).or_default() += 1;
        entry.fault = Some(fault.directive());
        entry.fate = Some(fate);
        entry.code = code;
        self.faults.rows.push(entry);
    }

    fn note_refused(&mut self, mut entry: Entry, refusal: Refusal<String>) {
        let Expected { task_fields, task_links, with_faults } = &mut self.expected;
        let by_fields = refusal.phase == Phase::Fields;
        *if by_fields { &mut task_fields.rejected } else { &mut task_fields.accepted } += 1;
        let (links, faults) = if entry.copy_of.is_some() {
            (&mut task_links.duplicates, &mut with_faults.duplicates)
        } else if by_fields {
            (&mut task_links.rejected_by_fields, &mut with_faults.rejected_by_validators)
        } else {
            (&mut task_links.rejected_by_links, &mut with_faults.rejected_by_validators)
        };
        *links += 1;
        *faults += 1;
        let complete = self.dropped.complete;
        let refused = self.refused.entry(refusal.codes[0]).or_insert_with(|| Refused {
            direct: Listing { complete, ..Default::default() },
            followers: Listing { complete, ..Default::default() },
        });
        entry.codes = refusal.codes;
        entry.link = refusal.link;
        if entry.defects.is_empty() {
            refused.followers.push(entry);
        } else {
            refused.direct.push(entry);
        }
    }

    /// The counts of what is in the store, without faults and with.
    pub fn stored(&mut self) -> [&mut Stored; 2] {
        [&mut self.stored, &mut self.stored_with_faults]
    }
}

impl Stored {
    /// Count one task.
    pub fn count_task(&mut self, project: &str, milestone: bool, status: Status) {
        self.tasks += 1;
        *self.status.entry(status.name()).or_default() += 1;
        *self.kind.entry(if milestone { "MILESTONE" } else { "TASK" }).or_default() += 1;
        match self.project.get_mut(project) {
            Some(tasks) => *tasks += 1,
            None => {
                self.project.insert(project.to_owned(), 1);
            }
        }
    }

    /// Count one parent and its children, which are one at least. The path
    /// is asked for only where it may be shown.
    pub fn count_parent(&mut self, children: u64, path: impl FnOnce() -> String) {
        let parents = &mut self.parents;
        parents.count += 1;
        let shown = &mut parents.most_children;
        if shown.len() == PARENTS_SHOWN && shown[PARENTS_SHOWN - 1].children > children {
            return;
        }
        let path = path();
        let at = shown.partition_point(|other| (children, &other.path) < (other.children, &path));
        shown.insert(at, Children { path, children });
        shown.truncate(PARENTS_SHOWN);
    }
}

impl Listing {
    fn push(&mut self, entry: Entry) {
        self.count += 1;
        if self.complete {
            self.rows.push(entry);
            return;
        }
        let at = self.rows.partition_point(|other| other.ordinal < entry.ordinal);
        if at < EXAMPLES {
            self.rows.insert(at, entry);
            self.rows.truncate(EXAMPLES);
        }
    }
}

/// What an obeyed directive makes of a row: its fate and its code. Those that
/// begin with FAULT are the sample plugin's own.
fn fate_of(fault: Fault) -> (&'static str, Option<Code>) {
    match fault {
        Fault::Transient(attempts) if attempts >= ATTEMPTS => ("dead-lettered", Some("FAULT_TRANSIENT")),
        Fault::Transient(_) | Fault::Slow(_) => ("stored", None),
        Fault::Permanent => ("rejected", Some("FAULT_PERMANENT")),
        Fault::Trap => ("dead-lettered", Some("GUEST_10001")),
        Fault::Spin => ("dead-lettered", Some("GUEST_10002")),
        Fault::Alloc => ("dead-lettered", Some("GUEST_10003")),
    }
}

/// Whether an obeyed directive keeps the row out of the store.
pub fn keeps_out(fault: Fault) -> bool {
    fate_of(fault).0 != "stored"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parents_shown_do_not_depend_on_the_order_of_counting() {
        let parents: Vec<(u64, String)> = (0..100).map(|at| (at % 7 + 1, format!("p{at}"))).collect();
        let shown = |parents: &[(u64, String)]| {
            let mut stored = Stored::default();
            for (children, path) in parents {
                stored.count_parent(*children, || path.clone());
            }
            stored.parents.most_children
        };
        let mut turned = parents.clone();
        turned.reverse();
        assert_eq!(shown(&parents), shown(&turned));
        assert_eq!(shown(&parents)[0], Children { path: "p13".into(), children: 7 });
    }

    #[test]
    fn a_long_input_lists_the_first_rows_only_and_counts_all() {
        let request = Request {
            what: "tasks".into(),
            profile: None,
            seed: None,
            count: ROWS_LISTED_MAX + 1,
            order: "topo",
            projects: None,
            mixed: false,
            drift: None,
        };
        let mut manifest = Manifest::new(request);
        for at in 0..50 {
            manifest.note(Noted {
                ordinal: at * 17 % 50,
                path: "p".into(),
                defects: Defects::default(),
                fate: Fate::refused(Phase::Links, &["TASK_1008"], Some("q".to_owned())),
                fault: None,
                copy_of: None,
            });
        }
        let listing = &manifest.refused["TASK_1008"].followers;
        assert_eq!((listing.count, listing.complete), (50, false));
        let ordinals: Vec<u64> = listing.rows.iter().map(|entry| entry.ordinal).collect();
        assert_eq!(ordinals, (0..EXAMPLES as u64).collect::<Vec<_>>());
    }
}
