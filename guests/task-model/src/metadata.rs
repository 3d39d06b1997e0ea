//! The two open objects of a task: `metadata` and `statusMetadata`.

use crate::limits::{METADATA_BYTES_MAX, METADATA_CHARS_MAX, METADATA_LIST_MAX, TAGS_MAX};
use crate::problem::{Code, Problem, pointer_to, quoted};
use serde_json::{Map, Value};
use std::io;

const PRIORITIES: [&str; 3] = ["low", "medium", "high"];
const VERIFICATIONS: [&str; 2] = ["passed", "failed"];

/// Check `metadata`, found at `pointer`. Keys that are not known stay free,
/// within the bounds. In a `patch` a null deletes, so it is legal anywhere.
pub fn check_metadata(value: &Value, pointer: &str, patch: bool, problems: &mut Vec<Problem>) {
    let Value::Object(metadata) = value else {
        problems.push(wanted(pointer, "an object"));
        return;
    };
    let bytes = compact_bytes(value);
    if bytes > METADATA_BYTES_MAX {
        problems.push(over(pointer, "bytes as compact JSON", bytes, METADATA_BYTES_MAX));
    }
    for (name, member) in metadata {
        check_bounds(member, &pointer_to(pointer, name), problems);
    }
    let member = |name: &str| metadata.get(name).filter(|value| !(patch && value.is_null()));
    if let Some(priority) = member("priority") {
        check_choice(priority, &pointer_to(pointer, "priority"), &PRIORITIES, problems);
    }
    if let Some(tags) = member("tags") {
        let pointer = pointer_to(pointer, "tags");
        check_texts(tags, &pointer, problems);
        if let Value::Array(list) = tags
            && list.len() > TAGS_MAX
        {
            problems.push(over(&pointer, "tags", list.len(), TAGS_MAX));
        }
    }
}

/// Check `statusMetadata`, found at `pointer`. It has a closed set of fields.
pub fn check_status_metadata(value: &Value, pointer: &str, patch: bool, problems: &mut Vec<Problem>) {
    let Value::Object(fields) = value else {
        problems.push(wanted(pointer, "an object"));
        return;
    };
    for (name, value) in fields {
        if patch && value.is_null() && STATUS_FIELDS.contains(&name.as_str()) {
            continue;
        }
        check_status_field(name, value, &pointer_to(pointer, name), problems);
    }
}

const STATUS_FIELDS: [&str; 9] = [
    "assignee",
    "completedBy",
    "blockedBy",
    "blockedReason",
    "verificationStatus",
    "completionChecks",
    "errorType",
    "errorDetails",
    "recoveryAttempts",
];

fn check_status_field(name: &str, value: &Value, pointer: &str, problems: &mut Vec<Problem>) {
    match name {
        "assignee" | "completedBy" | "blockedReason" | "errorType" | "errorDetails" => {
            if !value.is_string() {
                problems.push(wanted(pointer, "a string"));
            }
        }
        "blockedBy" => {
            if !value.is_string() {
                check_texts(value, pointer, problems);
            }
        }
        "completionChecks" => check_texts(value, pointer, problems),
        "verificationStatus" => check_choice(value, pointer, &VERIFICATIONS, problems),
        "recoveryAttempts" => {
            if value.as_u64().is_none() {
                problems.push(wanted(pointer, "a whole number from 0"));
            }
        }
        _ => problems.push(Problem::new(
            Code::Field,
            pointer,
            format!("unknown field {}, wanted one of {}", quoted(name), STATUS_FIELDS.join(", ")),
        )),
    }
}

/// The bounds that hold for every string and list at any depth.
fn check_bounds(value: &Value, pointer: &str, problems: &mut Vec<Problem>) {
    match value {
        Value::String(text) => {
            let chars = text.chars().count();
            if chars > METADATA_CHARS_MAX {
                problems.push(over(pointer, "characters", chars, METADATA_CHARS_MAX));
            }
        }
        Value::Array(list) => {
            if list.len() > METADATA_LIST_MAX {
                problems.push(over(pointer, "elements", list.len(), METADATA_LIST_MAX));
            }
            for (index, element) in list.iter().enumerate() {
                check_bounds(element, &format!("{pointer}/{index}"), problems);
            }
        }
        Value::Object(members) => check_members(members, pointer, problems),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_members(members: &Map<String, Value>, pointer: &str, problems: &mut Vec<Problem>) {
    for (name, member) in members {
        check_bounds(member, &pointer_to(pointer, name), problems);
    }
}

fn check_texts(value: &Value, pointer: &str, problems: &mut Vec<Problem>) {
    let Value::Array(list) = value else {
        problems.push(wanted(pointer, "a list of strings"));
        return;
    };
    for (index, element) in list.iter().enumerate() {
        if !element.is_string() {
            problems.push(wanted(&format!("{pointer}/{index}"), "a string"));
        }
    }
}

fn check_choice(value: &Value, pointer: &str, choices: &[&str], problems: &mut Vec<Problem>) {
    let found = value.as_str();
    if !found.is_some_and(|text| choices.contains(&text)) {
        problems.push(wanted(pointer, &format!("one of {}", choices.join(", "))));
    }
}

fn wanted(pointer: &str, what: &str) -> Problem {
    let field = pointer.rsplit('/').next().unwrap_or_default();
    Problem::new(Code::Field, pointer, format!("{field}: wanted {what}"))
}

fn over(pointer: &str, unit: &str, found: usize, limit: usize) -> Problem {
    let field = pointer.rsplit('/').next().unwrap_or_default();
    Problem::new(Code::Field, pointer, format!("{field} has {found} {unit}, wanted at most {limit}"))
        .with("found", found)
        .with("limit", limit)
}

/// Length as compact JSON, measured without building the text.
fn compact_bytes(value: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).expect("a value always serialises, a count never fails");
    count.0
}
