//! Writes of earlier items of a batch, staged over what is stored, for reads that are serial in effect. See `serial`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::serial::{Find, Lookups, StoreView};
use crate::error::Result;
use crate::model::{Change, Decision, Fate, Item, Name, OnExisting};
use crate::store::IndexKey;

/// Writes of earlier items of the batch, staged in input order.
#[derive(Default)]
pub(super) struct Overlay {
    rows: BTreeMap<Name, BTreeMap<String, Option<String>>>,
    indexes: HashMap<(Name, Name), IndexOverlay>,
}

#[derive(Default)]
struct IndexOverlay {
    ids_by_key: HashMap<String, BTreeSet<String>>,
    key_by_id: HashMap<String, String>,
    /// For each staged id the key that its stored row has in the base, where it hides it; and how many per key.
    hidden_by_id: HashMap<String, Option<String>>,
    hidden: HashMap<String, usize>,
}

impl Overlay {
    /// True if a write staged so far could have changed what was looked up.
    pub fn meets(&self, lookups: &Lookups) -> bool {
        lookups.searched.iter().any(|collection| self.rows.contains_key(collection))
            || lookups.ids.iter().any(|(collection, id)| self.row(collection, id).is_some())
    }

    fn row(&self, collection: &Name, id: &str) -> Option<&Option<String>> {
        self.rows.get(collection)?.get(id)
    }

    /// Stages what an item's decision will do to the store, by the rules by which the store will apply it.
    ///
    /// Errors: the store cannot be read.
    pub fn stage(&mut self, view: &StoreView, item: Item<'_>, decision: &Decision) -> Result<()> {
        let own = |body: &str| vec![Change::Put { collection: None, id: item.id.to_owned(), body: body.to_owned() }];
        let changes = match decision {
            Decision::Keep => own(item.body),
            Decision::Replace(body) => own(body),
            Decision::Emit(changes) => changes.clone(),
            Decision::Refuse(refusal) if view.remove_rejected && refusal.fate == Fate::Rejected => {
                vec![Change::Delete { collection: None, id: item.id.to_owned() }]
            }
            Decision::Drop | Decision::Refuse(_) => return Ok(()),
        };
        let known = |change: &Change| change.key().0.is_none_or(|name| view.collections.contains(name));
        if !changes.iter().all(known) {
            return Ok(());
        }
        let mut undo = Vec::new();
        for change in changes {
            let (collection, id, body) = match change {
                Change::Put { collection, id, body } => (collection, id, Some(body)),
                Change::Delete { collection, id } => (collection, id, None),
            };
            let collection = collection.unwrap_or_else(|| view.target.clone());
            match self.admits(view, &collection, &id, body.as_deref())? {
                Admission::Write => {
                    let old = self.set(view, &collection, id.clone(), Some(body))?;
                    undo.push((collection, id, old));
                }
                Admission::Ignore => {}
                Admission::Refuse => {
                    for (collection, id, old) in undo.into_iter().rev() {
                        self.set(view, &collection, id, old)?;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn admits(&self, view: &StoreView, collection: &Name, id: &str, body: Option<&str>) -> Result<Admission> {
        let Some(body) = body else { return Ok(Admission::Write) };
        if view.on_existing != OnExisting::Replace && self.get(view, collection, &[id])?[0].is_some() {
            return Ok(if view.on_existing == OnExisting::Ignore { Admission::Ignore } else { Admission::Refuse });
        }
        for (_, index) in view.unique.iter().filter(|(owner, _)| owner == collection) {
            let key = view.base.index_key(collection, index, body)?;
            let taken = key != IndexKey::Null
                && self.search_base_and_rows(view, collection, index, &key)?.iter().any(|holder| holder != id);
            if taken {
                return Ok(Admission::Refuse);
            }
        }
        Ok(Admission::Write)
    }

    /// Ids that hold a key, without the overlay's lazily built index: for the few puts that unique indexes watch.
    fn search_base_and_rows(
        &self,
        view: &StoreView,
        collection: &Name,
        index: &Name,
        key: &IndexKey,
    ) -> Result<Vec<String>> {
        let find = Find { collection, index, key };
        let staged = self.rows.get(collection);
        let mut holders: Vec<String> = view
            .base
            .find(&find, None, 2)?
            .into_iter()
            .map(|(id, _)| id)
            .filter(|id| staged.is_none_or(|rows| !rows.contains_key(id)))
            .collect();
        for (id, body) in staged.into_iter().flatten() {
            if let Some(body) = body
                && comparable(&view.base.index_key(collection, index, body)?) == comparable(key)
            {
                holders.push(id.clone());
            }
        }
        Ok(holders)
    }

    /// Sets or (with none) forgets a staged row; gives what was staged before.
    fn set(
        &mut self,
        view: &StoreView,
        collection: &Name,
        id: String,
        row: Option<Option<String>>,
    ) -> Result<Option<Option<String>>> {
        for ((owner, index), overlay) in &mut self.indexes {
            if owner == collection {
                match &row {
                    Some(_) => overlay.hide(view, collection, index, &id)?,
                    None => overlay.show(&id),
                }
                let key = match &row {
                    Some(Some(body)) => Some(comparable(&view.base.index_key(collection, index, body)?)),
                    _ => None,
                };
                overlay.set(&id, key);
            }
        }
        let rows = self.rows.entry(collection.clone()).or_default();
        Ok(match row {
            Some(row) => rows.insert(id, row),
            None => rows.remove(&id),
        })
    }

    pub fn get(&self, view: &StoreView, collection: &Name, ids: &[&str]) -> Result<Vec<Option<String>>> {
        let missing: Vec<&str> = ids.iter().copied().filter(|id| self.row(collection, id).is_none()).collect();
        let mut found =
            if missing.is_empty() { Vec::new() } else { view.base.get_many(collection, &missing)? }.into_iter();
        Ok(ids
            .iter()
            .map(|id| match self.row(collection, id) {
                Some(staged) => staged.clone(),
                None => found.next().flatten(),
            })
            .collect())
    }

    pub fn find(
        &mut self,
        view: &StoreView,
        find: &Find<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>> {
        let staged: Vec<String> = self.index(view, find.collection, find.index)?.matches(find.key, after, limit);
        let rows = self.rows.get(find.collection);
        let mut found = BTreeMap::new();
        let mut cursor = after.map(str::to_owned);
        // Rows that the overlay has changed or deleted are skipped, so one page may not be enough.
        while found.len() < limit {
            let page = view.base.find(find, cursor.as_deref(), limit)?;
            let full = page.len() == limit;
            cursor = page.last().map(|(id, _)| id.clone());
            found.extend(page.into_iter().filter(|(id, _)| rows.is_none_or(|rows| !rows.contains_key(id))));
            if !full {
                break;
            }
        }
        for id in staged {
            if let Some(Some(body)) = rows.and_then(|rows| rows.get(&id)) {
                found.insert(id, body.clone());
            }
        }
        Ok(found.into_iter().take(limit).collect())
    }

    pub fn count(&mut self, view: &StoreView, find: &Find<'_>, limit: usize) -> Result<usize> {
        let overlay = self.index(view, find.collection, find.index)?;
        let key = comparable(find.key);
        let staged = overlay.ids_by_key.get(&key).map_or(0, BTreeSet::len);
        let hidden = overlay.hidden.get(&key).copied().unwrap_or(0);
        // The hidden rows are among those of the base, so that many more are counted there.
        let base = view.base.count(find, limit + hidden)?;
        Ok((base.saturating_sub(hidden) + staged).min(limit))
    }

    /// The overlay's own index, built when it is first searched.
    fn index(&mut self, view: &StoreView, collection: &Name, index: &Name) -> Result<&IndexOverlay> {
        let place = (collection.clone(), index.clone());
        if !self.indexes.contains_key(&place) {
            let mut overlay = IndexOverlay::default();
            for (id, body) in self.rows.get(collection).into_iter().flatten() {
                overlay.hide(view, collection, index, id)?;
                if let Some(body) = body {
                    overlay.set(id, Some(comparable(&view.base.index_key(collection, index, body)?)));
                }
            }
            self.indexes.insert(place.clone(), overlay);
        }
        Ok(&self.indexes[&place])
    }
}

enum Admission {
    Write,
    Ignore,
    Refuse,
}

impl IndexOverlay {
    /// Notes the key under which the stored row of a staged id stands in the base, once per id.
    fn hide(&mut self, view: &StoreView, collection: &Name, index: &Name, id: &str) -> Result<()> {
        if self.hidden_by_id.contains_key(id) {
            return Ok(());
        }
        let stored = view.base.get_many(collection, &[id])?.pop().flatten();
        let key = match stored {
            Some(body) => Some(comparable(&view.base.index_key(collection, index, &body)?)),
            None => None,
        };
        if let Some(key) = &key {
            *self.hidden.entry(key.clone()).or_default() += 1;
        }
        self.hidden_by_id.insert(id.to_owned(), key);
        Ok(())
    }

    /// The id is no longer staged.
    fn show(&mut self, id: &str) {
        if let Some(Some(key)) = self.hidden_by_id.remove(id)
            && let Some(count) = self.hidden.get_mut(&key)
        {
            *count -= 1;
        }
    }

    fn set(&mut self, id: &str, key: Option<String>) {
        if let Some(old) = self.key_by_id.remove(id)
            && let Some(ids) = self.ids_by_key.get_mut(&old)
        {
            ids.remove(id);
        }
        if let Some(key) = key {
            self.ids_by_key.entry(key.clone()).or_default().insert(id.to_owned());
            self.key_by_id.insert(id.to_owned(), key);
        }
    }

    fn matches(&self, key: &IndexKey, after: Option<&str>, limit: usize) -> Vec<String> {
        let ids = self.ids_by_key.get(&comparable(key));
        ids.into_iter()
            .flatten()
            .filter(|id| after.is_none_or(|after| id.as_str() > after))
            .take(limit)
            .cloned()
            .collect()
    }
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

/// A key such that two are equal exactly if SQLite finds the values equal: 1 and 1.0 are, "1" and 1 are not.
fn comparable(key: &IndexKey) -> String {
    match key {
        IndexKey::Null => "z".to_owned(),
        IndexKey::Integer(n) => format!("n{n}"),
        // Within the range of i64 the cast is exact.
        IndexKey::Real(n) if n.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(n) => format!("n{}", *n as i64),
        IndexKey::Real(n) => format!("r{:x}", n.to_bits()),
        IndexKey::Text(text) => format!("t{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As SQLite finds it: `SELECT 1 = 1.0, 10000000000000000 = 1e16, 9223372036854775807 = 9223372036854775808.0`.
    #[test]
    fn numbers_are_equal_whatever_they_are_written_as() {
        let equal = |n: i64, x: f64| comparable(&IndexKey::Integer(n)) == comparable(&IndexKey::Real(x));
        assert!(equal(1, 1.0) && equal(0, -0.0) && equal(10_000_000_000_000_000, 1e16) && equal(i64::MIN, -TWO_TO_63));
        assert!(!equal(1, 1.5) && !equal(i64::MAX, TWO_TO_63) && !equal(i64::MIN, -2.0 * TWO_TO_63));
        assert_ne!(comparable(&IndexKey::Integer(1)), comparable(&IndexKey::Text("1".to_owned())));
    }
}
