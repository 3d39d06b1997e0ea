//! Reads that are serial in effect: what a plugin sees is the state after all earlier items of the input.
//!
//! Where a plugin imports `store`, batches are computed one at a time. All items of a batch run side by side against the
//! committed state, one call each, and what each looked up is recorded. Then they are walked in input order: an item whose
//! look-ups meet a write of an earlier item is run again, now seeing the writes staged so far. All earlier items are final
//! by then, so one further run settles it. The idea is that of Block-STM (Gelashvili et al., 2022, arXiv 2203.06871).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

use super::overlay::Overlay;
use super::writer::WriterService;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Name, OnExisting};
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
    /// The row of an item that a rule rejects is deleted.
    pub remove_rejected: bool,
    /// Collections that the run declares: an item with a change to another is refused by the store.
    pub collections: Arc<[Name]>,
    /// Unique indexes, as (collection, index): a put that meets one is refused by the store.
    pub unique: Arc<[(Name, Name)]>,
    /// The store may refuse an item for a reason that it alone can tell: a row that is newer than a dead letter, or an index
    /// that somebody has added. So a batch has one item, and nothing is staged for another.
    pub one_by_one: bool,
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
        let bytes_max = limits::STORE_FIND_BYTES_MAX;
        self.with(|reader| rows(reader.find_within((find.collection, find.index), find.key, after, limit, bytes_max)))
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
        let bytes_max = limits::STORE_FIND_BYTES_MAX;
        self.with(move |lookup| {
            rows(lookup.find_within((&collection, &index), &key, after.as_deref(), limit, bytes_max))
        })
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
    pub ids: HashSet<(Name, String)>,
    /// What the ids take, with their places in the set.
    id_bytes: usize,
    /// Collections in which an index was searched: any write there may have changed the answer.
    pub searched: HashSet<Name>,
}

impl Lookups {
    /// What is looked up without bound is noted as the whole collection: then any write there may have changed the answer.
    pub fn note(&mut self, collection: &Name, ids: &[&str]) {
        // No row has a longer id.
        for id in ids.iter().filter(|id| id.len() <= limits::ID_BYTES_MAX) {
            if self.searched.contains(collection) {
                return;
            }
            if self.ids.insert((collection.clone(), (*id).to_owned())) {
                self.id_bytes += size_of::<(Name, String)>() + id.len();
            }
            if self.id_bytes > limits::LOOKUPS_NOTED_BYTES_MAX {
                self.searched.insert(collection.clone());
            }
        }
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
        guard(&self.lookups).note(&collection, &ids);
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
        Code::GuestOutput => LookupError::OverLimit,
        _ => LookupError::Other(error.to_string()),
    }
}

/// The data behind these locks is whole at every moment, so a lane that panicked while holding one did no harm.
pub(super) fn guard<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn noted(lookups: &mut Lookups, collection: &str, numbers: std::ops::Range<usize>) {
        let ids: Vec<String> = numbers.map(|n| format!("{n:0512}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        lookups.note(&name(collection), &ids);
    }

    #[test]
    fn ids_are_noted_one_by_one_up_to_a_bound_and_then_as_their_collection() {
        let mut lookups = Lookups::default();
        // The same ones again take nothing more.
        for _ in 0..1000 {
            noted(&mut lookups, "items", 0..100);
        }
        assert_eq!((lookups.ids.len(), lookups.searched.len()), (100, 0));

        noted(&mut lookups, "items", 0..1_000_000 / 512);
        assert_eq!(lookups.searched, HashSet::from([name("items")]));
        assert!(lookups.id_bytes < limits::LOOKUPS_NOTED_BYTES_MAX + 1024, "{} bytes are noted", lookups.id_bytes);
        let most = lookups.ids.len();
        noted(&mut lookups, "items", 5000..6000);
        assert_eq!(lookups.ids.len(), most, "nothing is noted beside the collection");

        // Nothing that is looked up elsewhere is lost either.
        noted(&mut lookups, "others", 0..10);
        assert_eq!(lookups.searched, HashSet::from([name("items"), name("others")]));
    }

    #[test]
    fn ids_that_no_row_can_have_are_not_noted() {
        let mut lookups = Lookups::default();
        let long = "x".repeat(limits::ID_BYTES_MAX + 1);
        lookups.note(&name("items"), &[long.as_str(); 1000]);
        assert!(lookups.ids.is_empty() && lookups.searched.is_empty());
    }
}
