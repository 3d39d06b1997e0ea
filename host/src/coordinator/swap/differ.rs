//! Where two JSON documents differ first.

use serde_json::Value;

/// JSON pointer to the first place, in the order of the old document; empty where they differ as a whole, or in their
/// writing alone.
pub fn first(old: &str, new: &str) -> String {
    let mut pointer = String::new();
    if let (Ok(old), Ok(new)) = (serde_json::from_str(old), serde_json::from_str(new)) {
        descend(&old, &new, &mut pointer);
    }
    pointer
}

fn descend(old: &Value, new: &Value, pointer: &mut String) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let changed = old.iter().find(|(key, value)| new.get(*key) != Some(value)).map(|(key, _)| key);
            let Some(key) = changed.or_else(|| new.keys().find(|key| !old.contains_key(*key))) else { return };
            pointer.push_str(&format!("/{}", key.replace('~', "~0").replace('/', "~1")));
            if let (Some(old), Some(new)) = (old.get(key), new.get(key)) {
                descend(old, new, pointer);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            let changed = old.iter().zip(new).position(|(old, new)| old != new);
            let shorter = old.len().min(new.len());
            let Some(at) = changed.or((old.len() != new.len()).then_some(shorter)) else { return };
            pointer.push_str(&format!("/{at}"));
            if let (Some(old), Some(new)) = (old.get(at), new.get(at)) {
                descend(old, new, pointer);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found_at_any_depth() {
        for (old, new, at) in [
            (r#"{"a":1,"b":2}"#, r#"{"a":1,"b":3}"#, "/b"),
            (r#"{"a":{"b/c":[1,{"x~":1}]}}"#, r#"{"a":{"b/c":[1,{"x~":2}]}}"#, "/a/b~1c/1/x~0"),
            (r#"{"a":1}"#, r#"{"a":1,"by":"v2"}"#, "/by"),
            (r#"{"a":1,"by":"v2"}"#, r#"{"a":1}"#, "/by"),
            ("[1,2]", "[1,2,3]", "/2"),
            ("[1,2]", "[1]", "/1"),
            ("1", "2", ""),
            (r#"{"a":1}"#, r#"{ "a": 1 }"#, ""),
            ("{", "{}", ""),
        ] {
            assert_eq!(first(old, new), at, "{old} {new}");
        }
    }
}
