//! From plans to the manifest: notes every row of a project that is written.

use super::super::manifest::{Manifest, Noted, keeps_out};
use super::block::{BLOCK_ROWS, Block, Op, Parent, Scheme, root_status};
use super::layout::Place;
use super::model::{Defects, Fate, Refusal};
use super::names;
use super::order::Sequence;
use super::render;

/// Note the first `rows` rows of a project.
pub fn note_project(scheme: &Scheme, sequence: &Sequence, project: u32, rows: u64, manifest: &mut Manifest) {
    if rows == 0 {
        return;
    }
    let name = names::project(scheme.seed, project);
    manifest.note(Noted {
        ordinal: sequence.position_of(scheme.layout.index(Place { project, local: 0 })),
        path: name.clone(),
        defects: Defects::default(),
        fate: Fate::Stored,
        fault: None,
        copy_of: None,
    });
    for stored in manifest.stored() {
        stored.count_task(&name, true, root_status(scheme, project));
    }
    let mut root_children = [0, 0];
    let blocks = (rows - 1).div_ceil(BLOCK_ROWS as u64);
    for number in 0..blocks {
        let written = (rows - 1 - number * BLOCK_ROWS as u64).min(BLOCK_ROWS as u64) as usize;
        let block = Block::build(scheme, project, number as u32);
        for row in 0..written {
            manifest.note(noted(scheme, sequence, &block, row));
        }
        for (with_faults, stored) in manifest.stored().into_iter().enumerate() {
            let end = Ending::new(&block, written, with_faults == 1);
            root_children[with_faults] += end.count(scheme, &block, &name, stored);
        }
    }
    for (stored, children) in manifest.stored().into_iter().zip(root_children) {
        if children > 0 {
            stored.count_parent(children, || name.clone());
        }
    }
}

fn noted(scheme: &Scheme, sequence: &Sequence, block: &Block, row: usize) -> Noted {
    let plan = &block.rows[row];
    let position = |row: usize| sequence.position_of(block.index(scheme, row));
    let (mut ordinal, mut copy_of) = (position(row), None);
    if let Some(source) = plan.copy_of {
        // Of two equal rows the first in the file is the one that stays.
        let source = position(usize::from(source));
        (ordinal, copy_of) = (ordinal.max(source), Some(ordinal.min(source)));
    }
    let fate = match &plan.fate {
        Fate::Stored => Fate::Stored,
        Fate::Dropped => Fate::Dropped,
        Fate::Refused(refusal) => Fate::Refused(Box::new(Refusal {
            phase: refusal.phase,
            codes: refusal.codes.clone(),
            link: refusal.link.map(|target| render::target_path(scheme, block, row, target)),
        })),
    };
    let path = render::shown_path(scheme, block, row);
    Noted { ordinal, path, defects: plan.defects, fate, fault: plan.fault, copy_of }
}

/// Which tasks of a block are there at the end.
struct Ending {
    tasks: Vec<usize>,
    /// For every row the children that are there.
    children: Vec<u64>,
    root_children: u64,
    statuses: Vec<super::model::Status>,
}

impl Ending {
    fn new(block: &Block, written: usize, with_faults: bool) -> Self {
        let mut there = vec![false; BLOCK_ROWS];
        let mut statuses: Vec<_> = block.rows.iter().map(|row| row.status).collect();
        for (row, plan) in block.rows[..written].iter().enumerate() {
            let kept_out = with_faults && plan.fault.is_some_and(keeps_out);
            match plan.op {
                _ if !plan.fate.is_stored() || kept_out => {}
                Op::Create => there[row] = true,
                Op::Status(target, status) => statuses[usize::from(target)] = status,
                Op::Delete(target) => there[usize::from(target)] = false,
                Op::Update(_) | Op::Repeat(_) => {}
            }
        }
        let tasks: Vec<usize> = (0..written).filter(|&row| there[row]).collect();
        let mut children = vec![0; BLOCK_ROWS];
        let mut root_children = 0;
        for &row in &tasks {
            match block.rows[row].parent {
                Parent::Root => root_children += 1,
                Parent::Row(parent) => children[usize::from(parent)] += 1,
            }
        }
        Self { tasks, children, root_children, statuses }
    }

    /// Count everything but the root, whose children are handed back.
    fn count(&self, scheme: &Scheme, block: &Block, project: &str, stored: &mut super::super::manifest::Stored) -> u64 {
        for &row in &self.tasks {
            stored.count_task(project, block.rows[row].milestone, self.statuses[row]);
        }
        for (row, &children) in self.children.iter().enumerate().filter(|&(_, &children)| children > 0) {
            stored.count_parent(children, || names::path(scheme.seed, block, row));
        }
        self.root_children
    }
}
