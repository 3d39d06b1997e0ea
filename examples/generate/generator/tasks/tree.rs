//! The tree of a block: which row hangs where, and which rows make tasks.
//!
//! Rows are placed one after the other. A row that will have children is
//! "open" until it has as many as were planned for it. Invariant: while rows
//! are left to place, something is open. Where all is taken, the first row
//! takes the rest of what it may have; after that the row being placed opens
//! for as many as allowed, which can happen twice in a block at most, so that
//! depth 7 is never exceeded.

use super::super::limits::{CHILDREN_MAX, PATH_SEGMENTS_MAX};
use super::super::rng::Rng;
use super::block::{BLOCK_ROWS, Block, Op, Parent, Row, Shape};
use super::model::{Defects, Fate, Status};

/// Children of the root that the first block of a project brings; every
/// later block brings one. With 79 blocks that is 98, under the limit of 100.
const ROOT_CHILDREN_FIRST: usize = 20;

/// Shares of depth 2 to 5, where there is a choice.
const DEPTH_SHARES: [u64; 4] = [11, 45, 32, 6];
const DEPTH_MIN: usize = 2;

/// Percent of rows at depth 2, 3 and 4 that get children.
const OPEN_PERCENT_FIRST: [u64; 3] = [65, 14, 5];
const OPEN_PERCENT_LATER: [u64; 3] = [100, 22, 8];

const CHILDREN_MEAN: u64 = 6;
const LEAF_MILESTONE_PERCENT: u64 = 15;

/// One block in four has a strand of rows down to depth 7: four rows with
/// long segments, below the last of them five leaves, the first of which has
/// a path of full length.
const STRAND_ONE_IN: u64 = 4;
const STRAND_INNER: usize = 4;
const STRAND_LEAVES: usize = 5;

/// One block in this many has a row with exactly as many children as allowed.
const FULL_ONE_IN: u64 = 27;

/// A row that can take more children.
struct Open {
    row: u16,
    depth: usize,
    left: usize,
}

struct Growth<'a> {
    rng: &'a mut Rng,
    rows: Vec<Row>,
    open: Vec<Open>,
    root_left: usize,
    /// Children that the first row may have beyond those planned.
    reserve: usize,
    open_percent: [u64; 3],
    full_wanted: bool,
}

/// Give `block` its rows: operations, parents, depths, shapes and types. All
/// else is left as for a pending task without dependencies.
pub fn grow(block: &mut Block, mixed: bool, rng: &mut Rng) {
    let first = block.number == 0;
    let mut growth = Growth {
        full_wanted: rng.below(FULL_ONE_IN) == 0,
        rows: Vec::with_capacity(BLOCK_ROWS),
        open: Vec::new(),
        root_left: if first { ROOT_CHILDREN_FIRST } else { 1 },
        reserve: 0,
        open_percent: if first { OPEN_PERCENT_FIRST } else { OPEN_PERCENT_LATER },
        rng,
    };
    let strand_at = match growth.rng.below(STRAND_ONE_IN) {
        0 => growth.rng.index(BLOCK_ROWS / 4) + 8,
        _ => usize::MAX,
    };
    let children = if first { growth.rng.geometric(CHILDREN_MEAN, 30) } else { growth.rng.between(60, 99) };
    // One place is kept for the strand.
    growth.reserve = CHILDREN_MAX - 1 - children as usize;
    growth.root_left -= 1;
    growth.place(Parent::Root, DEPTH_MIN, Shape::Usual, Some(children as usize));
    let (mut creates, mut strand) = (1, 0);
    while growth.rows.len() < BLOCK_ROWS {
        if mixed && growth.rng.below(100) >= 70 {
            let op = growth.draw_change();
            growth.rows.push(plan(op, Parent::Root, Shape::Usual, false));
        } else if creates >= strand_at && strand < STRAND_INNER + STRAND_LEAVES {
            growth.place_in_strand(strand);
            strand += 1;
        } else {
            growth.place_anywhere();
            creates += 1;
        }
    }
    block.rows = growth.rows;
}

impl Growth<'_> {
    /// Update 22, status 5, delete 3 of a hundred rows, of which creates are
    /// 70. The targets are drawn later; repeats too, out of the updates.
    fn draw_change(&mut self) -> Op {
        match self.rng.below(30) {
            0..=21 => Op::Update(0),
            22..=26 => Op::Status(0, Status::Pending),
            _ => Op::Delete(0),
        }
    }

    fn place_in_strand(&mut self, strand: usize) {
        let last = self.rows.iter().rposition(|row| row.shape == Shape::Long).unwrap_or(0);
        let parent = Parent::Row(last as u16);
        let depth = DEPTH_MIN + 1 + strand.min(STRAND_INNER);
        if strand < STRAND_INNER {
            self.place(parent, depth, Shape::Long, Some(0));
        } else {
            let shape = if strand == STRAND_INNER { Shape::FillsPath } else { Shape::Usual };
            self.place(parent, depth, shape, None);
        }
    }

    /// Draw a depth among those that can take a row, then an open row there.
    fn place_anywhere(&mut self) {
        let mut weights = [0; PATH_SEGMENTS_MAX - 1];
        weights[0] = if self.root_left > 0 { DEPTH_SHARES[0] } else { 0 };
        for open in &self.open {
            let class = open.depth + 1 - DEPTH_MIN;
            weights[class] = DEPTH_SHARES.get(class).copied().unwrap_or(1);
        }
        let class = self.rng.weighted(&weights);
        let parent = if class == 0 {
            self.root_left -= 1;
            Parent::Root
        } else {
            self.take_open(class + DEPTH_MIN - 1)
        };
        if self.root_left == 0 && self.open.is_empty() && self.reserve > 0 {
            self.open.push(Open { row: 0, depth: DEPTH_MIN, left: std::mem::take(&mut self.reserve) });
        }
        let wanted = self.open_percent.get(class).copied().unwrap_or(0);
        let children = if self.root_left == 0 && self.open.is_empty() {
            Some(CHILDREN_MAX)
        } else if self.rng.below(100) >= wanted {
            None
        } else if self.full_wanted && class == 1 {
            self.full_wanted = false;
            Some(CHILDREN_MAX)
        } else {
            Some(self.rng.geometric(CHILDREN_MEAN, CHILDREN_MAX as u64) as usize)
        };
        self.place(parent, class + DEPTH_MIN, Shape::Usual, children);
    }

    /// One open row of this depth, with one child less to come.
    fn take_open(&mut self, depth: usize) -> Parent {
        let there = self.open.iter().filter(|open| open.depth == depth).count();
        let chosen = self.rng.index(there);
        let at = self.open.iter().enumerate().filter(|(_, open)| open.depth == depth).nth(chosen);
        let at = at.map(|(at, _)| at).expect("BUG: a depth was drawn at which nothing is open");
        self.open[at].left -= 1;
        let parent = Parent::Row(self.open[at].row);
        if self.open[at].left == 0 {
            self.open.remove(at);
        }
        parent
    }

    /// Add a task, with so many children to come; none for a leaf.
    fn place(&mut self, parent: Parent, depth: usize, shape: Shape, children: Option<usize>) {
        let milestone = children.is_some() || self.rng.below(100) < LEAF_MILESTONE_PERCENT;
        let left = children.unwrap_or(0);
        if left > 0 {
            self.open.push(Open { row: self.rows.len() as u16, depth, left });
        }
        self.rows.push(plan(Op::Create, parent, shape, milestone));
    }
}

fn plan(op: Op, parent: Parent, shape: Shape, milestone: bool) -> Row {
    Row {
        op,
        parent,
        shape,
        milestone,
        status: Status::Pending,
        dependencies: Vec::new(),
        chain: 0,
        free: op == Op::Create,
        touched: false,
        copy_of: None,
        defects: Defects::default(),
        fault: None,
        fate: Fate::Stored,
    }
}
