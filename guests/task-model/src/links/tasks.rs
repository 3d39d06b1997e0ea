//! What is stored, read once per call and in as few reads as possible.

use crate::Status;
use crate::limits::CHILDREN_MAX;
use serde::Deserialize;
use std::collections::HashMap;

/// The reads that the rules need. In the component this is the host's store.
pub trait Store {
    /// The stored bodies of these ids: same length, same order.
    fn get_many(&mut self, ids: &[&str]) -> Vec<Option<String>>;

    /// How many tasks have this parent, counted no further than `at_most`;
    /// none if the store has no index to tell.
    fn count_children(&mut self, parent: &str, at_most: usize) -> Option<usize>;
}

/// What the rules look at in a stored task.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// None if the stored value is no status.
    pub status: Option<Status>,
    /// Whether it may have children.
    pub is_milestone: bool,
    /// Paths of the tasks it depends on.
    pub dependencies: Vec<String>,
}

/// The part of the store that one call has seen.
pub struct Tasks<'s, S> {
    store: &'s mut S,
    known: HashMap<String, Option<Task>>,
    children: HashMap<String, Option<usize>>,
}

impl<'s, S: Store> Tasks<'s, S> {
    /// Nothing seen yet.
    pub fn new(store: &'s mut S) -> Tasks<'s, S> {
        Tasks { store, known: HashMap::new(), children: HashMap::new() }
    }

    /// Read those of `ids` that have not been read, all together.
    pub fn read(&mut self, ids: impl IntoIterator<Item = String>) {
        let mut wanted: Vec<String> = ids.into_iter().collect();
        wanted.retain(|id| !self.known.contains_key(id));
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.is_empty() {
            return;
        }
        let ids: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let bodies = self.store.get_many(&ids);
        for (id, body) in wanted.into_iter().zip(bodies) {
            self.known.insert(id, body.map(|body| Task::of(&body)));
        }
    }

    /// The stored task of that path; none if there is none, or if it was not
    /// read before.
    pub fn get(&self, path: &str) -> Option<&Task> {
        self.known.get(path)?.as_ref()
    }

    /// Count the children of a task, if that has not been done.
    pub fn count_children(&mut self, parent: &str) {
        if !self.children.contains_key(parent) {
            let count = self.store.count_children(parent, CHILDREN_MAX);
            self.children.insert(parent.to_owned(), count);
        }
    }

    /// The number of children, up to the limit and not beyond; none if there
    /// is no telling, or if they were not counted before.
    pub fn children(&self, parent: &str) -> Option<usize> {
        *self.children.get(parent)?
    }
}

impl Task {
    /// A stored row that is no task has no status, children or dependencies.
    fn of(body: &str) -> Task {
        let body: Body = serde_json::from_str(body).unwrap_or_default();
        Task {
            status: match &body.status {
                None => Some(Status::Pending),
                Some(name) => Status::parse(name),
            },
            is_milestone: body.kind.as_deref() == Some("MILESTONE"),
            dependencies: body.dependencies,
        }
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: Option<String>,
    status: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}
