//! From a row to the tasks that it changes: the one it names, and those for
//! which something follows from that.

use crate::board::{Board, Store};
use std::collections::VecDeque;
use task_model::problem::quoted;
use task_model::row::{marker_body, marker_id};
use task_model::{Code, Op, Problem, Row, Status, edge, path};

/// Most tasks that one item may change beside the one that it names.
pub const EFFECTS_MAX: usize = 100;

/// Rows to be stored, as pairs of id and body: all of them or none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Tasks under their paths, and the marker of an idempotency key.
    pub tasks: Vec<(String, String)>,
    /// Rows of the collection of edges.
    pub edges: Vec<(String, String)>,
}

/// What `row` changes. Nothing, if it asks for what is there already, or if its
/// idempotency key is used up.
///
/// # Errors
/// The row is neither a create nor a status row; its path is taken, or nothing
/// is stored there; more than [`EFFECTS_MAX`] other tasks would change; the
/// store has no index to find these.
pub fn changes(row: Row, store: &mut impl Store) -> Result<Changes, Problem> {
    let path = row.path()?.to_owned();
    let mut board = Board::new(store);
    let marker = row.text("key").map(|key| (marker_id(key), key.to_owned()));
    if let Some((id, _)) = &marker
        && board.row(id).is_some()
    {
        return Ok(Changes::default());
    }
    let (op, mut changes) = match row.op() {
        Some(Op::Create) => (Op::Create, create(row, &path, &mut board)?),
        Some(Op::Status) => (Op::Status, change(&row, &path, board)?),
        _ => {
            let message = "op: wanted create or status; hint: task-enrich applies update and delete rows";
            return Err(Problem::new(Code::Field, "/op", message));
        }
    };
    changes.tasks.extend(marker.map(|(id, key)| (id, marker_body(&key, op, &path))));
    Ok(changes)
}

fn create(mut task: Row, path: &str, board: &mut Board<impl Store>) -> Result<Changes, Problem> {
    if board.row(path).is_some() {
        return Err(Problem::new(Code::Duplicate, "/path", format!("there is a task {} already", quoted(path))));
    }
    task.0.shift_remove("op");
    task.0.shift_remove("key");
    task.fill_in(path);
    let dependencies = dependencies(&task);
    if let Some(wanted) = task.status() {
        let reached = reached(wanted, &dependencies, board);
        task.0.insert("status".to_owned(), reached.as_str().into());
    }
    let edges = dependencies.iter().map(|to| (edge::id(path, to), edge::body(path, to))).collect();
    Ok(Changes { tasks: vec![(path.to_owned(), task.to_text())], edges })
}

fn change<S: Store>(row: &Row, path: &str, mut board: Board<S>) -> Result<Changes, Problem> {
    let asked = row.text("status").and_then(Status::parse);
    let wanted = asked.ok_or_else(|| Problem::new(Code::Status, "/status", "status: wanted one of the five"))?;
    let task = board.row(path).ok_or_else(|| Problem::not_found(path))?;
    let dependencies = dependencies(task);
    if task.status() != Some(wanted) {
        let reached = reached(wanted, &dependencies, &mut board);
        let mut effects = Effects { board: &mut board, cause: path, done: VecDeque::new() };
        effects.set(path, reached)?;
        effects.follow()?;
    }
    Ok(Changes { tasks: board.into_changed(), edges: Vec::new() })
}

/// A task cannot begin before all that it depends on is completed.
fn reached(wanted: Status, dependencies: &[String], board: &mut Board<impl Store>) -> Status {
    match wanted {
        Status::InProgress if !board.all_completed(dependencies) => Status::Blocked,
        _ => wanted,
    }
}

fn dependencies(task: &Row) -> Vec<String> {
    task.texts("dependencies").into_iter().map(str::to_owned).collect()
}

/// Whether nothing is left to do.
fn is_done(status: Status) -> bool {
    matches!(status, Status::Completed | Status::Cancelled)
}

/// What follows from the status of one task for others.
struct Effects<'b, 's, S> {
    board: &'b mut Board<'s, S>,
    /// The task that the item names.
    cause: &'b str,
    /// Tasks that have become completed or cancelled, and of which nothing has followed yet.
    done: VecDeque<String>,
}

impl<S: Store> Effects<'_, '_, S> {
    fn set(&mut self, path: &str, status: Status) -> Result<(), Problem> {
        self.board.set_status(path, status);
        if self.board.changes() > EFFECTS_MAX + 1 {
            let message = format!(
                "more than {EFFECTS_MAX} other tasks would change with {}, wanted at most {EFFECTS_MAX}; \
                 hint: give a status to some of those that depend on it first",
                quoted(self.cause)
            );
            return Err(Problem::new(Code::Dependency, "/status", message).with("limit", EFFECTS_MAX));
        }
        if is_done(status) {
            self.done.push_back(path.to_owned());
        }
        Ok(())
    }

    /// Go on until nothing more follows. It ends on circles too: a task is done once, and what is done stays so.
    fn follow(&mut self) -> Result<(), Problem> {
        while let Some(path) = self.done.pop_front() {
            let completed = self.board.status(&path) == Some(Status::Completed);
            for dependent in self.board.dependents(&path)? {
                if completed {
                    self.free(&dependent)?;
                } else if self.open(&dependent).is_some() {
                    self.set(&dependent, Status::Cancelled)?;
                }
            }
            if let Some(parent) = path::parent(&path) {
                self.complete(parent)?;
            }
        }
        Ok(())
    }

    /// Where a task stands that is not done; none for all others.
    fn open(&mut self, path: &str) -> Option<Status> {
        self.board.status(path).filter(|status| !is_done(*status))
    }

    /// A dependency of the task was completed.
    fn free(&mut self, path: &str) -> Result<(), Problem> {
        self.complete(path)?;
        if self.open(path) == Some(Status::Blocked) && self.may_begin(path) {
            self.set(path, Status::Pending)?;
        }
        Ok(())
    }

    /// Complete a task if its children are done, at least one of them completed.
    fn complete(&mut self, path: &str) -> Result<(), Problem> {
        let may_have_children = self.board.row(path).is_some_and(Row::is_milestone);
        if !may_have_children || self.open(path).is_none() || !self.may_begin(path) {
            return Ok(());
        }
        let children = self.board.children(path)?;
        if children.iter().all(|status| status.is_some_and(is_done)) && children.contains(&Some(Status::Completed)) {
            self.set(path, Status::Completed)?;
        }
        Ok(())
    }

    /// Whether all that the task depends on is completed.
    fn may_begin(&mut self, path: &str) -> bool {
        let dependencies = self.board.row(path).map(dependencies).unwrap_or_default();
        self.board.all_completed(&dependencies)
    }
}

#[cfg(test)]
mod tests;
