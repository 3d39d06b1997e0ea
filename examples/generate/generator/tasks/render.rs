//! Rows as JSON lines.
//!
//! Owns every field's text and length. Invariant: texts are drawn from the
//! seed and the row's place alone, and whatever no defect asks for keeps to
//! the rules of the domain.

use super::super::json::{Object, push_strings};
use super::super::limits::{
    DEPENDENCIES_MAX, METADATA_BYTES_MAX, NAME_CHARS_MAX, NOTE_CHARS_MAX, NOTES_MAX, TEXT_CHARS_MAX,
};
use super::super::rng::{MILLION, Quantiles, Rng};
use super::super::words::{Alphabet, text};
use super::block::{Block, Op, Scheme, Target, root_status};
use super::damage::bad_enum_is_type;
use super::layout::Place;
use super::metadata;
use super::model::{Defect, Defects, Fault, Status};
use super::names;

const TEXT: u64 = 20;

const NAME_CHARS: &Quantiles =
    &[(0, 6), (50_000, 12), (250_000, 21), (500_000, 30), (750_000, 43), (950_000, 75), (990_000, 110), (MILLION, 200)];
const DESCRIPTION_CHARS: &Quantiles =
    &[(0, 10), (50_000, 30), (250_000, 62), (500_000, 110), (750_000, 220), (950_000, 700), (MILLION, 1500)];
const NOTE_CHARS: &Quantiles = &[(0, 10), (500_000, 55), (900_000, 130), (MILLION, 300)];

const DESCRIPTION_ABSENT_PPM: u64 = 120_000;
const DESCRIPTION_FULL_PPM: u64 = 5000;
const REASONING_PPM: u64 = 100_000;
const NOTES_PPM: u64 = 600_000;
const NOTES_FULL_PPM: u64 = 2000;

/// 2025-01-01T00:00:00Z.
const CREATED_FROM_MS: u64 = 1_735_689_600_000;
const CREATED_SPAN_MS: u64 = 180 * 24 * 3600 * 1000;
const HOUR_MS: u64 = 3600 * 1000;

const FIELDS_UNKNOWN: [&str; 4] = ["notes", "progress", "dueDate", "id"];
const STATUSES_UNKNOWN: [&str; 3] = ["DONE", "pending", "TODO"];
const TYPES_UNKNOWN: [&str; 3] = ["EPIC", "task", "STORY"];

/// What the writing of one task needs to know.
struct Task<'a> {
    scheme: &'a Scheme,
    path: String,
    index: u64,
    milestone: bool,
    status: Status,
    dependencies: Vec<String>,
    defects: Defects,
    bad_enum_is_type: bool,
    fault: Option<Fault>,
    key: Option<String>,
    rng: Rng,
}

/// Append the root of a project as a line.
pub fn push_root(scheme: &Scheme, project: u32, out: &mut Vec<u8>) {
    let task = Task {
        scheme,
        path: names::project(scheme.seed, project),
        index: scheme.layout.index(Place { project, local: 0 }),
        milestone: true,
        status: root_status(scheme, project),
        dependencies: Vec::new(),
        defects: Defects::default(),
        bad_enum_is_type: false,
        fault: None,
        key: scheme.mixed.then(|| key(scheme, project, 0)),
        rng: text_rng(scheme, project, 0),
    };
    task.push(out);
}

/// Append a row of a block as a line.
pub fn push_row(scheme: &Scheme, block: &Block, row: usize, out: &mut Vec<u8>) {
    let key_local = block.local(row);
    match block.rows[row].op {
        Op::Create => {
            let source = block.rows[row].copy_of.map_or(row, usize::from);
            push_task(scheme, block, source, key_local, out);
        }
        Op::Repeat(of) => push_row(scheme, block, usize::from(of), out),
        change => push_change(scheme, block, row, change, out),
    }
}

/// The path that a row's line shows, with its defect.
pub fn shown_path(scheme: &Scheme, block: &Block, row: usize) -> String {
    let plan = &block.rows[row];
    let row = plan.copy_of.map_or(row, usize::from);
    let path = names::path(scheme.seed, block, row);
    let mut rng = text_rng(scheme, block.project, block.local(row));
    if plan.defects.has(Defect::BadPath) {
        names::broken(&path, rng.bits())
    } else if plan.defects.has(Defect::MissingParent) {
        names::with_missing_parent(&path)
    } else {
        path
    }
}

/// The path that a dependency shows.
pub fn target_path(scheme: &Scheme, block: &Block, row: usize, target: Target) -> String {
    match target {
        Target::Row(other) => names::path(scheme.seed, block, usize::from(other)),
        Target::Root(project) => names::project(scheme.seed, project),
        Target::Anchor(project, number) => names::anchor(scheme.seed, project, number),
        Target::Own => shown_path(scheme, block, row),
        Target::Absent(number) => names::absent(scheme.seed, block.project, block.local(row), number),
        Target::Parent => {
            let path = shown_path(scheme, block, row);
            names::parent(&path).unwrap_or(&path).to_owned()
        }
    }
}

fn text_rng(scheme: &Scheme, project: u32, local: u64) -> Rng {
    Rng::new(&[scheme.seed, u64::from(scheme.layout.projects()), TEXT, u64::from(project), local])
}

fn key(scheme: &Scheme, project: u32, local: u64) -> String {
    format!("k-{}-{}-{}", names::base36(scheme.seed), names::base36(u64::from(project)), names::base36(local))
}

fn push_task(scheme: &Scheme, block: &Block, row: usize, key_local: u64, out: &mut Vec<u8>) {
    let plan = &block.rows[row];
    let dependencies = plan.dependencies.iter().map(|&target| target_path(scheme, block, row, target)).collect();
    let task = Task {
        scheme,
        path: shown_path(scheme, block, row),
        index: block.index(scheme, row),
        milestone: plan.milestone,
        status: plan.status,
        dependencies,
        defects: plan.defects,
        bad_enum_is_type: bad_enum_is_type(row),
        fault: plan.fault,
        key: scheme.mixed.then(|| key(scheme, block.project, key_local)),
        rng: text_rng(scheme, block.project, block.local(row)),
    };
    task.push(out);
}

/// An update (of 1 to 3 fields), status or delete row.
fn push_change(scheme: &Scheme, block: &Block, row: usize, change: Op, out: &mut Vec<u8>) {
    let mut rng = text_rng(scheme, block.project, block.local(row));
    let op = match change {
        Op::Status(..) => "status",
        Op::Delete(_) => "delete",
        _ => "update",
    };
    let mut line = Object::begin(out);
    line.string("op", op);
    line.string("key", &key(scheme, block.project, block.local(row)));
    line.string("path", &names::path(scheme.seed, block, row));
    match change {
        Op::Status(_, status) => line.string("status", status.name()),
        Op::Delete(_) => {
            if rng.below(2) == 0 {
                line.string("mode", "block");
            }
        }
        _ => {
            let mut set = Object::begin(line.key("set"));
            let first = rng.below(3);
            for field in 0..rng.between(1, 3) {
                let alphabet = Alphabet::draw(&mut rng);
                let (name, table) = match (first + field) % 3 {
                    0 => ("name", NAME_CHARS),
                    1 => ("description", DESCRIPTION_CHARS),
                    _ => ("reasoning", DESCRIPTION_CHARS),
                };
                let chars = rng.quantile(table) as usize;
                set.string(name, &text(&mut rng, alphabet, chars));
            }
            set.end();
        }
    }
    line.end();
    out.push(b'\n');
}

impl Task<'_> {
    fn push(mut self, out: &mut Vec<u8>) {
        // The first draw chose how a bad path is wrong.
        self.rng.bits();
        let mut line = Object::begin(out);
        if let Some(key) = &self.key {
            line.string("op", "create");
            line.string("key", key);
        }
        line.string("path", &self.path);
        self.push_texts(&mut line);
        if !self.dependencies.is_empty() || self.rng.below(2) == 0 {
            debug_assert!(self.dependencies.len() <= DEPENDENCIES_MAX + 1);
            push_strings(line.key("dependencies"), self.dependencies.iter().map(String::as_str));
        }
        self.push_notes(&mut line);
        let wanted = metadata::Wanted {
            fault: self.fault,
            costly: self.is_drift() && super::drift::is_costly(&self.scheme.layout, self.index),
            bytes: if self.defects.has(Defect::MetadataSize) {
                Some(METADATA_BYTES_MAX + 1 + self.rng.index(500))
            } else if self.is_drift() {
                super::drift::ramp_bytes(&self.scheme.layout, self.index)
            } else {
                None
            },
        };
        metadata::push(line.key("metadata"), &mut self.rng, &wanted);
        self.push_status_metadata(&mut line);
        self.push_tail(&mut line);
        line.end();
        out.push(b'\n');
    }

    fn is_drift(&self) -> bool {
        self.scheme.profile == super::model::Profile::Drift
    }

    /// Name, type, status, description, reasoning.
    fn push_texts(&mut self, line: &mut Object) {
        let rng = &mut self.rng;
        let chars = match (self.defects.has(Defect::NameLength), rng.below(2)) {
            (false, _) => rng.quantile(NAME_CHARS) as usize,
            (true, 0) => 0,
            (true, _) => NAME_CHARS_MAX + 1,
        };
        let alphabet = Alphabet::draw(rng);
        line.string("name", &text(rng, alphabet, chars));
        let bad_type = self.defects.has(Defect::BadEnum) && self.bad_enum_is_type;
        let bad_status = self.defects.has(Defect::BadEnum) && !self.bad_enum_is_type;
        let sound_type = if self.milestone { "MILESTONE" } else { "TASK" };
        line.string("type", if bad_type { rng.pick(&TYPES_UNKNOWN) } else { sound_type });
        line.string("status", if bad_status { rng.pick(&STATUSES_UNKNOWN) } else { self.status.name() });
        let chars = match rng.below(MILLION) {
            _ if self.defects.has(Defect::DescriptionLength) => Some(TEXT_CHARS_MAX + 1),
            at if at < DESCRIPTION_ABSENT_PPM => None,
            at if at < DESCRIPTION_ABSENT_PPM + DESCRIPTION_FULL_PPM => Some(TEXT_CHARS_MAX),
            _ => Some(rng.quantile(DESCRIPTION_CHARS) as usize),
        };
        if let Some(chars) = chars {
            let alphabet = Alphabet::draw(rng);
            line.string("description", &text(rng, alphabet, chars));
        }
        if rng.chance(REASONING_PPM) {
            let chars = rng.quantile(NOTE_CHARS) as usize;
            line.string("reasoning", &text(rng, Alphabet::Plain, chars));
        }
    }

    fn push_notes(&mut self, line: &mut Object) {
        let rng = &mut self.rng;
        let over = self.defects.has(Defect::NoteCap).then(|| rng.below(2));
        let full = rng.chance(NOTES_FULL_PPM);
        let count = match over {
            Some(0) => NOTES_MAX + 1,
            Some(_) => 1,
            None if full => NOTES_MAX,
            None if rng.chance(NOTES_PPM) => rng.geometric(3, 9) as usize,
            None => return,
        };
        let notes: Vec<String> = (0..count)
            .map(|note| {
                let chars = match (over, note) {
                    (Some(1), 0) => NOTE_CHARS_MAX + 1,
                    (None, 0) if full => NOTE_CHARS_MAX,
                    _ => rng.quantile(NOTE_CHARS) as usize,
                };
                let alphabet = Alphabet::draw(rng);
                text(rng, alphabet, chars)
            })
            .collect();
        push_strings(line.key("planningNotes"), notes.iter().map(String::as_str));
        if self.status == Status::Completed {
            let chars = rng.quantile(NOTE_CHARS) as usize;
            push_strings(line.key("completionNotes"), [text(rng, Alphabet::Plain, chars).as_str()]);
        }
    }

    fn push_status_metadata(&mut self, line: &mut Object) {
        let assignee = format!("dev-{}", self.rng.below(40));
        if self.status == Status::Pending {
            return;
        }
        let mut status = Object::begin(line.key("statusMetadata"));
        status.string("assignee", &assignee);
        match self.status {
            Status::Completed => {
                status.string("completedBy", &assignee);
                status.string("verificationStatus", "passed");
            }
            Status::Blocked => status.string("blockedReason", &text(&mut self.rng, Alphabet::Plain, 40)),
            _ => {}
        }
        status.end();
    }

    /// Where it hangs, version and times, and the field that does not exist.
    fn push_tail(&mut self, line: &mut Object) {
        let rng = &mut self.rng;
        if let Some(parent) = names::parent(&self.path)
            && !self.defects.has(Defect::BadPath)
            && rng.below(2) == 0
        {
            line.string("parentPath", parent);
            line.string("projectPath", self.path.split('/').next().unwrap_or(&self.path));
        }
        line.number("version", rng.geometric(3, 1000));
        let created = CREATED_FROM_MS + rng.below(CREATED_SPAN_MS);
        line.number("created", created);
        line.number("updated", created + rng.below(240 * HOUR_MS));
        if self.defects.has(Defect::UnknownField) {
            line.string(rng.pick(&FIELDS_UNKNOWN), "what no rule knows");
        }
    }
}
