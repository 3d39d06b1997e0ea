//! The tasks as one item sees them: what is stored, and over it what the item
//! has changed so far.

use std::collections::HashMap;
use task_model::{Problem, Row, Status};

/// The reads that a workflow needs. In the component this is the host's store.
pub trait Store {
    /// The stored bodies of these ids: same length, same order.
    fn get_many(&mut self, ids: &[String]) -> Vec<Option<String>>;

    /// Path and body of each task whose parent is `path`.
    ///
    /// # Errors
    /// The store has no index to tell.
    fn children(&mut self, path: &str) -> Result<Vec<(String, String)>, Problem>;

    /// Path of each task that depends on the task `path`.
    ///
    /// # Errors
    /// The store has no edges, or no index over their targets.
    fn dependents(&mut self, path: &str) -> Result<Vec<String>, Problem>;
}

/// See the module.
pub struct Board<'s, S> {
    store: &'s mut S,
    /// What was read; none where nothing is stored.
    tasks: HashMap<String, Option<Row>>,
    /// Paths of the tasks that were changed, each once, the first first.
    changed: Vec<String>,
}

impl<'s, S: Store> Board<'s, S> {
    /// Nothing read, nothing changed.
    pub fn new(store: &'s mut S) -> Board<'s, S> {
        Board { store, tasks: HashMap::new(), changed: Vec::new() }
    }

    /// Read those of `ids` that have not been read, all together.
    pub fn read(&mut self, ids: impl IntoIterator<Item = String>) {
        let wanted: Vec<String> = ids.into_iter().filter(|id| !self.tasks.contains_key(id)).collect();
        if wanted.is_empty() {
            return;
        }
        let bodies = self.store.get_many(&wanted);
        for (id, body) in wanted.into_iter().zip(bodies) {
            self.tasks.insert(id, body.and_then(|body| Row::parse(&body).ok()));
        }
    }

    /// The task of that path, or another row by its id; none if none is stored.
    pub fn row(&mut self, id: &str) -> Option<&Row> {
        self.read([id.to_owned()]);
        self.tasks.get(id)?.as_ref()
    }

    /// Where the task stands; none if it is not stored.
    pub fn status(&mut self, path: &str) -> Option<Status> {
        self.row(path)?.status()
    }

    /// Change where a stored task stands. What changes nothing is no change.
    pub fn set_status(&mut self, path: &str, status: Status) {
        if self.status(path) == Some(status) {
            return;
        }
        if let Some(Some(task)) = self.tasks.get_mut(path) {
            task.0.insert("status".to_owned(), status.as_str().into());
            if !self.changed.iter().any(|known| known == path) {
                self.changed.push(path.to_owned());
            }
        }
    }

    /// Whether all these tasks are stored and completed.
    pub fn all_completed(&mut self, paths: &[String]) -> bool {
        self.read(paths.iter().cloned());
        paths.iter().all(|path| self.status(path) == Some(Status::Completed))
    }

    /// Where the children of a task stand; none for one whose stored value is no status.
    ///
    /// # Errors
    /// See [`Store::children`].
    pub fn children(&mut self, path: &str) -> Result<Vec<Option<Status>>, Problem> {
        let found = self.store.children(path)?;
        let mut statuses = Vec::with_capacity(found.len());
        for (path, body) in found {
            let task = self.tasks.entry(path).or_insert_with(|| Row::parse(&body).ok());
            statuses.push(task.as_ref().and_then(Row::status));
        }
        Ok(statuses)
    }

    /// Paths of the tasks that depend on a task.
    ///
    /// # Errors
    /// See [`Store::dependents`].
    pub fn dependents(&mut self, path: &str) -> Result<Vec<String>, Problem> {
        let paths = self.store.dependents(path)?;
        self.read(paths.iter().cloned());
        Ok(paths)
    }

    /// How many tasks were changed.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Path and new body of each task that was changed.
    pub fn into_changed(self) -> Vec<(String, String)> {
        let Board { tasks, changed, .. } = self;
        let body = |path: &String| tasks.get(path).and_then(Option::as_ref).map(Row::to_text);
        changed.iter().filter_map(|path| Some((path.clone(), body(path)?))).collect()
    }
}
