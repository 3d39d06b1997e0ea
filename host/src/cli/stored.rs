//! Stored items as input, sorted by id.
//!
//! A run may write to the collection that it reads, so that what stands there is no input of its own: it reads the rows as they
//! were when it began. One that is continued cannot do so any more. It goes on behind the last id that it has read, and leaves
//! out what it has written itself.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use super::retry;
use crate::coordinator::Input;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{Digest, Name, Position, RunNumber};
use crate::plugin::Role;
use crate::source::{Next, Raw, Source, Standing};
use crate::store::{Reader, Row};

/// Rows fetched at a time; fewer where they are large.
const PAGE: usize = 500;
/// What stands before the collection in the name of the input.
const INPUT: &str = "collection ";

/// The items of a collection, as they are when the run begins, for a run that can be continued.
///
/// Errors: there is no such store or collection.
pub fn input(store: &Path, collection: &Name) -> Result<Input> {
    let source = Stored::open(store, collection, Choice::All)?;
    let resumable = Some(source.names[0].clone());
    Ok(Input::Source { source: Box::new(source), resumable })
}

/// As [`input`], for a run that each command begins anew; with judges only the items that some of these plugins has not judged:
/// in the batch that wrote them, its slot was filled by another one, or by none.
///
/// Errors: as [`input`].
pub fn judged_anew(store: &Path, collection: &Name, judges: Option<Vec<(Name, Digest)>>) -> Result<Input> {
    let source = Stored::open(store, collection, judges.map_or(Choice::All, Choice::NotJudgedBy))?;
    Ok(Input::Source { source: Box::new(source), resumable: None })
}

/// The collection that an input of this name is.
pub fn collection(input: &str) -> Option<Name> {
    input.strip_prefix(INPUT).and_then(Name::parse)
}

/// Errors: CONFIG_3001 if files are to be read besides.
pub fn check_alone(inputs: &[String]) -> Result<()> {
    if inputs.is_empty() {
        return Ok(());
    }
    let message = format!("--from reads stored items, and {} is to be read too", inputs.join(", "));
    Err(Error::new(Code::ConfigInvalid, message).hint("read stored items and files in two runs"))
}

/// See the module.
struct Stored {
    reader: Reader,
    collection: Name,
    names: [String; 1],
    choice: Choice,
    /// What is known of batches: true where their rows are read.
    batches: HashMap<i64, bool>,
    page: std::vec::IntoIter<Row>,
    /// Id of the last row that was looked at.
    place: Option<String>,
    current: Option<Row>,
    position: Position,
    total: Option<u64>,
}

/// Which rows are read, by the batches that wrote them. Those that no run wrote always are.
enum Choice {
    All,
    NotJudgedBy(Vec<(Name, Digest)>),
    NotWrittenBy(RunNumber),
}

impl Stored {
    fn open(store: &Path, collection: &Name, choice: Choice) -> Result<Self> {
        let reader = Reader::open(store)?;
        // A name that is not there is told before anything is begun.
        reader.rows_after(collection, None, 1, limits::PAGE_BYTES_MAX)?;
        Ok(Self {
            reader,
            collection: collection.clone(),
            names: [format!("{INPUT}{collection}")],
            choice,
            batches: HashMap::new(),
            page: Vec::new().into_iter(),
            place: None,
            current: None,
            position: Position::default(),
            total: None,
        })
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            if self.page.len() == 0 {
                let (place, bytes_max) = (self.place.as_deref(), limits::PAGE_BYTES_MAX);
                self.page = self.reader.rows_after(&self.collection, place, PAGE, bytes_max)?.into_iter();
            }
            let Some(row) = self.page.next() else { return Ok(None) };
            let is_read = self.is_read(&row)?;
            self.place = Some(row.id.clone());
            if is_read {
                return Ok(Some(row));
            }
        }
    }

    fn is_read(&mut self, row: &Row) -> Result<bool> {
        let (false, Some(batch)) = (matches!(self.choice, Choice::All), row.batch) else { return Ok(true) };
        if let Some(known) = self.batches.get(&batch) {
            return Ok(*known);
        }
        let is_read = match &self.choice {
            Choice::All => true,
            Choice::NotJudgedBy(judges) => {
                let chain = self.reader.chain_of(batch)?;
                let validators = || chain.iter().filter(|used| used.role == Role::Validator.as_str());
                let judged = |(slot, digest): &(Name, Digest)| {
                    validators().any(|used| used.slot == slot.as_str() && used.digest == Some(*digest))
                };
                !judges.iter().all(judged)
            }
            Choice::NotWrittenBy(run) => self.reader.run_of(batch)? != Some(*run),
        };
        if self.batches.len() == limits::BATCHES_KNOWN_MAX {
            self.batches.clear();
        }
        self.batches.insert(batch, is_read);
        Ok(is_read)
    }
}

impl Source for Stored {
    fn begin(&mut self, after: Option<Standing<'_>>) -> Result<bool> {
        self.reader.hold_state()?;
        match after {
            Some(after) => {
                self.choice = Choice::NotWrittenBy(after.run);
                self.place = Some(after.place.to_owned());
                self.position.line = after.next;
            }
            None if matches!(self.choice, Choice::All) => self.total = Some(self.reader.count(&self.collection)?),
            None => {}
        }
        Ok(after.is_some())
    }

    /// Positions: `line` counts items from 1, `offset` sums the bytes of the bodies before.
    fn next(&mut self, _wait: Option<Instant>) -> Result<Next<'_>> {
        let Some(row) = self.next_row()? else { return Ok(Next::End) };
        self.position.line += 1;
        self.position.offset += self.current.as_ref().map_or(0, |row| row.body.len() as u64);
        let row = self.current.insert(row);
        Ok(Next::Record(Raw { bytes: row.body.as_bytes(), id: Some(&row.id), position: self.position }))
    }

    fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// What the run itself has written is nothing new, nor is what came of its dead letters when they were tried again.
    fn has_changed_since(&self, run: RunNumber) -> Result<bool> {
        let mut own = vec![run];
        for (writer, inputs_json) in self.reader.writers_since(run, &self.collection)? {
            match retry::run_tried_again(&inputs_json) {
                Some(tried) if own.contains(&tried) => own.push(writer),
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn bytes_read(&self) -> u64 {
        self.position.offset + self.current.as_ref().map_or(0, |row| row.body.len() as u64)
    }

    fn total_items(&self) -> Option<u64> {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_leads_back_to_its_collection() {
        let items = Name::parse("items").unwrap();
        assert_eq!(collection(&format!("{INPUT}{items}")), Some(items));
        assert_eq!(collection("/data/collection items"), None);
        assert_eq!(collection("collection of items"), None);
    }
}
