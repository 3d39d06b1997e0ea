//! Rows that a fixture puts into the store, as the plugin under test reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::model::{Change, Item, Name, Outcome, Pointer};
use crate::plugin::{Lookup, LookupError, LookupKey};

/// The collection that items of fixtures are written to.
pub(super) const OWN: &str = "items";

/// Collections with their rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows(BTreeMap<Name, Table>);

/// One collection.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// Pointers by the names of indexes.
    pub indexes: BTreeMap<String, Pointer>,
    /// Bodies by id.
    pub rows: BTreeMap<String, String>,
}

impl Rows {
    /// Puts a collection there.
    pub fn put_table(&mut self, name: Name, table: Table) {
        self.0.insert(name, table);
    }

    /// Applies what an outcome does to the store.
    pub fn apply(&mut self, item: Item<'_>, outcome: &Outcome) {
        let put = |body: &str| Change::Put { collection: None, id: item.id.to_owned(), body: body.to_owned() };
        let changes = match outcome {
            Outcome::Keep => vec![put(item.body)],
            Outcome::Replace(body) => vec![put(body)],
            Outcome::Emit(changes) => changes.clone(),
            Outcome::Drop | Outcome::Reject(_) | Outcome::Retry(..) => Vec::new(),
        };
        for change in changes {
            let (collection, id) = change.key();
            let (name, id) = (collection.cloned().unwrap_or_else(own), id.to_owned());
            let rows = &mut self.0.entry(name).or_default().rows;
            match change {
                Change::Put { body, .. } => rows.insert(id, body),
                Change::Delete { .. } => rows.remove(&id),
            };
        }
    }

    fn table(&self, collection: Option<&str>) -> Result<&Table, LookupError> {
        let name = collection.unwrap_or(OWN);
        match self.0.iter().find(|(known, _)| known.as_str() == name) {
            Some((_, table)) => Ok(table),
            None if name == OWN => Ok(const { &Table { indexes: BTreeMap::new(), rows: BTreeMap::new() } }),
            None => Err(LookupError::NoSuchCollection),
        }
    }
}

/// See [`OWN`].
pub(super) fn own() -> Name {
    Name::parse(OWN).expect("BUG: the name of a collection is none")
}

/// The rows as one call reads them; the caller keeps them and applies what comes of the call.
pub(super) struct Reader(pub Arc<Mutex<Rows>>);

impl Reader {
    fn with<T>(&self, work: impl FnOnce(&Rows) -> Result<T, LookupError>) -> Result<T, LookupError> {
        work(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Lookup for Reader {
    fn get_many(&mut self, collection: Option<&str>, ids: &[String]) -> Result<Vec<Option<String>>, LookupError> {
        self.with(|rows| {
            let table = rows.table(collection)?;
            Ok(ids.iter().map(|id| table.rows.get(id).cloned()).collect())
        })
    }

    fn find(
        &mut self,
        collection: Option<&str>,
        index: &str,
        key: &LookupKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, LookupError> {
        self.with(|rows| {
            let table = rows.table(collection)?;
            let pointer = table.indexes.get(index).ok_or(LookupError::NoSuchIndex)?;
            let found = table.rows.iter().filter(|(id, body)| {
                after.is_none_or(|after| id.as_str() > after) && equal(&key_at(body, pointer), key)
            });
            Ok(found.take(limit).map(|(id, body)| (id.clone(), body.clone())).collect())
        })
    }

    fn count(
        &mut self,
        collection: Option<&str>,
        index: &str,
        key: &LookupKey,
        limit: usize,
    ) -> Result<usize, LookupError> {
        self.find(collection, index, key, None, limit).map(|rows| rows.len())
    }
}

/// What an index sees of a body.
fn key_at(body: &str, pointer: &Pointer) -> LookupKey {
    let value: Value = serde_json::from_str(body).unwrap_or_default();
    match value.pointer(pointer.as_str()) {
        None | Some(Value::Null) => LookupKey::Null,
        Some(Value::Bool(bit)) => LookupKey::Integer(i64::from(*bit)),
        Some(Value::Number(number)) => {
            number.as_i64().map_or_else(|| number.as_f64().map_or(LookupKey::Null, LookupKey::Real), LookupKey::Integer)
        }
        Some(Value::String(text)) => LookupKey::Text(text.clone()),
        Some(other) => LookupKey::Text(other.to_string()),
    }
}

fn equal(a: &LookupKey, b: &LookupKey) -> bool {
    match (a, b) {
        (LookupKey::Integer(whole), LookupKey::Real(real)) | (LookupKey::Real(real), LookupKey::Integer(whole)) => {
            *whole as f64 == *real
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Ordinal;

    #[test]
    fn rows_are_found_as_an_index_finds_them() {
        let mut table = Table::default();
        table.indexes.insert("n".into(), Pointer::parse("/a/n").unwrap());
        for (id, body) in [
            ("i", r#"{"a":{"n":1}}"#),
            ("r", r#"{"a":{"n":1.0}}"#),
            ("t", r#"{"a":{"n":"1"}}"#),
            ("b", r#"{"a":{"n":true}}"#),
            ("z", "{}"),
        ] {
            table.rows.insert(id.into(), body.into());
        }
        let mut rows = Rows::default();
        rows.put_table(own(), table);
        let rows = Arc::new(Mutex::new(rows));
        let mut reader = Reader(Arc::clone(&rows));
        let mut ids = |key: LookupKey, after: Option<&str>, limit: usize| -> Vec<String> {
            reader.find(None, "n", &key, after, limit).unwrap().into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(ids(LookupKey::Integer(1), None, 9), ["b", "i", "r"]);
        assert_eq!(ids(LookupKey::Integer(1), Some("b"), 1), ["i"]);
        assert_eq!(ids(LookupKey::Text("1".into()), None, 9), ["t"]);
        assert_eq!(ids(LookupKey::Null, None, 9), ["z"]);
        assert_eq!(reader.count(None, "n", &LookupKey::Real(1.0), 2), Ok(2));
        assert_eq!(reader.find(None, "m", &LookupKey::Null, None, 1), Err(LookupError::NoSuchIndex));
        assert_eq!(reader.get_many(Some("others"), &[]), Err(LookupError::NoSuchCollection));
        let item = Item { ordinal: Ordinal(0), id: "i", body: "{}" };
        let delete = Outcome::Emit(vec![Change::Delete { collection: None, id: "i".into() }]);
        rows.lock().unwrap().apply(item, &delete);
        assert_eq!(reader.get_many(None, &["i".into(), "b".into()]).unwrap()[0], None);
        rows.lock().unwrap().apply(item, &Outcome::Keep);
        assert_eq!(reader.get_many(None, &["i".into()]).unwrap(), [Some("{}".to_owned())]);
    }
}
