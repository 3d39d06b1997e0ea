//! One row of input: a JSON object, and what it asks for.

use crate::path;
use crate::problem::{Code, Problem, pointer_to, quoted};
use crate::status::Status;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value, json};
use std::fmt;

/// The fields of one row, in the order of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Map<String, Value>);

/// What a row asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Store a new task. What a row without `op` asks for.
    Create,
    /// Change the fields in `set`, a merge patch.
    Update,
    /// Change the status.
    Status,
    /// Delete the task.
    Delete,
}

/// What a delete row does about children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse to delete a task that has children. The default.
    Block,
    /// Delete the task alone.
    Orphan,
    /// Delete the task and all its descendants.
    Cascade,
}

impl Row {
    /// The row in `body`.
    ///
    /// # Errors
    /// `body` is no JSON object, or names a field twice: which of the two
    /// counts would differ from one reader to the next.
    pub fn parse(body: &str) -> Result<Row, Problem> {
        let mut deserializer = serde_json::Deserializer::from_str(body);
        let parsed = deserializer.deserialize_any(Fields).and_then(|fields| deserializer.end().map(|()| fields));
        match parsed {
            Ok(Parsed::Fields(fields)) => Ok(Row(fields)),
            Ok(Parsed::Doubled(name)) => {
                Err(Problem::new(Code::Field, pointer_to("", &name), format!("field {} is given twice", quoted(&name))))
            }
            Err(error) => Err(Problem::new(Code::Field, "", format!("not a JSON object: {error}"))),
        }
    }

    /// A text field; none if it is missing or no string.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(Value::as_str)
    }

    /// The strings in a list field; empty if there is no list.
    pub fn texts(&self, field: &str) -> Vec<&str> {
        match self.0.get(field) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The path of the task that the row is about.
    ///
    /// # Errors
    /// There is none, or it is not legal.
    pub fn path(&self) -> Result<&str, Problem> {
        let wrong = match self.text("path") {
            Some(text) => match path::check(text) {
                Ok(()) => return Ok(text),
                Err(wrong) => wrong,
            },
            None => "path: wanted a string".to_owned(),
        };
        Err(Problem::new(Code::Field, "/path", wrong))
    }

    /// What the row asks for; none if its `op` is unknown.
    pub fn op(&self) -> Option<Op> {
        match self.0.get("op") {
            None => Some(Op::Create),
            Some(name) => name.as_str().and_then(Op::parse),
        }
    }

    /// The mode of a delete row; none if it is unknown.
    pub fn mode(&self) -> Option<Mode> {
        match self.0.get("mode") {
            None => Some(Mode::Block),
            Some(name) => name.as_str().and_then(Mode::parse),
        }
    }

    /// The task's status, by default pending; none if it is unknown.
    pub fn status(&self) -> Option<Status> {
        match self.0.get("status") {
            None => Some(Status::Pending),
            Some(name) => name.as_str().and_then(Status::parse),
        }
    }

    /// Whether the task may have children.
    pub fn is_milestone(&self) -> bool {
        self.text("type") == Some("MILESTONE")
    }

    /// Fill in what a task at `path` has by default, `type` and `status`, and
    /// what its path says, `parentPath` and `projectPath`.
    pub fn fill_in(&mut self, path: &str) {
        let fields = &mut self.0;
        for (name, usual) in [("type", "TASK"), ("status", Status::Pending.as_str())] {
            fields.entry(name).or_insert_with(|| usual.into());
        }
        match path::parent(path) {
            Some(parent) => {
                fields.insert("parentPath".to_owned(), parent.into());
            }
            None => {
                fields.shift_remove("parentPath");
            }
        }
        fields.insert("projectPath".to_owned(), path::project(path).into());
    }

    /// The row as JSON text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(&self.0).expect("a JSON object always serialises")
    }

    /// Apply a merge patch (RFC 7386).
    pub fn merge(&mut self, patch: &Map<String, Value>) {
        merge(&mut self.0, patch);
    }
}

/// Id of the row that marks an idempotency key as used.
pub fn marker_id(key: &str) -> String {
    format!("key:{key}")
}

/// Body of that row: which row of the input used it.
pub fn marker_body(key: &str, op: Op, path: &str) -> String {
    let named = Op::NAMES.iter().find(|(_, known)| *known == op);
    json!({"key": key, "op": named.map(|(name, _)| name), "task": path}).to_string()
}

impl Op {
    /// The names in JSON, with what they stand for.
    pub const NAMES: [(&'static str, Op); 4] =
        [("create", Op::Create), ("update", Op::Update), ("status", Op::Status), ("delete", Op::Delete)];

    fn parse(name: &str) -> Option<Op> {
        let found = Op::NAMES.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, op)| op)
    }
}

impl Mode {
    /// The names in JSON, with what they stand for.
    pub const NAMES: [(&'static str, Mode); 3] =
        [("block", Mode::Block), ("orphan", Mode::Orphan), ("cascade", Mode::Cascade)];

    fn parse(name: &str) -> Option<Mode> {
        let found = Mode::NAMES.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, mode)| mode)
    }
}

fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match change {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => {
                let member = target.entry(name.as_str()).or_insert_with(|| Value::Object(Map::new()));
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    merge(member, inner);
                }
            }
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

enum Parsed {
    Fields(Map<String, Value>),
    Doubled(String),
}

/// Reads an object's members and notices a name that comes twice.
struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Parsed, A::Error> {
        let mut fields = Map::new();
        let mut doubled = None;
        while let Some((name, value)) = members.next_entry::<String, Value>()? {
            if fields.contains_key(&name) {
                doubled.get_or_insert(name);
            } else {
                fields.insert(name, value);
            }
        }
        Ok(doubled.map_or(Parsed::Fields(fields), Parsed::Doubled))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Parsed, E> {
        Err(E::custom("found a string, wanted an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_without_doubled_fields_is_a_row() {
        assert!(Row::parse(r#"{"a":1,"b":{"c":1,"c":2}}"#).is_ok());
        for body in ["", "[]", "1", "\"a\"", "null", "{} {}", "{\"a\":}"] {
            let problem = Row::parse(body).unwrap_err();
            assert_eq!((problem.code, problem.pointer.as_str()), (Code::Field, ""));
        }
        assert_eq!(Row::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap_err().pointer, "/a");
    }

    #[test]
    fn defaults_of_a_bare_row() {
        let row = Row::parse("{}").unwrap();
        assert_eq!(row.op(), Some(Op::Create));
        assert_eq!(row.mode(), Some(Mode::Block));
        assert_eq!(row.status(), Some(Status::Pending));
        assert!(!row.is_milestone());
        let odd = Row::parse(r#"{"op":"x","mode":1,"status":null}"#).unwrap();
        assert_eq!((odd.op(), odd.mode(), odd.status()), (None, None, None));
    }

    /// The test cases of RFC 7386, appendix A, whose target and patch are objects.
    #[test]
    fn merge_patches_as_in_the_standard() {
        for (target, patch, wanted) in [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ] {
            let (Value::Object(target), Value::Object(patch)) = (target, patch) else { unreachable!() };
            let mut row = Row(target);
            row.merge(&patch);
            assert_eq!(Value::Object(row.0), wanted);
        }
    }
}
