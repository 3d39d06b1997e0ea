//! Standing cases: small inputs without a seed, each for one question.

use std::io::Write;

use super::digest::{Lines, Written};
use super::json::{Object, push_strings};
use super::limits::{CHAIN_EDGES_MAX, TEXT_CHARS_MAX};
use super::manifest::{Manifest, Noted, Request};
use super::tasks::model::{DEPENDENCY, Defect, Defects, FIELD, Fate, PARENT, Phase, STATUS, Status, TYPE};

/// Rows of the cases whose number of rows is free.
const ROWS: usize = 1000;
const LADDER_RUNGS: usize = 5000;
const HUNDRED: usize = 100;

/// A standing case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// 10,000 rows in 5,000 pairs; both of a pair depend on both of the pair
    /// before. Walking all paths takes for ever.
    DiamondLadder,
    /// A root, 100 milestones, and 100 tasks below each.
    HundredByHundred,
    /// 1,000 rows, each dependent on the one before.
    Chain1000,
    /// 1,000 rows, none of them valid.
    AllInvalid,
    /// 1,000 rows, only the last of them invalid.
    LastInvalid,
    /// No row.
    Empty,
}

/// One row of a case; all are roots unless the path says otherwise.
struct Row {
    path: String,
    milestone: bool,
    dependencies: Vec<String>,
    defect: Option<Defect>,
    fate: Fate<String>,
}

impl Case {
    /// The name on the command line and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::DiamondLadder => "diamond-ladder",
            Self::HundredByHundred => "hundred-by-hundred",
            Self::Chain1000 => "chain-1000",
            Self::AllInvalid => "all-invalid",
            Self::LastInvalid => "last-invalid",
            Self::Empty => "empty",
        }
    }

    /// Write the rows.
    ///
    /// # Errors
    /// Whatever the output reports.
    pub fn write(self, out: impl Write) -> std::io::Result<Written> {
        let mut lines = Lines::new(out);
        for row in self.rows() {
            lines.line(|line| row.push(line))?;
        }
        lines.finish()
    }

    /// What a run over this case has to come to; the file is still to be
    /// named.
    pub fn manifest(self) -> Manifest {
        let rows = self.rows();
        let mut manifest = Manifest::new(Request {
            what: self.name().to_owned(),
            profile: None,
            seed: None,
            count: rows.len() as u64,
            order: "topo",
            projects: None,
            mixed: false,
            drift: None,
        });
        for (ordinal, row) in rows.iter().enumerate() {
            if row.fate.is_stored() {
                let project = row.path.split('/').next().unwrap_or(&row.path);
                let prefix = format!("{}/", row.path);
                let is_child = |path: &str| path.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
                let children =
                    if row.milestone { rows.iter().filter(|other| is_child(&other.path)).count() } else { 0 };
                for stored in manifest.stored() {
                    stored.count_task(project, row.milestone, Status::Pending);
                    if children > 0 {
                        stored.count_parent(children as u64, || row.path.clone());
                    }
                }
            }
            let mut defects = Defects::default();
            row.defect.into_iter().for_each(|defect| defects.insert(defect));
            manifest.note(Noted {
                ordinal: ordinal as u64,
                path: row.path.clone(),
                defects,
                fate: row.fate.clone(),
                fault: None,
                copy_of: None,
            });
        }
        manifest
    }

    fn rows(self) -> Vec<Row> {
        match self {
            Self::DiamondLadder => (0..2 * LADDER_RUNGS).map(ladder_row).collect(),
            Self::HundredByHundred => hundred_by_hundred(),
            Self::Chain1000 => (0..ROWS).map(chain_row).collect(),
            Self::AllInvalid => (0..ROWS).map(invalid_row).collect(),
            Self::LastInvalid => (0..ROWS)
                .map(|at| if at + 1 == ROWS { invalid_row(0) } else { Row::sound(format!("task-{at:04}")) })
                .collect(),
            Self::Empty => Vec::new(),
        }
    }
}

fn ladder_row(at: usize) -> Row {
    let side = |rung: usize, side: char| format!("rung-{rung:04}-{side}");
    let rung = at / 2;
    let mut row = Row::sound(side(rung, if at.is_multiple_of(2) { 'a' } else { 'b' }));
    if let Some(below) = rung.checked_sub(1) {
        row.dependencies = vec![side(below, 'a'), side(below, 'b')];
    }
    row.end_chain(rung);
    row
}

fn chain_row(at: usize) -> Row {
    let mut row = Row::sound(format!("link-{at:04}"));
    row.dependencies.extend(at.checked_sub(1).map(|before| format!("link-{before:04}")));
    row.end_chain(at);
    row
}

fn hundred_by_hundred() -> Vec<Row> {
    let milestone = |path: String| Row { milestone: true, ..Row::sound(path) };
    let below = |group: usize| {
        let tasks = (0..HUNDRED).map(move |task| Row::sound(format!("hundred/group-{group:02}/task-{task:02}")));
        std::iter::once(milestone(format!("hundred/group-{group:02}"))).chain(tasks)
    };
    std::iter::once(milestone("hundred".to_owned())).chain((0..HUNDRED).flat_map(below)).collect()
}

/// A row that breaks one rule, another one than the row before.
fn invalid_row(at: usize) -> Row {
    const BROKEN: [(Defect, &str, Phase); 8] = [
        (Defect::NameLength, FIELD, Phase::Fields),
        (Defect::BadEnum, TYPE, Phase::Fields),
        (Defect::BadEnum, STATUS, Phase::Fields),
        (Defect::SelfDependency, DEPENDENCY, Phase::Fields),
        (Defect::DescriptionLength, FIELD, Phase::Fields),
        (Defect::UnknownField, FIELD, Phase::Fields),
        (Defect::UnknownDependency, DEPENDENCY, Phase::Links),
        (Defect::MissingParent, PARENT, Phase::Links),
    ];
    let (defect, code, phase) = BROKEN[at % BROKEN.len()];
    let mut row = Row::sound(format!("wrong-{at:04}"));
    let mut link = None;
    match defect {
        Defect::SelfDependency => row.dependencies.push(row.path.clone()),
        Defect::UnknownDependency => {
            row.dependencies.push("absent".to_owned());
            link = Some("absent".to_owned());
        }
        Defect::MissingParent => {
            row.path.insert_str(0, "absent/");
            link = Some("absent".to_owned());
        }
        _ => {}
    }
    row.defect = Some(defect);
    row.fate = Fate::refused(phase, &[code], link);
    row
}

impl Row {
    fn sound(path: String) -> Self {
        Self { path, milestone: false, dependencies: Vec::new(), defect: None, fate: Fate::Stored }
    }

    /// Refuse the row if so many edges are too many: the first such row for
    /// its chain, those after it since what they need is refused.
    fn end_chain(&mut self, edges: usize) {
        if edges == CHAIN_EDGES_MAX + 1 {
            self.defect = Some(Defect::ChainTooLong);
            self.fate = Fate::refused(Phase::Links, &[DEPENDENCY], None);
        } else if edges > CHAIN_EDGES_MAX {
            self.fate = Fate::refused(Phase::Links, &[DEPENDENCY], self.dependencies.first().cloned());
        }
    }

    fn push(&self, out: &mut Vec<u8>) {
        let is = |defect| self.defect == Some(defect);
        let refused_for = |code| matches!(&self.fate, Fate::Refused(refusal) if refusal.codes[0] == code);
        let mut line = Object::begin(out);
        line.string("path", &self.path);
        line.string("name", if is(Defect::NameLength) { "" } else { "A row of a standing case" });
        let sound_type = if self.milestone { "MILESTONE" } else { "TASK" };
        line.string("type", if is(Defect::BadEnum) && refused_for(TYPE) { "EPIC" } else { sound_type });
        line.string("status", if is(Defect::BadEnum) && refused_for(STATUS) { "DONE" } else { "PENDING" });
        if is(Defect::DescriptionLength) {
            line.string("description", &"x".repeat(TEXT_CHARS_MAX + 1));
        }
        push_strings(line.key("dependencies"), self.dependencies.iter().map(String::as_str));
        if is(Defect::UnknownField) {
            line.string("notes", "what no rule knows");
        }
        line.end();
        out.push(b'\n');
    }
}
