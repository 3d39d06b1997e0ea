//! What a row does to the store, before it is put in the contract's words.

use std::collections::BTreeSet;

/// Longest id of a row, in bytes.
const ID_BYTES_MAX: usize = 512;

/// What becomes of one item.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Store this body under the item's own id.
    Replace(String),
    /// Make these changes.
    Changes(Vec<Change>),
    /// Nothing: the item has had its effect before.
    Drop,
}

/// One change to a collection; none is that of the tasks.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// Insert or update a row.
    Put {
        /// Where.
        collection: Option<String>,
        /// Key of the row.
        id: String,
        /// JSON text.
        body: String,
    },
    /// Delete a row.
    Delete {
        /// Where.
        collection: Option<String>,
        /// Key of the row.
        id: String,
    },
}

impl Change {
    /// A task under its path, or a marker under its id.
    pub fn put(id: impl Into<String>, body: impl Into<String>) -> Change {
        Change::Put { collection: None, id: id.into(), body: body.into() }
    }

    /// No task under that path any more.
    pub fn delete(path: impl Into<String>) -> Change {
        Change::Delete { collection: None, id: path.into() }
    }
}

/// Bring the edges of the task `from` in `collection` from the dependencies
/// `before` to those in `after`: a row `edge:FROM>TO` for each, with the
/// members `from` and `to`.
pub fn edge_changes(collection: &str, from: &str, before: &[&str], after: &[&str]) -> Vec<Change> {
    let collection = || Some(collection.to_owned());
    let kept: BTreeSet<&str> = after.iter().copied().collect();
    let gone = before.iter().filter(|to| !kept.contains(*to));
    let deletes = gone.map(|to| Change::Delete { collection: collection(), id: edge_id(from, to) });
    let puts = after.iter().map(|to| Change::Put {
        collection: collection(),
        id: edge_id(from, to),
        body: serde_json::json!({"from": from, "to": to}).to_string(),
    });
    deletes.chain(puts).collect()
}

/// `edge:FROM>TO`. Two paths of the greatest length do not fit an id: then
/// `TO` is given as `#` and its 64-bit FNV-1a hash in hexadecimal.
fn edge_id(from: &str, to: &str) -> String {
    let id = format!("edge:{from}>{to}");
    if id.len() <= ID_BYTES_MAX {
        return id;
    }
    let hash = to
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("edge:{from}>#{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_follow_the_dependencies() {
        let changes = edge_changes("edges", "a", &["b", "c"], &["c", "d"]);
        let shown: Vec<String> = changes
            .into_iter()
            .map(|change| match change {
                Change::Put { id, body, .. } => format!("{id} {body}"),
                Change::Delete { id, .. } => format!("no {id}"),
            })
            .collect();
        assert_eq!(shown, ["no edge:a>b", r#"edge:a>c {"from":"a","to":"c"}"#, r#"edge:a>d {"from":"a","to":"d"}"#]);
    }

    #[test]
    fn ids_of_edges_fit_and_differ_for_the_longest_paths() {
        let long = |end: char| format!("{}{end}", "x".repeat(254));
        let (one, two) = (edge_id(&long('f'), &long('1')), edge_id(&long('f'), &long('2')));
        assert!(one.len() <= ID_BYTES_MAX);
        assert_ne!(one, two);
        // The published test vector of FNV-1a for "a" is af63dc4c8601ec8c.
        let from = "y".repeat(ID_BYTES_MAX - 6);
        assert_eq!(edge_id(&from, "a"), format!("edge:{from}>#af63dc4c8601ec8c"));
    }
}
