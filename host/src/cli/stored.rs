//! Stored items as input.

use std::collections::HashMap;
use std::path::Path;

use crate::coordinator::Input;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, Name};
use crate::source::ListSource;
use crate::store::{Reader, Row};

/// Rows fetched at a time; fewer where they are large.
const PAGE: usize = 500;

/// The items of a collection, sorted by id, as they are now: what a run writes meanwhile is not seen.
///
/// Errors: there is no such store or collection.
pub fn input(store: &Path, collection: &Name) -> Result<Input> {
    read(store, collection, None)
}

/// As [`input`], but only the items that some of these plugins has not judged: in the batch that wrote them, its slot was
/// filled by another one, or by none.
///
/// Errors: as [`input`].
pub fn stale(store: &Path, collection: &Name, judges: Vec<(Name, Digest)>) -> Result<Input> {
    read(store, collection, Some(Stale { judges, batches: HashMap::new() }))
}

fn read(store: &Path, collection: &Name, stale: Option<Stale>) -> Result<Input> {
    let reader = Reader::open(store)?;
    reader.hold_state()?;
    let left = reader.count(collection)? as usize;
    let rows = Rows { reader, collection: collection.clone(), page: Vec::new().into_iter(), last: None, left, stale };
    let source = ListSource::fallible(format!("collection {collection}"), rows);
    Ok(Input::Source { source: Box::new(source), resumable: None })
}

/// Errors: CONFIG_3001 if files are to be read besides.
pub fn check_alone(inputs: &[String]) -> Result<()> {
    if inputs.is_empty() {
        return Ok(());
    }
    let message = format!("--from reads stored items, and {} is to be read too", inputs.join(", "));
    Err(Error::new(Code::ConfigInvalid, message).hint("read stored items and files in two runs"))
}

struct Rows {
    reader: Reader,
    collection: Name,
    page: std::vec::IntoIter<Row>,
    last: Option<String>,
    left: usize,
    stale: Option<Stale>,
}

/// Which rows are left out.
struct Stale {
    judges: Vec<(Name, Digest)>,
    /// What is known of batches: true where its rows are to be read.
    batches: HashMap<i64, bool>,
}

impl Stale {
    fn takes(&mut self, reader: &Reader, row: &Row) -> Result<bool> {
        // What no run wrote was never judged.
        let Some(batch) = row.batch else { return Ok(true) };
        if let Some(known) = self.batches.get(&batch) {
            return Ok(*known);
        }
        let chain = reader.chain_of(batch)?;
        let judged = |(slot, digest): &(Name, Digest)| {
            chain.iter().any(|used| used.slot == slot.as_str() && used.digest == Some(*digest))
        };
        let takes = !self.judges.iter().all(judged);
        if self.batches.len() == limits::BATCHES_KNOWN_MAX {
            self.batches.clear();
        }
        self.batches.insert(batch, takes);
        Ok(takes)
    }
}

impl Iterator for Rows {
    type Item = Result<(Option<String>, String)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.page.len() == 0 {
                let last = self.last.as_deref();
                match self.reader.rows_after(&self.collection, last, PAGE, limits::PAGE_BYTES_MAX) {
                    Ok(rows) => self.page = rows.into_iter(),
                    Err(error) => return Some(Err(error)),
                }
            }
            let row = self.page.next()?;
            self.left = self.left.saturating_sub(1);
            self.last = Some(row.id.clone());
            match self.stale.as_mut().map_or(Ok(true), |stale| stale.takes(&self.reader, &row)) {
                Ok(true) => return Some(Ok((Some(row.id), row.body))),
                Ok(false) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Exact where all are read: the state is held.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (if self.stale.is_some() { 0 } else { self.left }, Some(self.left))
    }
}
