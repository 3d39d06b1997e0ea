//! The rules that need the row alone.

use crate::limits::{
    DEPENDENCIES_MAX, KEY_BYTES_MAX, NAME_CHARS_MAX, NOTE_CHARS_MAX, NOTES_MAX, PROBLEMS_MAX, TEXT_CHARS_MAX,
    VERSION_MIN,
};
use crate::metadata::{check_metadata, check_status_metadata};
use crate::path;
use crate::problem::{Code, Problem, pointer_to, quoted};
use crate::row::{Mode, Op, Row};
use crate::status::{self, Status};
use serde_json::Value;
use std::collections::HashSet;

/// The fields of a task, in the order in which documents list them.
pub const TASK_FIELDS: [&str; 18] = [
    "path",
    "name",
    "type",
    "status",
    "description",
    "reasoning",
    "dependencies",
    "planningNotes",
    "progressNotes",
    "completionNotes",
    "troubleshootingNotes",
    "metadata",
    "statusMetadata",
    "parentPath",
    "projectPath",
    "version",
    "created",
    "updated",
];

/// All rules that the row `body` breaks, in the order of its fields, those
/// about missing fields first. Empty for a good row. What is beyond the first
/// 100 problems is only counted, by one problem more.
pub fn check(body: &str) -> Vec<Problem> {
    let row = match Row::parse(body) {
        Ok(row) => row,
        Err(problem) => return vec![problem],
    };
    let mut check = Check::new(&row, "", false);
    match row.op() {
        None => check.unknown_choice("op", &Op::NAMES.map(|(name, _)| name)),
        Some(op) => check.row_fields(op),
    }
    let mut problems = check.problems;
    let more = problems.len().saturating_sub(PROBLEMS_MAX);
    if more > 0 {
        problems.truncate(PROBLEMS_MAX);
        let message = format!("{more} more problems are not listed");
        problems.push(Problem::new(Code::Field, "", message));
    }
    problems
}

/// All rules that a task breaks once it is stored: those of a create row,
/// which `op` and `key` are no longer part of. Fields named in `computed` are somebody else's and are let be.
pub fn check_task(task: &Row, computed: &[&str]) -> Vec<Problem> {
    let mut check = Check::new(task, "", false);
    check.required(&["path", "name"]);
    for (name, value) in &task.0 {
        if !computed.contains(&name.as_str()) {
            check.task_field(name, value);
        }
    }
    check.times();
    check.problems
}

struct Check<'a> {
    row: &'a Row,
    /// The row's own path, if it is a string at all.
    path: Option<&'a str>,
    /// Pointer to the object whose members are checked.
    at: &'static str,
    /// Whether those members are a merge patch, where a null deletes.
    patch: bool,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn new(row: &'a Row, at: &'static str, patch: bool) -> Check<'a> {
        Check { row, path: row.text("path"), at, patch, problems: Vec::new() }
    }

    fn add(&mut self, code: Code, field: &str, message: String) {
        let pointer = pointer_to(self.at, field);
        self.problems.push(Problem::new(code, pointer, message));
    }

    fn required(&mut self, fields: &[&str]) {
        for field in fields {
            if !self.row.0.contains_key(*field) {
                self.add(Code::Field, field, format!("{field} is missing"));
            }
        }
    }

    /// The fields of a row as read, which depend on what the row asks for.
    fn row_fields(&mut self, op: Op) {
        let (required, own): (&[&str], &[&str]) = match op {
            Op::Create => (&["path", "name"], &TASK_FIELDS),
            Op::Update => (&["path", "set"], &["path", "set"]),
            Op::Status => (&["path", "status"], &["path", "status"]),
            Op::Delete => (&["path"], &["path", "mode"]),
        };
        self.required(required);
        for (name, value) in &self.row.0 {
            match name.as_str() {
                "op" => {}
                "key" => self.key(value),
                "set" if op == Op::Update => self.set(value),
                "mode" if op == Op::Delete => {
                    if self.row.mode().is_none() {
                        self.unknown_choice("mode", &Mode::NAMES.map(|(name, _)| name));
                    }
                }
                name if own.contains(&name) => self.task_field(name, value),
                name if is_known(name) => {
                    let message = format!("{name} has no place on this row, wanted only op, key, {}", own.join(", "));
                    self.add(Code::Field, name, message);
                }
                name => self.unknown(name),
            }
        }
        self.times();
    }

    /// The members of an update's `set`.
    fn set(&mut self, value: &Value) {
        let Value::Object(set) = value else {
            self.add(Code::Field, "set", "set: wanted an object".to_owned());
            return;
        };
        let patch = Row(set.clone());
        let mut inner = Check::new(&patch, "/set", true);
        inner.path = self.path;
        for (name, value) in set {
            match (name.as_str(), value) {
                ("path", _) => {
                    let message = "path is the key of a task and cannot change".to_owned();
                    inner.add(Code::Field, "path", message);
                }
                ("name", Value::Null) => {
                    let message = "name is required and cannot be deleted".to_owned();
                    inner.add(Code::Field, "name", message);
                }
                (name, Value::Null) if TASK_FIELDS.contains(&name) => {}
                (name, value) => inner.task_field(name, value),
            }
        }
        inner.times();
        self.problems.append(&mut inner.problems);
    }

    fn task_field(&mut self, name: &str, value: &Value) {
        let pointer = pointer_to(self.at, name);
        match name {
            "path" => self.path_field(value),
            "name" => self.text(name, value, 1, NAME_CHARS_MAX),
            "type" => {
                if !matches!(value.as_str(), Some("TASK" | "MILESTONE")) {
                    let message = format!("type is {}, wanted TASK or MILESTONE", shown(value));
                    self.add(Code::Type, name, message);
                }
            }
            "status" => {
                if value.as_str().and_then(Status::parse).is_none() {
                    let names = status::ALL.map(Status::as_str).join(", ");
                    let message = format!("status is {}, wanted one of {names}", shown(value));
                    self.add(Code::Status, name, message);
                }
            }
            "description" | "reasoning" => self.text(name, value, 0, TEXT_CHARS_MAX),
            "dependencies" => self.dependencies(value),
            "planningNotes" | "progressNotes" | "completionNotes" | "troubleshootingNotes" => {
                self.notes(name, value);
            }
            "metadata" => check_metadata(value, &pointer, self.patch, &mut self.problems),
            "statusMetadata" => {
                check_status_metadata(value, &pointer, self.patch, &mut self.problems);
            }
            "parentPath" => self.relative(name, value, self.path.and_then(path::parent)),
            "projectPath" => self.relative(name, value, self.path.map(path::project)),
            "version" => {
                if value.as_i64().is_none_or(|version| version < VERSION_MIN) {
                    let message = format!("version is {}, wanted a whole number from 1", shown(value));
                    self.add(Code::Field, name, message);
                }
            }
            "created" | "updated" => {
                if value.as_i64().is_none() {
                    let message = format!("{name} is {}, wanted whole milliseconds since 1970 in UTC", shown(value));
                    self.add(Code::Field, name, message);
                }
            }
            _ => self.unknown(name),
        }
    }

    fn path_field(&mut self, value: &Value) {
        match value.as_str().map(path::check) {
            None => self.add(Code::Field, "path", "path: wanted a string".to_owned()),
            Some(Err(wrong)) => self.add(Code::Field, "path", wrong),
            Some(Ok(())) => {}
        }
    }

    fn text(&mut self, name: &str, value: &Value, chars_min: usize, chars_max: usize) {
        let Some(text) = value.as_str() else {
            self.add(Code::Field, name, format!("{name}: wanted a string"));
            return;
        };
        let chars = text.chars().count();
        if chars < chars_min || chars > chars_max {
            let pointer = pointer_to(self.at, name);
            self.problems.push(length(&pointer, name, chars, chars_min, chars_max));
        }
    }

    fn notes(&mut self, name: &str, value: &Value) {
        let Value::Array(notes) = value else {
            self.add(Code::Field, name, format!("{name}: wanted a list of strings"));
            return;
        };
        let pointer = pointer_to(self.at, name);
        if notes.len() > NOTES_MAX {
            let message = format!("{name} has {} notes, wanted at most {NOTES_MAX}", notes.len());
            let problem = Problem::new(Code::Field, &pointer, message);
            self.problems.push(problem.with("found", notes.len()).with("limit", NOTES_MAX));
        }
        for (index, note) in notes.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            match note.as_str().map(|text| text.chars().count()) {
                None => self.problems.push(Problem::new(Code::Field, pointer, "a note: wanted a string")),
                Some(chars) if chars > NOTE_CHARS_MAX => {
                    self.problems.push(length(&pointer, "a note", chars, 0, NOTE_CHARS_MAX))
                }
                Some(_) => {}
            }
        }
    }

    fn dependencies(&mut self, value: &Value) {
        let Value::Array(list) = value else {
            let message = "dependencies: wanted a list of paths".to_owned();
            self.add(Code::Dependency, "dependencies", message);
            return;
        };
        let pointer = pointer_to(self.at, "dependencies");
        if list.len() > DEPENDENCIES_MAX {
            let message = format!("{} dependencies, wanted at most {DEPENDENCIES_MAX}", list.len());
            let problem = Problem::new(Code::Dependency, &pointer, message);
            self.problems.push(problem.with("found", list.len()).with("limit", DEPENDENCIES_MAX));
        }
        let mut seen = HashSet::with_capacity(list.len());
        for (index, target) in list.iter().enumerate() {
            let wrong = match target.as_str() {
                None => Err("a dependency: wanted a path".to_owned()),
                Some(target) if Some(target) == self.path => Err("a task depends on itself".to_owned()),
                Some(target) if !seen.insert(target) => Err(format!("dependency {} is given twice", quoted(target))),
                Some(target) => path::check(target),
            };
            if let Err(message) = wrong {
                let problem = Problem::new(Code::Dependency, format!("{pointer}/{index}"), message);
                self.problems.push(match target.as_str() {
                    Some(target) => problem.with("dependency", target),
                    None => problem,
                });
            }
        }
    }

    /// `parentPath` and `projectPath` repeat what the path says.
    fn relative(&mut self, name: &str, value: &Value, wanted: Option<&str>) {
        let right = match wanted {
            Some(path) => value.as_str() == Some(path),
            None => value.is_null(),
        };
        if self.path.is_some_and(path::is_legal) && !right {
            let wanted = wanted.map_or("none, since the path is a root".to_owned(), quoted);
            let message = format!("{name} is {}, wanted {wanted}", shown(value));
            self.add(Code::Parent, name, message);
        }
    }

    fn key(&mut self, value: &Value) {
        let bytes = value.as_str().map(str::len);
        if bytes.is_none_or(|bytes| bytes == 0 || bytes > KEY_BYTES_MAX) {
            let message = format!("key: wanted a string of 1 to {KEY_BYTES_MAX} bytes");
            self.add(Code::Field, "key", message);
        }
    }

    fn times(&mut self) {
        let time = |name| self.row.0.get(name).and_then(Value::as_i64);
        if let (Some(created), Some(updated)) = (time("created"), time("updated"))
            && updated < created
        {
            let message = format!("updated ({updated}) is before created ({created})");
            self.add(Code::Field, "updated", message);
        }
    }

    fn unknown_choice(&mut self, field: &str, names: &[&str]) {
        let found = self.row.0.get(field).map(shown).unwrap_or_default();
        let message = format!("{field} is {found}, wanted one of {}", names.join(", "));
        self.add(Code::Field, field, message);
    }

    fn unknown(&mut self, name: &str) {
        let hint = match name {
            "notes" => "; hint: use planningNotes, progressNotes, completionNotes or troubleshootingNotes",
            _ => "; hint: keys of your own go into metadata",
        };
        let message = format!("unknown field {}{hint}", quoted(name));
        self.add(Code::Field, name, message);
    }
}

fn is_known(name: &str) -> bool {
    TASK_FIELDS.contains(&name) || matches!(name, "set" | "mode")
}

fn length(pointer: &str, what: &str, chars: usize, chars_min: usize, chars_max: usize) -> Problem {
    let message = format!("{what} has {chars} characters, wanted {chars_min} to {chars_max}");
    Problem::new(Code::Field, pointer, message).with("found", chars).with("limit", chars_max)
}

/// A value in a message: short, and never a whole document.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}
