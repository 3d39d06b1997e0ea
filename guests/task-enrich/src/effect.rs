//! What a row does to the store, before it is put in the contract's words.

use std::collections::BTreeSet;
use task_model::edge;

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
/// `before` to those in `after`.
pub fn edge_changes(collection: &str, from: &str, before: &[&str], after: &[&str]) -> Vec<Change> {
    let collection = || Some(collection.to_owned());
    let kept: BTreeSet<&str> = after.iter().copied().collect();
    let gone = before.iter().filter(|to| !kept.contains(*to));
    let deletes = gone.map(|to| Change::Delete { collection: collection(), id: edge::id(from, to) });
    let puts = after.iter().map(|to| Change::Put {
        collection: collection(),
        id: edge::id(from, to),
        body: edge::body(from, to),
    });
    deletes.chain(puts).collect()
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
}
