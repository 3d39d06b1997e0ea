//! Writes of earlier items of a batch, staged over what is stored, for reads that are serial in effect. See `serial`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::serial::{Find, Lookups, StoreView};
use crate::error::{Code, Error, Result};
use crate::limits;
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

    /// Stages what an item's decision will do to the store, by the rules by which the store will apply it. Once `stop` is set
    /// nobody sees what is staged, and the rest of it may be missing.
    ///
    /// Errors: the store cannot be read.
    pub fn stage(&mut self, view: &StoreView, item: Item<'_>, decision: &Decision, stop: &AtomicBool) -> Result<()> {
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
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
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

    fn admits(&mut self, view: &StoreView, collection: &Name, id: &str, body: Option<&str>) -> Result<Admission> {
        let Some(body) = body else { return Ok(Admission::Write) };
        if view.on_existing != OnExisting::Replace && self.get(view, collection, &[id])?[0].is_some() {
            return Ok(if view.on_existing == OnExisting::Ignore { Admission::Ignore } else { Admission::Refuse });
        }
        for (_, index) in view.unique.iter().filter(|(owner, _)| owner == collection) {
            let key = view.base.index_key(collection, index, body)?;
            if key != IndexKey::Null && self.has_other(view, &Find { collection, index, key: &key }, id)? {
                return Ok(Admission::Refuse);
            }
        }
        Ok(Admission::Write)
    }

    /// True if another row than `id` has this key.
    fn has_other(&mut self, view: &StoreView, find: &Find<'_>, id: &str) -> Result<bool> {
        let staged = self.index(view, find.collection, find.index)?.ids_by_key.get(&comparable(find.key));
        if staged.into_iter().flatten().any(|holder| holder != id) {
            return Ok(true);
        }
        // The index is unique, so that the base has no second one.
        let stored = view.base.find(find, None, 2)?;
        Ok(stored.iter().any(|(holder, _)| holder != id && self.row(find.collection, holder).is_none()))
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
        let overlay = self.index(view, find.collection, find.index)?;
        let staged: Vec<String> = overlay.matches(find.key, after, limit);
        // Rows that the overlay has changed or deleted are skipped. With as many more one page is enough, unless somebody else
        // writes meanwhile; and for each page the base sorts all rows of the key.
        let mut page_rows = limit + overlay.hidden(find.key);
        let rows = self.rows.get(find.collection);
        let mut found = BTreeMap::new();
        let mut cursor = after.map(str::to_owned);
        let begun = Instant::now();
        while found.len() < limit {
            if begun.elapsed() >= limits::STORE_READ_TIME_MAX {
                return Err(too_long(find));
            }
            let page = match view.base.find(find, cursor.as_deref(), page_rows) {
                // What a plugin gets must not depend on how large the rows are that it does not get.
                Err(error) if error.code() == Code::GuestOutput && page_rows > limit => {
                    page_rows = limit;
                    continue;
                }
                page => page?,
            };
            let full = page.len() == page_rows;
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
        let hidden = overlay.hidden(find.key);
        // The hidden rows are among those of the base, so that many more are counted there.
        let base = view.base.count(find, limit + hidden)?;
        Ok((base.saturating_sub(hidden) + staged).min(limit))
    }

    /// The overlay's own index, built when it is first searched. Errors: the base has no such index.
    fn index(&mut self, view: &StoreView, collection: &Name, index: &Name) -> Result<&IndexOverlay> {
        let place = (collection.clone(), index.clone());
        if !self.indexes.contains_key(&place) {
            // Asked before there is a row to ask for: rows that are staged later are looked up in every index that is kept here.
            view.base.index_key(collection, index, "null")?;
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

    /// How many rows of the base with this key the overlay hides.
    fn hidden(&self, key: &IndexKey) -> usize {
        self.hidden.get(&comparable(key)).copied().unwrap_or(0)
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

fn too_long(find: &Find<'_>) -> Error {
    let most = limits::STORE_READ_TIME_MAX.as_secs();
    let message = format!("searching index `{}` of `{}` takes longer than {most} s", find.index, find.collection);
    Error::new(Code::GuestOutput, message)
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
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::coordinator::serial::Base;
    use crate::model::Ordinal;

    /// Rows of one collection, whose bodies are their keys in every index but `none`, which is not there. It counts what it is
    /// asked.
    struct Rows {
        rows: BTreeMap<String, String>,
        /// Searches for more rows than these are over a bound.
        page_max: usize,
        finds: AtomicUsize,
        keys: AtomicUsize,
    }

    impl Rows {
        fn new(rows: impl IntoIterator<Item = (String, String)>, page_max: usize) -> Arc<Self> {
            let rows = rows.into_iter().collect();
            Arc::new(Self { rows, page_max, finds: AtomicUsize::new(0), keys: AtomicUsize::new(0) })
        }
    }

    impl Base for Rows {
        fn get_many(&self, _: &Name, ids: &[&str]) -> Result<Vec<Option<String>>> {
            Ok(ids.iter().map(|id| self.rows.get(*id).cloned()).collect())
        }

        fn find(&self, find: &Find<'_>, after: Option<&str>, limit: usize) -> Result<Vec<(String, String)>> {
            self.finds.fetch_add(1, Ordering::Relaxed);
            if limit > self.page_max {
                return Err(too_long(find));
            }
            let rows = self.rows.iter().map(|(id, body)| (id.clone(), body.clone()));
            let equal = rows.filter(|(_, body)| IndexKey::Text(body.clone()) == *find.key);
            Ok(equal.filter(|(id, _)| after.is_none_or(|after| id.as_str() > after)).take(limit).collect())
        }

        fn count(&self, find: &Find<'_>, limit: usize) -> Result<usize> {
            Ok(self.find(find, None, limit)?.len())
        }

        fn index_key(&self, _: &Name, index: &Name, body: &str) -> Result<IndexKey> {
            self.keys.fetch_add(1, Ordering::Relaxed);
            match index.as_str() {
                "none" => Err(Error::new(Code::IndexNotFound, "there is no such index")),
                _ => Ok(IndexKey::Text(body.to_owned())),
            }
        }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn id(number: usize) -> String {
        format!("{number:04}")
    }

    fn view(base: &Arc<Rows>, unique: &[(Name, Name)]) -> StoreView {
        StoreView {
            base: Arc::clone(base) as Arc<dyn Base>,
            target: name("items"),
            on_existing: OnExisting::Replace,
            remove_rejected: false,
            collections: [name("items")].into(),
            unique: unique.into(),
            one_by_one: false,
        }
    }

    fn put(overlay: &mut Overlay, view: &StoreView, id: &str, body: &str) {
        let item = Item { ordinal: Ordinal(0), id, body };
        overlay.stage(view, item, &Decision::Keep, &AtomicBool::new(false)).unwrap();
    }

    fn is_staged(overlay: &Overlay, id: &str) -> bool {
        overlay.row(&name("items"), id).is_some()
    }

    #[test]
    fn a_search_asks_the_base_once_however_many_rows_are_hidden() {
        let (items, index, key) = (name("items"), name("k"), IndexKey::Text("x".to_owned()));
        let find = Find { collection: &items, index: &index, key: &key };
        // Where so many at once are over a bound, the same is found in small pages.
        for (page_max, asked_once) in [(usize::MAX, true), (10, false)] {
            let base = Rows::new((0..1000).map(|n| (id(n), "x".to_owned())), page_max);
            let view = view(&base, &[]);
            let mut overlay = Overlay::default();
            for n in 0..900 {
                put(&mut overlay, &view, &id(n), if n == 5 { "x" } else { "y" });
            }
            let found = overlay.find(&view, &find, None, 3).unwrap();
            assert_eq!(found.into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [id(5), id(900), id(901)]);
            assert_eq!(base.finds.load(Ordering::Relaxed) == 1, asked_once);
            let rest = overlay.find(&view, &find, Some(&id(998)), 3).unwrap();
            assert_eq!(rest, [(id(999), "x".to_owned())]);
        }
    }

    #[test]
    fn a_put_under_a_unique_index_costs_the_same_however_many_are_staged() {
        let base = Rows::new([("stored".to_owned(), "taken".to_owned())], usize::MAX);
        let view = view(&base, &[(name("items"), name("k"))]);
        let mut overlay = Overlay::default();
        for n in 0..1000 {
            put(&mut overlay, &view, &id(n), &n.to_string());
        }
        let keys = base.keys.load(Ordering::Relaxed);
        assert!(keys <= 3 * 1000, "{keys} keys for 1000 puts");

        // What a staged row or a stored one holds is free once that row has another value.
        for (holder, value, other) in [("0007", "7", "2000"), ("stored", "taken", "2001")] {
            put(&mut overlay, &view, other, value);
            assert!(!is_staged(&overlay, other), "{holder} holds {value}");
            put(&mut overlay, &view, holder, &format!("{value} no more"));
            put(&mut overlay, &view, other, value);
            assert!(is_staged(&overlay, other), "{holder} has let {value} go");
        }
    }

    /// What a plugin asks for in vain costs it an answer, and no later write anything.
    #[test]
    fn an_index_that_is_not_there_is_looked_for_by_whoever_asks_and_by_no_write_after_it() {
        let (items, index, key) = (name("items"), name("none"), IndexKey::Null);
        let find = Find { collection: &items, index: &index, key: &key };
        for staged_before in [false, true] {
            let view = view(&Rows::new([], usize::MAX), &[]);
            let mut overlay = Overlay::default();
            if staged_before {
                put(&mut overlay, &view, "before", "{}");
            }
            for _ in 0..2 {
                let found = overlay.find(&view, &find, None, 1).map(drop).expect_err("a search");
                let counted = overlay.count(&view, &find, 1).map(drop).expect_err("a count");
                assert_eq!((found.code(), counted.code()), (Code::IndexNotFound, Code::IndexNotFound));
                put(&mut overlay, &view, "after", "{}");
            }
            assert!(is_staged(&overlay, "after"));
        }
    }

    #[test]
    fn nothing_is_staged_for_a_walk_that_is_to_stop() {
        let view = view(&Rows::new([], usize::MAX), &[]);
        let mut overlay = Overlay::default();
        let item = Item { ordinal: Ordinal(0), id: "a", body: "{}" };
        overlay.stage(&view, item, &Decision::Keep, &AtomicBool::new(true)).unwrap();
        assert!(!is_staged(&overlay, "a"));
    }

    #[test]
    fn an_item_that_looked_up_more_than_is_noted_meets_every_write_there() {
        let view = view(&Rows::new([], usize::MAX), &[]);
        let mut overlay = Overlay::default();
        put(&mut overlay, &view, &id(9999), "{}");
        for (count, meets) in [(10, false), (10_000, true)] {
            let ids: Vec<String> = (0..count).map(id).collect();
            let mut lookups = Lookups::default();
            lookups.note(&name("items"), &ids.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(!lookups.ids.contains(&(name("items"), id(9999))), "it is not noted itself");
            assert_eq!(overlay.meets(&lookups), meets, "{count} ids");
        }
    }

    /// As SQLite finds it: `SELECT 1 = 1.0, 10000000000000000 = 1e16, 9223372036854775807 = 9223372036854775808.0`.
    #[test]
    fn numbers_are_equal_whatever_they_are_written_as() {
        let equal = |n: i64, x: f64| comparable(&IndexKey::Integer(n)) == comparable(&IndexKey::Real(x));
        assert!(equal(1, 1.0) && equal(0, -0.0) && equal(10_000_000_000_000_000, 1e16) && equal(i64::MIN, -TWO_TO_63));
        assert!(!equal(1, 1.5) && !equal(i64::MAX, TWO_TO_63) && !equal(i64::MIN, -2.0 * TWO_TO_63));
        assert_ne!(comparable(&IndexKey::Integer(1)), comparable(&IndexKey::Text("1".to_owned())));
    }
}
