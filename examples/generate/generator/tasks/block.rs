//! Blocks: the pieces that a project is made of.
//!
//! Row 0 of a project is its root. The rows after it fall into blocks of 256,
//! each a tree (or several) below the root, and each computed from the seed,
//! the project and its own number alone. Invariant: a row refers to earlier
//! rows of its own block, to roots, and to the first rows of earlier blocks,
//! called anchors. Roots and anchors are sound, have no dependencies, and
//! their status follows from their number: so no block needs another one, and
//! the memory needed does not grow with the number of rows.

use super::super::rng::Rng;
use super::damage;
use super::layout::{Layout, Place};
use super::links;
use super::model::{Defects, Fate, Fault, Profile, Status};
use super::tree;

/// Rows of a block.
pub const BLOCK_ROWS: usize = 256;

const SHAPE: u64 = 10;
const LINKS: u64 = 11;
const CHANGES: u64 = 12;
const DAMAGE: u64 = 13;
const FIXED_STATUS: u64 = 14;

/// What all rows of one input have in common.
#[derive(Clone, Debug)]
pub struct Scheme {
    /// Part of every path, and of every draw.
    pub seed: u64,
    /// How the projects are interleaved.
    pub layout: Layout,
    /// What is wrong with the rows.
    pub profile: Profile,
    /// Whether there are updates, status changes and deletions among them.
    pub mixed: bool,
}

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Make a task.
    Create,
    /// Change fields of that row's task.
    Update(u16),
    /// Bring that row's task to a status.
    Status(u16, Status),
    /// Delete that row's task.
    Delete(u16),
    /// Say again, byte for byte, what that row said.
    Repeat(u16),
}

/// Where a task hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Below the project's root.
    Root,
    /// Below a row of the same block.
    Row(u16),
}

/// Where a dependency leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A row of the same block.
    Row(u16),
    /// The root of a project.
    Root(u32),
    /// The first row of a block: project and number of the block.
    Anchor(u32, u32),
    /// The row itself; a defect.
    Own,
    /// A path that no row has, told apart by a number; a defect.
    Absent(u16),
    /// The parent, where a link has to name it.
    Parent,
}

/// How long the last segment of the path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 3 to 18 characters.
    Usual,
    /// As long as a segment may be.
    Long,
    /// So long that the path has its full length.
    FillsPath,
}

/// The plan of one row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it does. The next fields are about `Create` rows only.
    pub op: Op,
    /// Where the task hangs.
    pub parent: Parent,
    /// Length of the last segment.
    pub shape: Shape,
    /// `MILESTONE`, not `TASK`.
    pub milestone: bool,
    /// Status, before any status row.
    pub status: Status,
    /// Dependencies in their order, defects included.
    pub dependencies: Vec<Target>,
    /// Edges of the longest chain of dependencies that begins here.
    pub chain: u8,
    /// No row hangs below the task or depends on it.
    pub free: bool,
    /// A status or delete row changes the task, or a copy repeats it.
    pub touched: bool,
    /// For a byte copy, the row it is a copy of.
    pub copy_of: Option<u16>,
    /// What is wrong with it.
    pub defects: Defects,
    /// What a guest has to do wrong with it.
    pub fault: Option<Fault>,
    /// What becomes of it; faults are not counted in.
    pub fate: Fate<Target>,
}

/// The plan of one block, always whole: the end of the input cuts only what
/// is written.
#[derive(Clone, Debug)]
pub struct Block {
    /// Number of the project.
    pub project: u32,
    /// Number of the block in the project.
    pub number: u32,
    /// 256 plans.
    pub rows: Vec<Row>,
}

impl Block {
    /// Plan a block, from its shape to the fate of every row.
    pub fn build(scheme: &Scheme, project: u32, number: u32) -> Self {
        let rng = |purpose| {
            let projects = u64::from(scheme.layout.projects());
            Rng::new(&[scheme.seed, projects, purpose, u64::from(project), u64::from(number)])
        };
        let mut block = Self { project, number, rows: Vec::new() };
        tree::grow(&mut block, scheme.mixed, &mut rng(SHAPE));
        links::draw(&mut block, scheme, &mut rng(LINKS));
        if scheme.mixed {
            links::draw_changes(&mut block, scheme, &mut rng(CHANGES));
        }
        damage::apply(&mut block, scheme, &mut rng(DAMAGE));
        block
    }

    /// The number in the project of a row of this block.
    pub fn local(&self, row: usize) -> u64 {
        u64::from(self.number) * BLOCK_ROWS as u64 + row as u64 + 1
    }

    /// Position of a row in topological order.
    pub fn index(&self, scheme: &Scheme, row: usize) -> u64 {
        scheme.layout.index(Place { project: self.project, local: self.local(row) })
    }
}

/// Status of a project's root. The largest projects' roots are hubs, on which
/// many depend: they are completed.
pub fn root_status(scheme: &Scheme, project: u32) -> Status {
    if project < hubs(scheme) { Status::Completed } else { fixed_status(scheme, project, u64::MAX) }
}

/// Status of a block's first row.
pub fn anchor_status(scheme: &Scheme, project: u32, number: u32) -> Status {
    fixed_status(scheme, project, u64::from(number))
}

/// Number of hubs: one row in 2,000 of the usual number of rows.
pub fn hubs(scheme: &Scheme) -> u32 {
    ((scheme.layout.round_rows() / 2000) as u32).clamp(1, scheme.layout.projects())
}

fn fixed_status(scheme: &Scheme, project: u32, number: u64) -> Status {
    let projects = u64::from(scheme.layout.projects());
    let status = draw_status(&mut Rng::new(&[scheme.seed, projects, FIXED_STATUS, u64::from(project), number]));
    if status == Status::Cancelled { Status::InProgress } else { status }
}

/// A status by its share.
pub fn draw_status(rng: &mut Rng) -> Status {
    Status::SHARES[rng.weighted(&Status::SHARES.map(|(_, share)| share))].0
}
