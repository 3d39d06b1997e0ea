//! Statuses and dependencies of a block, and what its changing rows change.
//!
//! Drawn row by row in input order, so that every rule holds: a dependency
//! stands earlier and is not cancelled, a completed row has completed ones
//! only, and no chain is too long.

use super::super::limits::{CHAIN_EDGES_MAX, DEPENDENCIES_MAX};
use super::super::rng::Rng;
use super::block::{BLOCK_ROWS, Block, Op, Parent, Scheme, Target, anchor_status, draw_status, hubs, root_status};
use super::layout::Place;
use super::model::Status;

/// Edges of chains that nobody planned; a planned one has as many as allowed.
const CHAIN_EDGES_USUAL: u8 = CHAIN_EDGES_MAX as u8 - 2;

/// Percent of edges that lead to a hub.
const HUB_PERCENT: u64 = 5;

/// Shares of the other edges: sibling, same tree, same project, other project.
/// Where no sibling fits the edge goes to the tree or the project instead;
/// these shares make up for that, so that most edges lead to siblings.
const TARGET_SHARES: [u64; 4] = [94, 3, 2, 1];

/// Update rows per thousand that say an earlier one again.
const REPEAT_PER_MILLE_OF_UPDATES: u64 = 23;

struct Links<'a> {
    block: &'a mut Block,
    scheme: &'a Scheme,
    rng: &'a mut Rng,
    /// Position of the block's rows in topological order.
    index: u64,
    /// For every row the earlier rows below the same parent.
    siblings: Vec<Vec<u16>>,
    /// Children of the root in this block.
    tops: Vec<u16>,
    /// For every row its ancestor at depth 2.
    top_of: Vec<u16>,
}

/// Draw status and dependencies of every task of the block.
pub fn draw(block: &mut Block, scheme: &Scheme, rng: &mut Rng) {
    let chain = draw_chain(block, rng);
    let mut links = Links {
        index: 0,
        siblings: vec![Vec::new(); BLOCK_ROWS],
        tops: Vec::new(),
        top_of: vec![0; BLOCK_ROWS],
        block,
        scheme,
        rng,
    };
    for row in 0..BLOCK_ROWS {
        if links.block.rows[row].op == Op::Create {
            links.draw_row(row, &chain);
        }
    }
    links.mark_free();
}

/// Rows, each of which depends on the one before it and on nothing else; in
/// some blocks two end a chain, so that 0.5 % of all rows do.
fn draw_chain(block: &Block, rng: &mut Rng) -> Vec<usize> {
    let tasks: Vec<usize> = (0..BLOCK_ROWS).filter(|&row| block.rows[row].op == Op::Create).collect();
    let ends = if rng.below(100) < 28 { 2 } else { 1 };
    (0..CHAIN_EDGES_MAX + ends).map(|link| tasks[12 + 4 * link + rng.index(4)]).collect()
}

impl Links<'_> {
    fn draw_row(&mut self, row: usize, chain: &[usize]) {
        self.index = self.block.index(self.scheme, row);
        let mut status = draw_status(self.rng);
        let count = draw_count(self.rng);
        if row == 0 {
            status = anchor_status(self.scheme, self.block.project, self.block.number);
        } else if let Some(link) = chain.iter().position(|&member| member == row) {
            self.draw_link(row, status, link, chain);
            self.enter(row);
            return;
        } else if status == Status::Completed && count > 5 {
            // So many completed rows are seldom at hand.
            status = Status::Pending;
        }
        self.block.rows[row].status = status;
        if row > 0 {
            for _ in 0..count {
                if let Some(target) = self.draw_target(row) {
                    self.block.rows[row].chain = self.block.rows[row].chain.max(self.chain_of(target) + 1);
                    self.block.rows[row].dependencies.push(target);
                }
            }
        }
        self.enter(row);
    }

    /// Make `row` the `link`-th of the planned chain.
    fn draw_link(&mut self, row: usize, drawn: Status, link: usize, chain: &[usize]) {
        let before = link.min(CHAIN_EDGES_MAX).checked_sub(1).map(|before| chain[before]);
        let allowed = |status| match (status, before) {
            (Status::Cancelled, _) => false,
            (Status::Completed, Some(before)) => self.block.rows[before].status == Status::Completed,
            _ => true,
        };
        let status = if allowed(drawn) { drawn } else { Status::Pending };
        let plan = &mut self.block.rows[row];
        plan.status = status;
        plan.chain = link.min(CHAIN_EDGES_MAX) as u8;
        plan.dependencies.extend(before.map(|before| Target::Row(before as u16)));
    }

    /// Note the row where later ones look for targets.
    fn enter(&mut self, row: usize) {
        match self.block.rows[row].parent {
            Parent::Root => {
                self.top_of[row] = row as u16;
                self.tops.push(row as u16);
            }
            Parent::Row(parent) => {
                self.top_of[row] = self.top_of[usize::from(parent)];
                self.siblings[usize::from(parent)].push(row as u16);
            }
        }
    }

    /// Something that the row may depend on: of the kind drawn, or else of
    /// the next kind that has any.
    fn draw_target(&mut self, row: usize) -> Option<Target> {
        if self.rng.below(100) < HUB_PERCENT {
            let hub = Target::Root(self.rng.below(u64::from(hubs(self.scheme))) as u32);
            if self.allowed(row, hub) {
                return Some(hub);
            }
        }
        match self.rng.weighted(&TARGET_SHARES) {
            0 => self.sibling(row).or_else(|| self.in_tree(row)).or_else(|| self.in_project(row)),
            1 => self.in_tree(row).or_else(|| self.in_project(row)),
            2 => self.in_project(row).or_else(|| self.in_tree(row)),
            _ => self.in_another_project(row).or_else(|| self.in_project(row)),
        }
        .or_else(|| {
            let hub = Target::Root(0);
            self.allowed(row, hub).then_some(hub)
        })
    }

    fn sibling(&mut self, row: usize) -> Option<Target> {
        let siblings = match self.block.rows[row].parent {
            Parent::Root => &self.tops,
            Parent::Row(parent) => &self.siblings[usize::from(parent)],
        };
        let start = self.rng.index(siblings.len());
        let (late, early) = (&siblings[start..], &siblings[..start]);
        late.iter().chain(early).map(|&other| Target::Row(other)).find(|&other| self.allowed(row, other))
    }

    fn in_tree(&mut self, row: usize) -> Option<Target> {
        let top = match self.block.rows[row].parent {
            Parent::Root => return None,
            Parent::Row(parent) => self.top_of[usize::from(parent)],
        };
        self.in_block(row, |links, other| links.top_of[other] == top)
    }

    /// A row of another tree of the block, an anchor before it, or the root.
    fn in_project(&mut self, row: usize) -> Option<Target> {
        let project = self.block.project;
        let anchors = u64::from(self.block.number);
        let chosen = self.rng.below(anchors + 2);
        let distant = if chosen < anchors { Target::Anchor(project, chosen as u32) } else { Target::Root(project) };
        if (chosen <= anchors || self.tops.len() < 2) && self.allowed(row, distant) {
            return Some(distant);
        }
        self.in_block(row, |_, _| true)
    }

    fn in_block(&mut self, row: usize, wanted: impl Fn(&Self, usize) -> bool) -> Option<Target> {
        let start = self.rng.index(row);
        (start..row)
            .chain(0..start)
            .filter(|&other| self.block.rows[other].op == Op::Create && wanted(self, other))
            .map(|other| Target::Row(other as u16))
            .find(|&other| self.allowed(row, other))
    }

    /// The root or an anchor of another project that stands earlier.
    fn in_another_project(&mut self, row: usize) -> Option<Target> {
        for _ in 0..4 {
            let project = self.rng.below(u64::from(self.scheme.layout.projects())) as u32;
            let anchor = self.rng.below(2) == 0;
            let local = u64::from(anchor);
            let earlier = self.scheme.layout.index(Place { project, local }) < self.index;
            let target = if anchor { Target::Anchor(project, 0) } else { Target::Root(project) };
            if project != self.block.project && earlier && self.allowed(row, target) {
                return Some(target);
            }
        }
        None
    }

    fn allowed(&self, row: usize, target: Target) -> bool {
        let plan = &self.block.rows[row];
        if let Target::Root(project) = target
            && self.scheme.layout.index(Place { project, local: 0 }) >= self.index
        {
            return false;
        }
        let Some(status) = status_of(self.scheme, self.block, target) else {
            return false;
        };
        let chain = self.chain_of(target);
        let fits =
            if plan.status == Status::Completed { status == Status::Completed } else { status != Status::Cancelled };
        fits && chain < CHAIN_EDGES_USUAL && !plan.dependencies.contains(&target) && !self.is_same_row(row, target)
    }

    /// Anchors of this very block go by their row, not by their number.
    fn is_same_row(&self, row: usize, target: Target) -> bool {
        target == Target::Row(row as u16) || target == Target::Anchor(self.block.project, self.block.number)
    }

    fn chain_of(&self, target: Target) -> u8 {
        match target {
            Target::Row(other) => self.block.rows[usize::from(other)].chain,
            _ => 0,
        }
    }

    /// Unmark the rows that others hang below or depend on.
    fn mark_free(&mut self) {
        let rows = &mut self.block.rows;
        rows[0].free = false;
        for row in 1..BLOCK_ROWS {
            if rows[row].op != Op::Create {
                continue;
            }
            if let Parent::Row(parent) = rows[row].parent {
                rows[usize::from(parent)].free = false;
            }
            for dependency in 0..rows[row].dependencies.len() {
                if let Target::Row(other) = rows[row].dependencies[dependency] {
                    rows[usize::from(other)].free = false;
                }
            }
        }
    }
}

/// Status of what a dependency leads to; none where that is no task.
pub fn status_of(scheme: &Scheme, block: &Block, target: Target) -> Option<Status> {
    match target {
        Target::Row(other) => Some(block.rows[usize::from(other)].status),
        Target::Root(project) => Some(root_status(scheme, project)),
        Target::Anchor(project, number) => Some(anchor_status(scheme, project, number)),
        Target::Own | Target::Absent(_) | Target::Parent => None,
    }
}

/// Number of dependencies.
fn draw_count(rng: &mut Rng) -> usize {
    let count = match rng.weighted(&[350, 450, 120, 70, 9, 1]) {
        few @ 0..=2 => few as u64,
        3 => rng.between(3, 5),
        4 => rng.between(6, DEPENDENCIES_MAX as u64 - 1),
        _ => DEPENDENCIES_MAX as u64,
    };
    count as usize
}

/// Give update, status and delete rows their targets. A task is changed in
/// status once at most, and deleted only if nothing refers to it; then
/// nothing does afterwards either.
pub fn draw_changes(block: &mut Block, scheme: &Scheme, rng: &mut Rng) {
    let mut deleted = vec![false; BLOCK_ROWS];
    let mut updates = Vec::new();
    for row in 1..BLOCK_ROWS {
        let start = rng.index(row);
        let find = |block: &Block, wanted: &dyn Fn(usize) -> bool| {
            let is_task = |&other: &usize| block.rows[other].op == Op::Create;
            (start..row).chain(0..start).filter(is_task).find(|&other| wanted(other))
        };
        let untouched = |other: usize| block.rows[other].free && !block.rows[other].touched;
        let op = match block.rows[row].op {
            Op::Create | Op::Repeat(_) => continue,
            Op::Status(..) => find(block, &|other| untouched(other) && !block.rows[other].status.next().is_empty())
                .and_then(|target| draw_step(scheme, block, target, rng).map(|to| Op::Status(target as u16, to))),
            Op::Delete(_) => find(block, &untouched).map(|target| Op::Delete(target as u16)),
            Op::Update(_) if rng.below(1000) < REPEAT_PER_MILLE_OF_UPDATES && !updates.is_empty() => {
                Some(Op::Repeat(rng.pick(&updates)))
            }
            Op::Update(_) => find(block, &|other| !deleted[other]).map(|target| Op::Update(target as u16)),
        };
        let op = op.unwrap_or(Op::Update(0));
        match op {
            Op::Status(target, _) => block.rows[usize::from(target)].touched = true,
            Op::Delete(target) => {
                block.rows[usize::from(target)].touched = true;
                deleted[usize::from(target)] = true;
            }
            // Only of a task that stays can the same update come again.
            Op::Update(target) if !block.rows[usize::from(target)].free => updates.push(row as u16),
            _ => {}
        }
        block.rows[row].op = op;
    }
}

/// A status that the task may go to from the one it has.
fn draw_step(scheme: &Scheme, block: &Block, target: usize, rng: &mut Rng) -> Option<Status> {
    let plan = &block.rows[target];
    let to = rng.pick(plan.status.next());
    let open =
        plan.dependencies.iter().any(|&dependency| status_of(scheme, block, dependency) != Some(Status::Completed));
    if to == Status::Completed && open { Some(Status::Blocked) } else { Some(to) }
}
