//! The fields of a task that follow from its other fields.

use serde_json::{Map, Value};
use task_model::{Row, path};

/// The fields that only this plugin writes.
pub const COMPUTED: [&str; 6] = ["slug", "depth", "dependencyCount", "noteCount", "nameLength", "searchText"];

/// Characters of `searchText`.
const SEARCH_CHARS_MAX: usize = 500;

const NOTES: [&str; 4] = ["planningNotes", "progressNotes", "completionNotes", "troubleshootingNotes"];

/// Bring all that follows from the task's own fields up to date: the defaults
/// of `type` and `status`, `parentPath`, `projectPath`, normalised
/// `metadata.tags`, and the [`COMPUTED`] fields. Doing so again changes nothing.
pub fn derive(task: &mut Row, path: &str) {
    task.fill_in(path);
    if let Some(tags) = task.0.get_mut("metadata").and_then(|meta| meta.get_mut("tags")) {
        *tags = normal_tags(tags);
    }
    let name = task.text("name").unwrap_or_default().to_owned();
    let notes: usize = NOTES.iter().map(|field| task.texts(field).len()).sum();
    let dependencies = task.texts("dependencies").len();
    let search = search_text(task, &name);
    let fields = &mut task.0;
    set(fields, "slug", &*slug(&name, path));
    set(fields, "depth", path::depth(path));
    set(fields, "dependencyCount", dependencies);
    set(fields, "noteCount", notes);
    set(fields, "nameLength", name.chars().count());
    set(fields, "searchText", &*search);
}

fn set(fields: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

/// Lower case, trimmed, sorted, no repeats, none empty.
fn normal_tags(tags: &Value) -> Value {
    let Value::Array(list) = tags else {
        return tags.clone();
    };
    let texts = list.iter().filter_map(Value::as_str);
    let mut tags: Vec<String> = texts.map(|tag| tag.trim().to_lowercase()).collect();
    tags.retain(|tag| !tag.is_empty());
    tags.sort_unstable();
    tags.dedup();
    tags.into()
}

/// Letters and digits of the name in ASCII lower case, joined by single `-`;
/// the last segment of the path where the name has none of these.
fn slug(name: &str, path: &str) -> String {
    let words: Vec<&str> =
        name.split(|char: char| !char.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let slug = if words.is_empty() { path.rsplit('/').next().unwrap_or(path).to_owned() } else { words.join("-") };
    slug.to_ascii_lowercase()
}

/// Name, description and tags in lower case, for a search by substring.
fn search_text(task: &Row, name: &str) -> String {
    let tags = task.0.get("metadata").and_then(|meta| meta.get("tags"));
    let tags = tags.and_then(Value::as_array).into_iter().flatten();
    let parts = [name, task.text("description").unwrap_or_default()].into_iter().chain(tags.filter_map(Value::as_str));
    let words: Vec<&str> = parts.flat_map(str::split_whitespace).collect();
    let text = words.join(" ").to_lowercase();
    text.chars().take(SEARCH_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn derived(path: &str, task: Value) -> Value {
        let mut row = Row::parse(&task.to_string()).unwrap();
        derive(&mut row, path);
        let once = row.clone();
        derive(&mut row, path);
        assert_eq!(row, once, "a second time changes nothing");
        Value::Object(row.0)
    }

    #[test]
    fn a_task_gets_its_computed_fields_after_its_own() {
        let task = derived(
            "a/b",
            json!({
                "path": "a/b", "name": "The  Quick: Fox!", "description": "Jumps",
                "dependencies": ["x", "y"], "planningNotes": ["1"], "completionNotes": ["2", "3"],
                "metadata": {"tags": [" Zed", "alpha", "ALPHA", " "], "other": 1}
            }),
        );
        assert_eq!(
            task.to_string(),
            r#"{"path":"a/b","name":"The  Quick: Fox!","description":"Jumps","dependencies":["x","y"],"planningNotes":["1"],"completionNotes":["2","3"],"metadata":{"tags":["alpha","zed"],"other":1},"type":"TASK","status":"PENDING","parentPath":"a","projectPath":"a","slug":"the-quick-fox","depth":2,"dependencyCount":2,"noteCount":3,"nameLength":16,"searchText":"the quick: fox! jumps alpha zed"}"#
        );
    }

    #[test]
    fn a_root_has_no_parent_and_any_name_a_slug() {
        let task = derived("Root-1", json!({"path": "Root-1", "name": "日本", "parentPath": null}));
        assert_eq!(task.get("parentPath"), None);
        assert_eq!(task["slug"], "root-1");
        assert_eq!(task["nameLength"], 2);
    }
}
