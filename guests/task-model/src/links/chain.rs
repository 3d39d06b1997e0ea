//! Walks along dependencies, over tasks that have been read already.

use super::tasks::{Store, Tasks};
use crate::limits::CHAIN_EDGES_MAX;
use std::collections::{HashMap, HashSet, VecDeque};

/// Lengths of chains, remembered for all items of a call.
#[derive(Default)]
pub struct Chains<'t> {
    /// Per task: how far was looked, and the longest chain found within that.
    longest: HashMap<&'t str, (usize, usize)>,
}

impl<'t> Chains<'t> {
    /// Edges of the longest chain from a task with these dependencies, counted
    /// no further than one beyond the limit. Each task is looked at once per
    /// distance at most, however many chains lead through it.
    pub fn edges<S: Store>(&mut self, tasks: &'t Tasks<S>, dependencies: &[&'t str]) -> usize {
        self.over(tasks, dependencies.iter().copied(), CHAIN_EDGES_MAX + 1)
    }

    fn over<S: Store>(
        &mut self,
        tasks: &'t Tasks<S>,
        dependencies: impl Iterator<Item = &'t str>,
        edges_max: usize,
    ) -> usize {
        let ends = dependencies.map(|path| 1 + self.from(tasks, path, edges_max - 1));
        ends.max().unwrap_or(0)
    }

    /// Edges of the longest chain from the stored task `path`, up to `edges_max`.
    fn from<S: Store>(&mut self, tasks: &'t Tasks<S>, path: &'t str, edges_max: usize) -> usize {
        if edges_max == 0 {
            return 0;
        }
        if let Some(&(looked, longest)) = self.longest.get(path)
            && (longest < looked || looked >= edges_max)
        {
            return longest.min(edges_max);
        }
        let Some(task) = tasks.get(path) else {
            return 0;
        };
        let dependencies = task.dependencies.iter().map(String::as_str);
        let longest = self.over(tasks, dependencies, edges_max);
        self.longest.insert(path, (edges_max, longest));
        longest
    }
}

/// A circle from `path` over `dependencies` back to `path`, as the list of
/// tasks in it with `path` first and last; none if there is none.
pub fn cycle<'t, S: Store>(tasks: &'t Tasks<S>, path: &str, dependencies: &[&'t str]) -> Option<Vec<String>> {
    let mut came_from: HashMap<&str, &str> = HashMap::new();
    let mut seen: HashSet<&str> = dependencies.iter().copied().collect();
    let mut queue: VecDeque<&str> = dependencies.iter().copied().collect();
    while let Some(at) = queue.pop_front() {
        let Some(task) = tasks.get(at) else { continue };
        for next in task.dependencies.iter().map(String::as_str) {
            if next == path {
                return Some(way_back(path, at, &came_from));
            }
            if seen.insert(next) {
                came_from.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}

fn way_back(path: &str, last: &str, came_from: &HashMap<&str, &str>) -> Vec<String> {
    let mut way = vec![path.to_owned(), last.to_owned()];
    let mut at = last;
    while let Some(before) = came_from.get(at) {
        way.push((*before).to_owned());
        at = before;
    }
    way.push(path.to_owned());
    way.reverse();
    way
}
