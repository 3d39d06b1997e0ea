//! Reads that are serial in effect: what a plugin sees is the state after all earlier items of the input.
//!
//! Where a plugin imports `store`, batches are computed one at a time. All items of a batch run side by side against the
//! committed state, one call each, and what each looked up is recorded. Then they are walked in input order: an item whose
//! look-ups meet a write of an earlier item is run again, now seeing the writes staged so far. All earlier items are final
//! by then, so one further run settles it. The idea is that of Block-STM (Gelashvili et al., 2022, arXiv 2203.06871).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use super::writer::WriterService;
use crate::error::{Code, Error, Result};
use crate::model::{Change, Decision, Item, Name, OnExisting};
use crate::plugin::{Lookup, LookupError, LookupKey};
use crate::store::{self, IndexKey, Reader};

/// Reads of what is stored, from any lane.
pub(super) trait Base: Send + Sync {
    fn get_many(&self, collection: &Name, ids: &[&str]) -> Result<Vec<Option<String>>>;
    fn find(&self, find: &Find<'_>, after: Option<&str>, limit: usize) -> Result<Vec<(String, String)>>;
    fn count(&self, find: &Find<'_>, limit: usize) -> Result<usize>;
    fn index_key(&self, collection: &Name, index: &Name, body: &str) -> Result<IndexKey>;
}

/// What is looked for in an index.
pub(super) struct Find<'a> {
    pub collection: &'a Name,
    pub index: &'a Name,
    pub key: &'a IndexKey,
}

/// A run's way to read the store. Cheap to clone.
#[derive(Clone)]
pub(super) struct StoreView {
    pub base: Arc<dyn Base>,
    pub target: Name,
    pub on_existing: OnExisting,
    /// Collections that there are: an item with a change to another is refused by the store.
    pub collections: Arc<[Name]>,
    /// Unique indexes, as (collection, index): a put that meets one is refused by the store.
    pub unique: Arc<[(Name, Name)]>,
}

/// Committed state, through read-only connections of the lanes' own.
pub(super) struct Committed {
    readers: Mutex<Vec<Reader>>,
    open: Box<dyn Fn() -> Result<Reader> + Send + Sync>,
}

impl Committed {
    pub fn new(open: impl Fn() -> Result<Reader> + Send + Sync + 'static) -> Self {
        Self { readers: Mutex::new(Vec::new()), open: Box::new(open) }
    }

    fn with<T>(&self, work: impl FnOnce(&dyn store::Lookup) -> Result<T>) -> Result<T> {
        let idle = guard(&self.readers).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => (self.open)()?,
        };
        let result = work(&reader);
        guard(&self.readers).push(reader);
        result
    }
}

impl Base for Committed {
    fn get_many(&self, collection: &Name, ids: &[&str]) -> Result<Vec<Option<String>>> {
        self.with(|reader| bodies(reader.get_many(collection, ids)))
    }

    fn find(&self, find: &Find<'_>, after: Option<&str>, limit: usize) -> Result<Vec<(String, String)>> {
        self.with(|reader| rows(reader.find(find.collection, find.index, find.key, after, limit)))
    }

    fn count(&self, find: &Find<'_>, limit: usize) -> Result<usize> {
        self.with(|reader| reader.count_equal(find.collection, find.index, find.key, limit))
    }

    fn index_key(&self, collection: &Name, index: &Name, body: &str) -> Result<IndexKey> {
        self.with(|reader| reader.index_key(collection, index, body))
    }
}

/// State with this run's own uncommitted batches, for `--atomic run` and dry runs: through the writer.
pub(super) struct Uncommitted {
    pub writer: Arc<WriterService>,
    /// Of the run, whose own transaction is read.
    pub key: u64,
}

impl Uncommitted {
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn store::Lookup) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.writer.ask_for(self.key, move |processor| match processor.lookup() {
            Some(lookup) => work(lookup),
            None => Err(Error::new(Code::StoragePrerequisite, "this run has no store to read")),
        })
    }
}

impl Base for Uncommitted {
    fn get_many(&self, collection: &Name, ids: &[&str]) -> Result<Vec<Option<String>>> {
        let collection = collection.clone();
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        self.with(move |lookup| {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            bodies(lookup.get_many(&collection, &ids))
        })
    }

    fn find(&self, find: &Find<'_>, after: Option<&str>, limit: usize) -> Result<Vec<(String, String)>> {
        let (collection, index, key) = (find.collection.clone(), find.index.clone(), find.key.clone());
        let after = after.map(str::to_owned);
        self.with(move |lookup| rows(lookup.find(&collection, &index, &key, after.as_deref(), limit)))
    }

    fn count(&self, find: &Find<'_>, limit: usize) -> Result<usize> {
        let (collection, index, key) = (find.collection.clone(), find.index.clone(), find.key.clone());
        self.with(move |lookup| lookup.count_equal(&collection, &index, &key, limit))
    }

    fn index_key(&self, collection: &Name, index: &Name, body: &str) -> Result<IndexKey> {
        let (collection, index, body) = (collection.clone(), index.clone(), body.to_owned());
        self.with(move |lookup| lookup.index_key(&collection, &index, &body))
    }
}

fn bodies(rows: Result<Vec<Option<store::Row>>>) -> Result<Vec<Option<String>>> {
    Ok(rows?.into_iter().map(|row| row.map(|row| row.body)).collect())
}

fn rows(rows: Result<Vec<store::Row>>) -> Result<Vec<(String, String)>> {
    Ok(rows?.into_iter().map(|row| (row.id, row.body)).collect())
}

/// What one item looked up.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    ids: HashSet<(Name, String)>,
    /// Collections in which an index was searched: any write there may have changed the answer.
    searched: HashSet<Name>,
}

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
                && view.base.index_key(collection, index, body)? == *key
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

    fn get(&self, view: &StoreView, collection: &Name, ids: &[&str]) -> Result<Vec<Option<String>>> {
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

    fn find(
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

    fn count(&mut self, view: &StoreView, find: &Find<'_>, limit: usize) -> Result<usize> {
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

/// A key such that two are equal exactly if SQLite finds the values equal: 1 and 1.0 are, "1" and 1 are not.
fn comparable(key: &IndexKey) -> String {
    match key {
        IndexKey::Null => "z".to_owned(),
        IndexKey::Integer(n) => format!("n{n}"),
        IndexKey::Real(n) if n.fract() == 0.0 && n.abs() < 9.0e15 => format!("n{}", *n as i64),
        IndexKey::Real(n) => format!("r{:x}", n.to_bits()),
        IndexKey::Text(text) => format!("t{text}"),
    }
}

/// What one guest call sees: the base, under the staged writes where there are any. Records what is looked up.
pub(super) struct ViewLookup {
    pub view: StoreView,
    pub overlay: Option<Arc<Mutex<Overlay>>>,
    pub lookups: Arc<Mutex<Lookups>>,
}

impl ViewLookup {
    fn collection(&self, name: Option<&str>) -> Result<Name, LookupError> {
        match name {
            None => Ok(self.view.target.clone()),
            Some(name) => Name::parse(name).ok_or(LookupError::NoSuchCollection),
        }
    }
}

impl Lookup for ViewLookup {
    fn get_many(&mut self, collection: Option<&str>, ids: &[String]) -> Result<Vec<Option<String>>, LookupError> {
        let collection = self.collection(collection)?;
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        guard(&self.lookups).ids.extend(ids.iter().map(|id| (collection.clone(), (*id).to_owned())));
        match &self.overlay {
            Some(overlay) => guard(overlay).get(&self.view, &collection, &ids),
            None => self.view.base.get_many(&collection, &ids),
        }
        .map_err(lookup_error)
    }

    fn find(
        &mut self,
        collection: Option<&str>,
        index: &str,
        key: &LookupKey,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, LookupError> {
        let collection = self.collection(collection)?;
        let index = Name::parse(index).ok_or(LookupError::NoSuchIndex)?;
        let key = index_key(key);
        guard(&self.lookups).searched.insert(collection.clone());
        let find = Find { collection: &collection, index: &index, key: &key };
        match &self.overlay {
            Some(overlay) => guard(overlay).find(&self.view, &find, after, limit),
            None => self.view.base.find(&find, after, limit),
        }
        .map_err(lookup_error)
    }

    fn count(
        &mut self,
        collection: Option<&str>,
        index: &str,
        key: &LookupKey,
        limit: usize,
    ) -> Result<usize, LookupError> {
        let collection = self.collection(collection)?;
        let index = Name::parse(index).ok_or(LookupError::NoSuchIndex)?;
        let key = index_key(key);
        guard(&self.lookups).searched.insert(collection.clone());
        let find = Find { collection: &collection, index: &index, key: &key };
        match &self.overlay {
            Some(overlay) => guard(overlay).count(&self.view, &find, limit),
            None => self.view.base.count(&find, limit),
        }
        .map_err(lookup_error)
    }
}

fn index_key(key: &LookupKey) -> IndexKey {
    match key {
        LookupKey::Null => IndexKey::Null,
        LookupKey::Integer(n) => IndexKey::Integer(*n),
        LookupKey::Real(n) => IndexKey::Real(*n),
        LookupKey::Text(text) => IndexKey::Text(text.clone()),
    }
}

fn lookup_error(error: Error) -> LookupError {
    match error.code() {
        Code::ConfigInvalid => LookupError::NoSuchCollection,
        Code::IndexNotFound => LookupError::NoSuchIndex,
        _ => LookupError::Other(error.to_string()),
    }
}

/// The data behind these locks is whole at every moment, so a lane that panicked while holding one did no harm.
pub(super) fn guard<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
