//! Names of projects and paths of rows.
//!
//! Invariant: the second last part of a project's name is the seed and the
//! last one its number, so that two seeds share no path. Segments have 3 to
//! 18 characters but for the few that lead to a path of full length.

use super::super::limits::{PATH_BYTES_MAX, SEGMENT_BYTES_MAX};
use super::super::rng::Rng;
use super::super::words::PLAIN;
use super::block::{BLOCK_ROWS, Block, Op, Parent, Shape};

const PROJECT_NAME: u64 = 1;
const SEGMENT: u64 = 2;
const SEGMENT_BYTES_USUAL: usize = 18;

/// First segments of projects; none contains a `-`.
const PROJECT_WORDS: [&str; 12] =
    ["atlas", "blog", "core", "desk", "edge", "farm", "game", "home", "lab", "mail", "shop", "tool"];

/// The name, and only segment, of a project's root.
pub fn project(seed: u64, project: u32) -> String {
    let word = Rng::new(&[seed, PROJECT_NAME, u64::from(project)]).pick(&PROJECT_WORDS).to_string();
    format!("{word}-{}-{}", base36(seed), base36(u64::from(project)))
}

/// The path of a row as it is meant, before any defect.
pub fn path(seed: u64, block: &Block, row: usize) -> String {
    let row = match block.rows[row].op {
        Op::Create => row,
        Op::Update(target) | Op::Status(target, _) | Op::Delete(target) => usize::from(target),
        Op::Repeat(of) => return path(seed, block, usize::from(of)),
    };
    let mut path = match block.rows[row].parent {
        Parent::Root => project(seed, block.project),
        Parent::Row(parent) => self::path(seed, block, usize::from(parent)),
    };
    path.push('/');
    push_segment(seed, block.project, block.number, row, block.rows[row].shape, &mut path);
    path
}

/// The path of the first row of a block, which is always a child of the root.
pub fn anchor(seed: u64, project: u32, block: u32) -> String {
    let mut path = self::project(seed, project);
    path.push('/');
    push_segment(seed, project, block, 0, Shape::Usual, &mut path);
    path
}

/// The path without its last segment; none for a root.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// A path like this one whose parent is nowhere: the last segment but one
/// gets an ending that no other segment has.
pub fn with_missing_parent(path: &str) -> String {
    let (parent, last) = path.rsplit_once('/').unwrap_or((path, "child"));
    let keep = parent.len()
        - parent.rsplit('/').next().map_or(0, |segment| segment.len().saturating_sub(SEGMENT_BYTES_MAX - 5));
    format!("{}-Lost/{last}", &parent[..keep])
}

/// A path in this project that no row has.
pub fn absent(seed: u64, project: u32, local: u64, number: u16) -> String {
    format!("{}/Absent-{}-{number}", self::project(seed, project), base36(local))
}

/// The `variant`-th way in which a path can be wrong, made from a good one of
/// two segments or more. Another variant than there are starts over.
pub fn broken(path: &str, variant: u64) -> String {
    let (parent, last) = path.rsplit_once('/').unwrap_or((path, "child"));
    let root = path.split('/').next().unwrap_or(path);
    match variant % 10 {
        0 => format!("/{path}"),
        1 => format!("{path}/"),
        2 => format!("{parent}//{last}"),
        3 => format!("{parent}/9{last}"),
        4 => format!("{parent}/a {last}"),
        5 => format!("{parent}/é{last}"),
        6 => format!("{root}/a/b/c/d/e/f/{last}"),
        7 => format!("{parent}/{last}{}", "x".repeat(SEGMENT_BYTES_MAX + 1 - last.len().min(SEGMENT_BYTES_MAX))),
        8 => format!("{root}{}", format!("/{last:x<50}").repeat(5)),
        _ => format!("{parent}/.{last}"),
    }
}

/// The number in base 36, lower case.
pub fn base36(number: u64) -> String {
    let mut digits = Vec::new();
    let mut left = number;
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(left % 36) as usize]);
        left /= 36;
        if left == 0 {
            break;
        }
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

/// One or two words and a number that no sibling has. Children of the root
/// come from all blocks, so theirs counts through the whole project.
fn push_segment(seed: u64, project: u32, block: u32, row: usize, shape: Shape, path: &mut String) {
    let local = u64::from(block) * BLOCK_ROWS as u64 + row as u64;
    let mut rng = Rng::new(&[seed, SEGMENT, u64::from(project), local]);
    let number = base36(local);
    let room = PATH_BYTES_MAX - path.len();
    let mut words = rng.pick(&PLAIN).to_string();
    let bytes = match shape {
        Shape::Usual => {
            if rng.below(2) == 0 {
                words.push('-');
                words.push_str(rng.pick(&PLAIN));
            }
            room.min(SEGMENT_BYTES_USUAL)
        }
        Shape::Long => SEGMENT_BYTES_MAX,
        Shape::FillsPath => room,
    };
    let bytes = bytes - 1 - number.len();
    while shape != Shape::Usual && words.len() < bytes {
        words.push('-');
        words.push_str(rng.pick(&PLAIN));
    }
    words.truncate(bytes);
    path.push_str(&words);
    path.push('-');
    path.push_str(&number);
}
