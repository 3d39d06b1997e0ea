//! What is wrong with the rows of a block, and what becomes of each.
//!
//! A defect is laid over a sound row; what refers to that row then follows
//! it. Invariant: a defect that takes away the row's own path, or a fault
//! that may keep it out of the store, only falls on rows that nothing refers
//! to. So every broken link leads to a row that is refused for another
//! reason, and faults decide nothing but their own row's fate.

use super::super::limits::DEPENDENCIES_MAX;
use super::super::rng::{MILLION, Rng};
use super::block::{BLOCK_ROWS, Block, Op, Parent, Row, Scheme, Target};
use super::drift;
use super::links;
use super::model::{
    DEPENDENCY, DUPLICATE, Defect, FIELD, Fate, Fault, NOT_FOUND, PARENT, Phase, Profile, STATUS, Status, TRANSITION,
    TYPE,
};

/// Rows per million of `realistic` that break a rule, where nothing may refer
/// to the row.
const ON_FREE_ROWS: [(Defect, u64); 3] =
    [(Defect::MissingParent, 8000), (Defect::BadPath, 6000), (Defect::DuplicatePath, 5000)];

/// The same, where the row may be any.
const ON_ANY_ROWS: [(Defect, u64); 9] = [
    (Defect::UnknownDependency, 8000),
    (Defect::NameLength, 3000),
    (Defect::BadEnum, 3000),
    (Defect::SelfDependency, 2000),
    (Defect::DescriptionLength, 2000),
    (Defect::TooManyDependencies, 1000),
    (Defect::NoteCap, 1000),
    (Defect::MetadataSize, 1000),
    (Defect::UnknownField, 1000),
];

/// Rows per million that are part of a cycle; one has 4 rows on average.
const IN_CYCLES: u64 = 4000;
const CYCLE_ROWS_MEAN: u64 = 4;

/// Rows per million that are status rows and ask for a step not allowed.
const ILLEGAL_TRANSITIONS: u64 = 5000;

/// `hostile` has so many tenths of the defects of `realistic`, which makes
/// 30 % with the status rows of a mixed input and without.
const HOSTILE_TENTHS: u64 = 67;
const HOSTILE_TENTHS_MIXED: u64 = 60;
/// And this percentage of its broken rows break a second rule.
const HOSTILE_SEVERAL_PERCENT: u64 = 5;

/// Rows per million that carry a fault directive.
const FAULTS: [(Fault, u64); 7] = [
    (Fault::Transient(1), 10_000),
    (Fault::Transient(2), 3000),
    (Fault::Permanent, 2000),
    (Fault::Slow(0), 5000),
    (Fault::Trap, 500),
    (Fault::Spin, 200),
    (Fault::Alloc, 200),
];
const SLOW_MS: (u64, u64) = (20, 200);

/// Break what the profile wants broken, work out the fates, and hand out the
/// fault directives.
pub fn apply(block: &mut Block, scheme: &Scheme, rng: &mut Rng) {
    let tenths = match scheme.profile {
        Profile::Clean | Profile::Drift => 0,
        Profile::Realistic => 10,
        Profile::Hostile if scheme.mixed => HOSTILE_TENTHS_MIXED,
        Profile::Hostile => HOSTILE_TENTHS,
    };
    let targeted = targeted(block);
    let free: Vec<bool> = (0..BLOCK_ROWS).map(|row| block.rows[row].free && !targeted[row]).collect();
    if tenths > 0 {
        close_cycles(block, tenths, rng);
        break_rows(block, &free, tenths, rng);
    }
    if scheme.profile == Profile::Drift {
        break_burst(block, scheme, &free, rng);
    }
    let mut fates = Fates { block, scheme, stored: [false; BLOCK_ROWS] };
    for row in 0..BLOCK_ROWS {
        fates.settle(row, &free, rng);
    }
    if tenths > 0 {
        hand_out_faults(block, &free, rng);
    }
}

/// Rows whose task another row changes.
fn targeted(block: &Block) -> Vec<bool> {
    let mut targeted = vec![false; BLOCK_ROWS];
    for row in &block.rows {
        if let Op::Update(target) | Op::Status(target, _) | Op::Delete(target) = row.op {
            targeted[usize::from(target)] = true;
        }
    }
    targeted
}

/// Let rows depend on later ones, the last of them on the first.
fn close_cycles(block: &mut Block, tenths: u64, rng: &mut Rng) {
    let wanted = BLOCK_ROWS as u64 * IN_CYCLES * tenths / 10 / CYCLE_ROWS_MEAN + rng.below(MILLION);
    for _ in 0..wanted / MILLION {
        let rows = rng.between(2, 6) as usize;
        let mut members: Vec<usize> = Vec::new();
        for _ in 0..4 * rows {
            let row = 1 + rng.index(BLOCK_ROWS - 1);
            let plan = &block.rows[row];
            if plan.op == Op::Create && plan.defects.is_empty() && !members.contains(&row) {
                members.push(row);
            }
        }
        members.truncate(rows);
        members.sort_unstable();
        for (at, &member) in members.iter().enumerate() {
            let next = members[(at + 1) % members.len()];
            add_dependency(block, member, Target::Row(next as u16));
            block.rows[member].defects.insert(Defect::Cycle);
        }
    }
}

/// Add one dependency, in the place of the last if the list is full.
fn add_dependency(block: &mut Block, row: usize, target: Target) {
    let dependencies = &mut block.rows[row].dependencies;
    if dependencies.contains(&target) {
        return;
    }
    dependencies.truncate(DEPENDENCIES_MAX - 1);
    dependencies.push(target);
}

/// Lay the other defects over rows that are still sound.
fn break_rows(block: &mut Block, free: &[bool], tenths: u64, rng: &mut Rng) {
    let is_sound = |row: &Row| row.op == Op::Create && row.defects.is_empty();
    let tasks = block.rows[1..].iter().filter(|row| is_sound(row)).count() as u64;
    let frees = block.rows.iter().zip(free).filter(|&(row, &free)| free && is_sound(row)).count() as u64;
    let steps = block.rows.iter().filter(|row| matches!(row.op, Op::Status(..))).count() as u64;
    let several = tenths > 10;
    let all = BLOCK_ROWS as u64 * tenths;
    for (row, &is_free) in free.iter().enumerate().skip(1) {
        let mut at = rng.below(MILLION);
        let mut falls = |rate: u64, of: u64| {
            let ppm = (rate * all).checked_div(10 * of).unwrap_or(0);
            let falls = at < ppm;
            at = if falls { u64::MAX } else { at.saturating_sub(ppm) };
            falls
        };
        let defect = match block.rows[row].op {
            Op::Status(target, _) if falls(ILLEGAL_TRANSITIONS, steps) => {
                block.rows[row].op = Op::Status(target, refused_step(block, target, rng));
                Some(Defect::IllegalTransition)
            }
            Op::Create if block.rows[row].defects.is_empty() => ON_FREE_ROWS
                .iter()
                .filter(|_| is_free)
                .find(|&&(_, rate)| falls(rate, frees))
                .or_else(|| ON_ANY_ROWS.iter().find(|&&(_, rate)| falls(rate, tasks)))
                .map(|&(defect, _)| defect),
            _ => None,
        };
        if let Some(defect) = defect {
            break_row(block, row, defect);
            if several && rng.below(100) < HOSTILE_SEVERAL_PERCENT {
                break_again(block, row, defect, rng);
            }
        }
    }
}

/// A status that the target, which is not completed, cannot go to.
fn refused_step(block: &Block, target: u16, rng: &mut Rng) -> Status {
    let from = block.rows[usize::from(target)].status;
    let others: Vec<_> = Status::SHARES
        .iter()
        .map(|&(status, _)| status)
        .filter(|status| *status != from && !from.next().contains(status))
        .collect();
    rng.pick(&others)
}

fn break_row(block: &mut Block, row: usize, defect: Defect) {
    match defect {
        Defect::UnknownDependency => add_dependency(block, row, Target::Absent(0)),
        Defect::SelfDependency => add_dependency(block, row, Target::Own),
        Defect::TooManyDependencies => {
            let dependencies = &mut block.rows[row].dependencies;
            let have = dependencies.len();
            dependencies.extend((have..=DEPENDENCIES_MAX).map(|number| Target::Absent(number as u16)));
        }
        _ => {}
    }
    block.rows[row].defects.insert(defect);
}

/// A second broken rule of the same validator as the first one.
fn break_again(block: &mut Block, row: usize, first: Defect, rng: &mut Rng) {
    let second = match first {
        Defect::MissingParent => Defect::UnknownDependency,
        Defect::UnknownDependency | Defect::DuplicatePath | Defect::IllegalTransition | Defect::Cycle => return,
        _ => rng.pick(&[
            Defect::NameLength,
            Defect::BadEnum,
            Defect::DescriptionLength,
            Defect::NoteCap,
            Defect::UnknownField,
        ]),
    };
    if second != first {
        break_row(block, row, second);
    }
}

/// In the burst of `drift`, break names: of rows that nothing refers to as far
/// as there are enough of them.
fn break_burst(block: &mut Block, scheme: &Scheme, free: &[bool], rng: &mut Rng) {
    let (frees, others): (Vec<usize>, Vec<usize>) = (1..BLOCK_ROWS)
        .filter(|&row| block.rows[row].op == Op::Create)
        .filter(|&row| drift::in_burst(&scheme.layout, block.index(scheme, row)))
        .partition(|&row| free[row]);
    let mut wanted = drift::BURST_PPM * (frees.len() + others.len()) as u64;
    for rows in [frees, others] {
        let ppm = wanted.checked_div(rows.len() as u64).unwrap_or(0).min(MILLION);
        wanted -= ppm * rows.len() as u64;
        for row in rows {
            if rng.chance(ppm) {
                break_row(block, row, Defect::NameLength);
            }
        }
    }
}

struct Fates<'a> {
    block: &'a mut Block,
    scheme: &'a Scheme,
    /// Whether a row's task has come into the store.
    stored: [bool; BLOCK_ROWS],
}

impl Fates<'_> {
    /// Work out the fate of `row`, given those of all rows before it.
    fn settle(&mut self, row: usize, free: &[bool], rng: &mut Rng) {
        if self.block.rows[row].defects.has(Defect::DuplicatePath) {
            self.settle_copy(row, free, rng);
            return;
        }
        let plan = &self.block.rows[row];
        let fate = match plan.op {
            Op::Create => match self.fields(row) {
                Fate::Stored => self.links(row),
                refused => refused,
            },
            Op::Repeat(of) => match &self.block.rows[usize::from(of)].fate {
                Fate::Stored => Fate::Dropped,
                refused => refused.clone(),
            },
            Op::Update(target) | Op::Status(target, _) | Op::Delete(target) if !self.stored[usize::from(target)] => {
                Fate::refused(Phase::Links, &[NOT_FOUND], Some(Target::Row(target)))
            }
            Op::Status(target, to) if plan.defects.has(Defect::IllegalTransition) => {
                let open = to == Status::Completed && self.has_open_dependency(target);
                let codes = [TRANSITION, DEPENDENCY];
                Fate::refused(Phase::Links, &codes[..1 + usize::from(open)], None)
            }
            Op::Update(_) | Op::Status(..) | Op::Delete(_) => Fate::Stored,
        };
        self.stored[row] = plan.op == Op::Create && fate.is_stored();
        self.block.rows[row].fate = fate;
    }

    /// Make the row a copy of an earlier one that is stored and stays; where
    /// there is none it remains sound.
    fn settle_copy(&mut self, row: usize, free: &[bool], rng: &mut Rng) {
        let start = rng.index(row);
        let source = (start..row).chain(0..start).find(|&other| {
            let plan = &self.block.rows[other];
            self.stored[other] && !plan.touched && plan.defects.is_empty()
        });
        if let Some(source) = source {
            self.block.rows[source].touched = true;
            self.block.rows[row].copy_of = Some(source as u16);
            self.block.rows[row].fate = Fate::refused(Phase::Links, &[DUPLICATE], None);
        } else {
            self.block.rows[row].defects = Default::default();
            self.settle(row, free, rng);
        }
    }

    /// Whether the task of that row, once stored, depends on one that is not
    /// completed.
    fn has_open_dependency(&self, row: u16) -> bool {
        let dependencies = &self.block.rows[usize::from(row)].dependencies;
        dependencies.iter().any(|&dependency| {
            let status = links::status_of(self.scheme, self.block, dependency);
            status != Some(Status::Completed)
        })
    }

    /// What the validator says that sees the item alone.
    fn fields(&self, row: usize) -> Fate<Target> {
        let plan = &self.block.rows[row];
        let mut codes = Vec::new();
        for (defect, code) in [
            (Defect::BadPath, FIELD),
            (Defect::NameLength, FIELD),
            (Defect::BadEnum, if bad_enum_is_type(row) { TYPE } else { STATUS }),
            (Defect::DescriptionLength, FIELD),
            (Defect::SelfDependency, DEPENDENCY),
            (Defect::TooManyDependencies, DEPENDENCY),
            (Defect::NoteCap, FIELD),
            (Defect::MetadataSize, FIELD),
            (Defect::UnknownField, FIELD),
        ] {
            if plan.defects.has(defect) {
                codes.push(code);
            }
        }
        if codes.is_empty() { Fate::Stored } else { Fate::refused(Phase::Fields, &codes, None) }
    }

    /// What the validator says that sees the store.
    fn links(&self, row: usize) -> Fate<Target> {
        let plan = &self.block.rows[row];
        let mut codes = Vec::new();
        let mut link = None;
        let parent_there = match plan.parent {
            Parent::Root => true,
            Parent::Row(parent) => self.stored[usize::from(parent)],
        };
        if plan.defects.has(Defect::MissingParent) || !parent_there {
            codes.push(PARENT);
            link = Some(Target::Parent);
        }
        for &dependency in &plan.dependencies {
            let there = match dependency {
                Target::Row(other) => self.stored[usize::from(other)],
                Target::Root(_) | Target::Anchor(..) => true,
                Target::Own | Target::Absent(_) | Target::Parent => false,
            };
            if !there {
                codes.push(DEPENDENCY);
                link = link.or(Some(dependency));
            }
        }
        if codes.is_empty() { Fate::Stored } else { Fate::refused(Phase::Links, &codes, link) }
    }
}

/// Whether the row's bad value is its type; otherwise it is its status.
pub fn bad_enum_is_type(row: usize) -> bool {
    row.is_multiple_of(2)
}

/// Give directives to stored tasks that nothing refers to.
fn hand_out_faults(block: &mut Block, free: &[bool], rng: &mut Rng) {
    let eligible: Vec<usize> = (0..BLOCK_ROWS)
        .filter(|&row| free[row] && !block.rows[row].touched && block.rows[row].fate.is_stored())
        .filter(|&row| block.rows[row].op == Op::Create)
        .collect();
    let scale = |rate: u64| (rate * BLOCK_ROWS as u64).checked_div(eligible.len() as u64).unwrap_or(0);
    for &row in &eligible {
        let mut at = rng.below(MILLION);
        for (fault, rate) in FAULTS {
            if at < scale(rate) {
                block.rows[row].fault = Some(match fault {
                    Fault::Slow(_) => Fault::Slow(rng.between(SLOW_MS.0, SLOW_MS.1)),
                    other => other,
                });
                break;
            }
            at -= scale(rate);
        }
    }
}
