//! Items that a program brings itself: a list or an iterator of JSON texts.

use std::time::Instant;

use crate::error::Result;
use crate::model::Position;

use super::{Next, Raw, Source};

/// One item of a list: its key, if it brings one, and its body.
type Entry = (Option<String>, String);

/// An item whose body need not be text.
type RawEntry = (Option<String>, Vec<u8>);

/// A source over an iterator. A run that is continued must be given the same items again.
pub struct ListSource {
    names: [String; 1],
    entries: Box<dyn Iterator<Item = Result<RawEntry>> + Send>,
    current: RawEntry,
    position: Position,
    total_items: Option<u64>,
}

impl ListSource {
    /// A source over items that are at hand; `name` stands in dead letters.
    pub fn new<I>(name: impl Into<String>, entries: I) -> Self
    where
        I: IntoIterator<Item = Entry>,
        I::IntoIter: Send + 'static,
    {
        Self::fallible(name, entries.into_iter().map(Ok))
    }

    /// A source over items whose reading can fail. An error ends the source.
    pub fn fallible<I>(name: impl Into<String>, entries: I) -> Self
    where
        I: IntoIterator<Item = Result<Entry>>,
        I::IntoIter: Send + 'static,
    {
        Self::raw(name, entries.into_iter().map(|entry| entry.map(|(id, body)| (id, body.into_bytes()))))
    }

    /// As [`ListSource::fallible`], of bytes as they once were read: what is no text is judged as in a file.
    pub fn raw<I>(name: impl Into<String>, entries: I) -> Self
    where
        I: IntoIterator<Item = Result<RawEntry>>,
        I::IntoIter: Send + 'static,
    {
        let entries = entries.into_iter();
        let total_items = match entries.size_hint() {
            (least, Some(most)) if least == most => Some(least as u64),
            _ => None,
        };
        Self {
            names: [name.into()],
            total_items,
            entries: Box::new(entries),
            current: RawEntry::default(),
            position: Position::default(),
        }
    }
}

impl Source for ListSource {
    /// Positions: `line` counts items from 1, `offset` sums the bytes of the bodies before.
    fn next(&mut self, _wait: Option<Instant>) -> Result<Next<'_>> {
        let Some(entry) = self.entries.next().transpose()? else { return Ok(Next::End) };
        self.position.line += 1;
        self.position.offset += self.current.1.len() as u64;
        self.current = entry;
        let (id, body) = &self.current;
        Ok(Next::Record(Raw { bytes: body, id: id.as_deref(), position: self.position }))
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn total_bytes(&self) -> Option<u64> {
        None
    }

    fn total_items(&self) -> Option<u64> {
        self.total_items
    }

    fn bytes_read(&self) -> u64 {
        self.position.offset + self.current.1.len() as u64
    }
}
