//! The rules, applied to all items of a call.

use super::asked::{Asked, nearest};
use super::chain::{self, Chains};
use super::tasks::{Store, Task, Tasks};
use crate::limits::{CHAIN_EDGES_MAX, CHAIN_EDGES_WARN, CHILDREN_MAX, DEPENDENCIES_WARN};
use crate::problem::quoted;
use crate::{Code, Mode, Op, Problem, Row, Status, path};
use std::collections::HashSet;

/// What became of the items of one call.
#[derive(Debug, Default)]
pub struct Judged {
    /// The broken rules of each item: same length and order as the items.
    pub problems: Vec<Vec<Problem>>,
    /// What is legal but odd, as sentences for the log.
    pub warnings: Vec<String>,
}

/// Judge the rows in `bodies` against what `store` holds.
pub fn judge(bodies: &[&str], store: &mut impl Store) -> Judged {
    let rows: Vec<Result<Row, Problem>> = bodies.iter().map(|body| parse(body)).collect();
    let mut tasks = Tasks::new(store);
    tasks.read(rows.iter().flatten().flat_map(nearest));
    let asked: Vec<Option<Asked>> =
        rows.iter().map(|row| row.as_ref().ok().and_then(|row| Asked::of(row, &tasks))).collect();
    read_dependencies(&mut tasks, &asked);
    read_missing_ancestors(&mut tasks, &asked);
    count_children(&mut tasks, &asked);

    let mut chains = Chains::default();
    let mut judged = Judged::default();
    for (row, asked) in rows.iter().zip(&asked) {
        judged.problems.push(match (row, asked) {
            (Err(problem), _) => vec![problem.clone()],
            (Ok(_), None) => Vec::new(),
            (Ok(_), Some(asked)) => {
                let mut item = Item { asked, tasks: &tasks, problems: Vec::new() };
                item.check();
                item.check_chain(&mut chains, &mut judged.warnings);
                item.problems
            }
        });
    }
    judged
}

/// A row with a legal path: without one there is nothing to look up.
fn parse(body: &str) -> Result<Row, Problem> {
    let row = Row::parse(body)?;
    row.path()?;
    Ok(row)
}

/// Read, level by level, all that chains from the items can lead to within
/// the longest legal chain.
fn read_dependencies<S: Store>(tasks: &mut Tasks<S>, asked: &[Option<Asked>]) {
    let targets = |wanted: fn(&Asked) -> bool| {
        let asked = asked.iter().flatten().filter(move |asked| wanted(asked));
        asked.flat_map(Asked::targets).map(str::to_owned)
    };
    tasks.read(targets(|asked| asked.op != Op::Delete));
    let mut level: Vec<String> = targets(|asked| asked.sets_dependencies).collect();
    let mut seen: HashSet<String> = level.iter().cloned().collect();
    for _ in 1..CHAIN_EDGES_MAX {
        let stored = level.iter().filter_map(|path| tasks.get(path));
        level =
            stored.flat_map(|task| &task.dependencies).filter(|path| seen.insert((*path).clone())).cloned().collect();
        tasks.read(level.clone());
    }
}

/// Where a parent or dependency is missing, read what it hangs from: the
/// first broken link may be further up.
fn read_missing_ancestors<S: Store>(tasks: &mut Tasks<S>, asked: &[Option<Asked>]) {
    let missing = asked.iter().flatten().flat_map(|asked| {
        let parent = path::parent(asked.path).filter(|_| asked.op == Op::Create);
        asked.targets().chain(parent)
    });
    let ancestors: Vec<String> =
        missing.filter(|path| tasks.get(path).is_none()).flat_map(ancestors).map(str::to_owned).collect();
    tasks.read(ancestors);
}

fn count_children<S: Store>(tasks: &mut Tasks<S>, asked: &[Option<Asked>]) {
    for asked in asked.iter().flatten() {
        let parent = match asked.op {
            Op::Create if tasks.get(asked.path).is_none() => path::parent(asked.path),
            Op::Update if asked.no_milestone => Some(asked.path),
            Op::Delete if asked.mode == Some(Mode::Block) => Some(asked.path),
            _ => None,
        };
        if let Some(parent) = parent.filter(|path| tasks.get(path).is_some()) {
            tasks.count_children(parent);
        }
    }
}

/// All paths above `path`, the root first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(slash, _)| &path[..slash])
}

/// One item in front of the rules.
struct Item<'a, 's, S> {
    asked: &'a Asked<'a>,
    tasks: &'a Tasks<'s, S>,
    problems: Vec<Problem>,
}

impl<'a, S: Store> Item<'a, '_, S> {
    fn check(&mut self) {
        let stored = self.tasks.get(self.asked.path);
        match (self.asked.op, stored) {
            (Op::Create, None) => self.check_parent(),
            (Op::Create, Some(_)) => {
                let message = format!("there is a task {} already", quoted(self.asked.path));
                self.add(Code::Duplicate, "/path".to_owned(), message);
            }
            (Op::Update | Op::Status | Op::Delete, None) => {
                self.problems.push(Problem::not_found(self.asked.path));
            }
            (Op::Update | Op::Status, Some(task)) => self.check_change(task),
            (Op::Delete, Some(_)) => {
                if self.asked.mode == Some(Mode::Block) {
                    self.check_childless("/path".to_owned(), "cannot be deleted in mode block");
                }
            }
        }
        if self.asked.op == Op::Create || stored.is_some() && self.asked.op != Op::Delete {
            self.check_dependencies(stored);
        }
    }

    fn add(&mut self, code: Code, pointer: String, message: String) {
        self.problems.push(Problem::new(code, pointer, message));
    }

    /// Pointer to a field that the row sets.
    fn field(&self, name: &str) -> String {
        format!("{}/{name}", self.asked.at)
    }

    fn check_parent(&mut self) {
        let Some(parent) = path::parent(self.asked.path) else {
            return;
        };
        let pointer = if self.asked.names_parent { "/parentPath" } else { "/path" };
        let problem = match (self.tasks.get(parent), self.tasks.children(parent)) {
            (None, _) => Problem::new(Code::Parent, pointer, format!("parent {} is not stored", quoted(parent)))
                .with("brokenLink", self.broken_link(parent)),
            (Some(task), _) if !task.is_milestone => {
                let message = format!("parent {} is no MILESTONE", quoted(parent));
                Problem::new(Code::Parent, pointer, message)
            }
            (Some(_), Some(children)) if children >= CHILDREN_MAX => {
                let message =
                    format!("parent {} has {CHILDREN_MAX} children, which is as many as it may have", quoted(parent));
                Problem::new(Code::Parent, pointer, message).with("limit", CHILDREN_MAX)
            }
            _ => return,
        };
        self.problems.push(problem.with("parent", parent));
    }

    fn check_childless(&mut self, pointer: String, why: &str) {
        if self.tasks.children(self.asked.path).is_some_and(|children| children > 0) {
            let message = format!("task {} has children and {why}", quoted(self.asked.path));
            self.add(Code::Parent, pointer, message);
        }
    }

    fn check_change(&mut self, stored: &Task) {
        if let (Some(from), Some(to)) = (stored.status, self.asked.status)
            && !from.may_become(to)
        {
            let next: Vec<&str> = from.next().iter().map(|next| next.as_str()).collect();
            let wanted = if next.is_empty() { "none, it is final".to_owned() } else { next.join(", ") };
            let message = format!("status cannot go from {} to {}, wanted {wanted}", from.as_str(), to.as_str());
            let problem = Problem::new(Code::Transition, self.field("status"), message);
            self.problems.push(problem.with("from", from.as_str()).with("to", to.as_str()));
        }
        if self.asked.no_milestone {
            self.check_childless(self.field("type"), "has to stay a MILESTONE");
        }
    }

    fn check_dependencies(&mut self, stored: Option<&Task>) {
        let before = stored.filter(|_| self.asked.op != Op::Create);
        let status = self.asked.status.or(before.and_then(|task| task.status));
        let sets_status = self.asked.op == Op::Create
            || before.is_some_and(|task| self.asked.status.is_some() && task.status != status);
        let completes = status == Some(Status::Completed) && (sets_status || self.asked.sets_dependencies);
        for (place, target) in &self.asked.dependencies {
            let pointer = if self.asked.sets_dependencies {
                self.field(&format!("dependencies/{place}"))
            } else {
                self.field("status")
            };
            let wrong = match self.tasks.get(target) {
                None if self.asked.sets_dependencies => "is not stored",
                Some(Task { status: Some(Status::Cancelled), .. }) if self.asked.sets_dependencies => "is CANCELLED",
                Some(Task { status: Some(Status::Completed), .. }) => continue,
                _ if completes => "is not COMPLETED, and so the task cannot be",
                _ => continue,
            };
            let message = format!("dependency {} {wrong}", quoted(target));
            let mut problem = Problem::new(Code::Dependency, pointer, message).with("dependency", target);
            if self.tasks.get(target).is_none() {
                problem = problem.with("brokenLink", self.broken_link(target));
            }
            self.problems.push(problem);
        }
    }

    fn check_chain(&mut self, chains: &mut Chains<'a>, warnings: &mut Vec<String>) {
        if !self.asked.sets_dependencies {
            return;
        }
        let own = self.asked.path;
        let targets: Vec<&str> = self.asked.targets().collect();
        let edges = chains.edges(self.tasks, &targets);
        if let Some(way) = chain::cycle(self.tasks, own, &targets) {
            let message = format!("dependencies of {} lead back to it", quoted(own));
            let problem = Problem::new(Code::Cycle, self.field("dependencies"), message);
            self.problems.push(problem.with("cycle", way.join(" > ")));
        } else if edges > CHAIN_EDGES_MAX {
            let message = format!(
                "a chain of more than {CHAIN_EDGES_MAX} dependencies begins here, wanted at most {CHAIN_EDGES_MAX}"
            );
            let problem = Problem::new(Code::Dependency, self.field("dependencies"), message);
            self.problems.push(problem.with("limit", CHAIN_EDGES_MAX));
        } else if edges > CHAIN_EDGES_WARN {
            warnings.push(format!("{own}: a chain of {edges} dependencies, more than {CHAIN_EDGES_WARN}."));
        }
        if targets.len() > DEPENDENCIES_WARN {
            warnings.push(format!("{own}: {} dependencies, more than {DEPENDENCIES_WARN}.", targets.len()));
        }
    }

    /// The first task on the way from the root down to the missing `path`
    /// that is missing itself.
    fn broken_link<'p>(&self, path: &'p str) -> &'p str {
        ancestors(path).find(|ancestor| self.tasks.get(ancestor).is_none()).unwrap_or(path)
    }
}
