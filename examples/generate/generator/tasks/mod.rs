//! Tasks: a domain with hierarchy, dependencies and statuses, and inputs in
//! which a known part is wrong.
//!
//! A row is planned with its block and written from the plan. Invariant: row
//! i in topological order depends on the seed, the number of projects, the
//! profile, `mixed` and i only; not on the number of rows, nor on what was
//! written before.

mod block;
mod damage;
pub mod drift;
mod expect;
mod layout;
mod links;
mod metadata;
pub mod model;
mod names;
mod order;
mod render;
mod tree;

use std::io::Write;
use std::rc::Rc;

use anyhow::{Result, bail};

use super::digest::{Lines, Written};
use super::manifest::{Manifest, Request};
use block::{BLOCK_ROWS, Block, Scheme};
use layout::{Layout, Place};
use order::Sequence;

pub use model::Profile;
pub use order::Order;

/// Blocks kept while rows are written, about 28 KB each. Enough for orders in
/// which neighbours belong together.
const BLOCKS_KEPT_MIN: usize = 2048;
/// Blocks kept for each project in shuffled order, where the next row may be
/// of any block: a project of the usual size has two or three.
const BLOCKS_KEPT_PER_PROJECT: usize = 4;

/// What tasks to make.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Everything is drawn from it; part of every path.
    pub seed: u64,
    /// Number of rows.
    pub count: u64,
    /// How much is wrong.
    pub profile: Profile,
    /// Order of the rows in the file.
    pub order: Order,
    /// Number of projects; none for the usual number.
    pub projects: Option<u32>,
    /// Whether updates, status changes and deletions are among the rows.
    pub mixed: bool,
}

/// A generator for one input.
#[derive(Debug)]
pub struct Tasks {
    options: Options,
    scheme: Scheme,
    sequence: Sequence,
    blocks: Vec<Option<Rc<Block>>>,
}

impl Tasks {
    /// Check the options.
    ///
    /// # Errors
    /// Too few projects for the rows; `mixed` in another order than `Topo`,
    /// since changes are about what stands before them.
    pub fn new(options: Options) -> Result<Self> {
        if options.mixed && options.order != Order::Topo {
            bail!(
                "found --mixed with --order {}, wanted --order topo: a change comes after what it changes; \
                 hint: leave one of the two out",
                options.order.name()
            );
        }
        let projects = options.projects.unwrap_or_else(|| layout::usual_projects(options.count));
        let layout = Layout::new(projects, options.count)?;
        let scheme = Scheme { seed: options.seed, layout, profile: options.profile, mixed: options.mixed };
        let sequence = Sequence::new(options.order, options.count, options.seed);
        let kept = match options.order {
            Order::Topo | Order::Reverse => BLOCKS_KEPT_MIN,
            Order::Shuffled => BLOCKS_KEPT_MIN.max(BLOCKS_KEPT_PER_PROJECT * projects as usize),
        };
        Ok(Self { options, scheme, sequence, blocks: vec![None; kept] })
    }

    /// Write all rows, in the order asked for.
    ///
    /// # Errors
    /// Whatever the output reports.
    pub fn write(&mut self, out: impl Write) -> std::io::Result<Written> {
        let mut lines = Lines::new(out);
        for position in 0..self.options.count {
            let index = self.sequence.row_at(position);
            lines.line(|line| self.push_row(index, line))?;
        }
        lines.finish()
    }

    /// Append row `index` of the topological order as a line.
    pub fn push_row(&mut self, index: u64, line: &mut Vec<u8>) {
        let place = self.scheme.layout.place(index);
        match spot(place) {
            None => render::push_root(&self.scheme, place.project, line),
            Some((number, row)) => {
                let block = self.block(place.project, number);
                render::push_row(&self.scheme, &block, row, line);
            }
        }
    }

    /// What a run over this input has to come to; the file is still to be
    /// named.
    pub fn manifest(&self) -> Manifest {
        let request = Request {
            what: "tasks".to_owned(),
            profile: Some(self.options.profile.name()),
            seed: Some(self.options.seed),
            count: self.options.count,
            order: self.options.order.name(),
            projects: Some(self.scheme.layout.projects()),
            mixed: self.options.mixed,
            drift: (self.options.profile == Profile::Drift).then(|| drift::stretches(&self.scheme.layout)),
        };
        let mut manifest = Manifest::new(request);
        for project in 0..self.scheme.layout.projects() {
            let rows = self.scheme.layout.rows_of(project, self.options.count);
            expect::note_project(&self.scheme, &self.sequence, project, rows, &mut manifest);
        }
        manifest
    }

    /// The plan of a block, from those kept or made anew.
    fn block(&mut self, project: u32, number: u32) -> Rc<Block> {
        let slot = (project as usize).wrapping_mul(31).wrapping_add(number as usize) % self.blocks.len();
        if let Some(block) = &self.blocks[slot]
            && (block.project, block.number) == (project, number)
        {
            return Rc::clone(block);
        }
        let block = Rc::new(Block::build(&self.scheme, project, number));
        self.blocks[slot] = Some(Rc::clone(&block));
        block
    }
}

/// Block and row of a place; none for a root.
fn spot(place: Place) -> Option<(u32, usize)> {
    let at = place.local.checked_sub(1)?;
    Some(((at / BLOCK_ROWS as u64) as u32, (at % BLOCK_ROWS as u64) as usize))
}
