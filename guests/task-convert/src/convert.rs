//! From the old export format to the present one.

use crate::time;
use serde_json::{Map, Value};
use task_model::fields::TASK_FIELDS;
use task_model::problem::quoted;
use task_model::{Code, Problem, Row};

/// Members of the old `notes` object, and the fields they become.
const NOTES: [(&str, &str); 4] = [
    ("planning", "planningNotes"),
    ("progress", "progressNotes"),
    ("completion", "completionNotes"),
    ("troubleshooting", "troubleshootingNotes"),
];

/// The create row made of an exported task: fields in the order of the
/// documentation, times in milliseconds, notes in four lists, a version.
/// Fields that have no place any more move to `metadata`, under their old
/// name with `legacy` before it: `id` becomes `legacyId`. A row in the present
/// format comes back with its fields in order and otherwise as it was.
///
/// # Errors
/// The body is no object, or a field cannot be read: a time, the notes, the
/// metadata. Whether the result keeps the rules is for the validators to say.
pub fn convert(body: &str) -> Result<String, Problem> {
    let Row(mut old) = Row::parse(body)?;
    let mut new = Map::new();
    for field in TASK_FIELDS {
        let value = match old.shift_remove(field) {
            Some(Value::String(text)) if matches!(field, "created" | "updated") => Some(milliseconds(field, &text)?),
            value => value,
        };
        if let Some(value) = value {
            new.insert(field.to_owned(), value);
        }
    }
    if let Some(notes) = old.shift_remove("notes") {
        take_notes(&notes, &mut new)?;
    }
    new.entry("version").or_insert_with(|| 1.into());
    keep_rest(old, &mut new)?;
    Ok(Value::Object(in_order(new)).to_string())
}

fn milliseconds(field: &str, text: &str) -> Result<Value, Problem> {
    match time::parse(text) {
        Some(ms) => Ok(ms.into()),
        None => {
            let message = format!("{field} is {}, wanted a time such as 1/31/2025, 8:28:05 PM", quoted(text));
            Err(Problem::new(Code::Field, format!("/{field}"), message))
        }
    }
}

/// The old layout of notes is one object with a list per kind.
fn take_notes(notes: &Value, new: &mut Map<String, Value>) -> Result<(), Problem> {
    let wrong = |pointer: String, message: &str| Problem::new(Code::Field, pointer, message);
    let Value::Object(kinds) = notes else {
        return Err(wrong("/notes".to_owned(), "notes: wanted an object with a list per kind"));
    };
    for (kind, list) in kinds {
        let pointer = task_model::problem::pointer_to("/notes", kind);
        let Some((_, field)) = NOTES.iter().find(|(old, _)| old == kind) else {
            return Err(wrong(pointer, "unknown kind of notes"));
        };
        if new.insert((*field).to_owned(), list.clone()).is_some() {
            return Err(wrong(pointer, "these notes are given in both layouts"));
        }
    }
    Ok(())
}

/// Move what is left of the old row into the metadata; what asks for an
/// operation stays where it is.
fn keep_rest(old: Map<String, Value>, new: &mut Map<String, Value>) -> Result<(), Problem> {
    for (name, value) in old {
        if matches!(name.as_str(), "op" | "key" | "set" | "mode") {
            new.insert(name, value);
            continue;
        }
        let metadata = new.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(metadata) = metadata else {
            let message = "metadata: wanted an object";
            return Err(Problem::new(Code::Field, "/metadata", message));
        };
        metadata.entry(legacy_name(&name)).or_insert(value);
    }
    Ok(())
}

/// `id` becomes `legacyId`.
fn legacy_name(name: &str) -> String {
    let mut chars = name.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("legacy{first}{}", chars.as_str())
}

fn in_order(mut fields: Map<String, Value>) -> Map<String, Value> {
    let mut ordered = Map::new();
    for field in TASK_FIELDS {
        if let Some(value) = fields.shift_remove(field) {
            ordered.insert(field.to_owned(), value);
        }
    }
    ordered.extend(fields);
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn converted(old: Value) -> Value {
        serde_json::from_str(&convert(&old.to_string()).unwrap()).unwrap()
    }

    #[test]
    fn an_old_task_becomes_a_legal_one() {
        let new = converted(json!({
            "id": "task_1", "path": "a/b", "name": "n", "type": "TASK", "status": "PENDING",
            "progress": 40, "dependencies": [],
            "metadata": {"acceptanceCriteria": {"criteria": ["x"]}},
            "notes": {"planning": ["p"], "progress": [], "completion": [], "troubleshooting": ["t"]},
            "created": "1/1/2025, 8:50:39 AM", "updated": "1/1/2025, 8:50:39 PM", "parentPath": "a"
        }));
        assert_eq!(
            new.to_string(),
            r#"{"path":"a/b","name":"n","type":"TASK","status":"PENDING","dependencies":[],"planningNotes":["p"],"progressNotes":[],"completionNotes":[],"troubleshootingNotes":["t"],"metadata":{"acceptanceCriteria":{"criteria":["x"]},"legacyId":"task_1","legacyProgress":40},"parentPath":"a","version":1,"created":1735721439000,"updated":1735764639000}"#
        );
        assert_eq!(task_model::fields::check(&new.to_string()), []);
    }

    #[test]
    fn converting_twice_changes_nothing_more() {
        let once = convert(r#"{"id":"i","path":"a","name":"n","created":"2025-01-01T00:00:00Z"}"#).unwrap();
        assert_eq!(convert(&once).unwrap(), once);
    }

    #[test]
    fn what_is_in_the_metadata_already_is_kept() {
        let new = converted(json!({"path": "a", "id": 1, "metadata": {"legacyId": 2}}));
        assert_eq!(new["metadata"], json!({"legacyId": 2}));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        for (row, pointer) in [
            (json!([]), ""),
            (json!({"created": "yesterday"}), "/created"),
            (json!({"notes": []}), "/notes"),
            (json!({"notes": {"other": []}}), "/notes/other"),
            (json!({"notes": {"planning": []}, "planningNotes": []}), "/notes/planning"),
            (json!({"id": 1, "metadata": []}), "/metadata"),
        ] {
            assert_eq!(convert(&row.to_string()).unwrap_err().pointer, pointer);
        }
    }
}
