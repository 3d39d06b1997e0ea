//! A batch: items and broken records of a contiguous part of the input, back to back in one text.

use std::ops::Range;

use super::{Digest, Ordinal, Problem};

/// Where a record stood in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Which input file, from 0.
    pub input: u32,
    /// Line (or record number, for CSV and JSON arrays) from 1.
    pub line: u64,
    /// Byte offset of its first byte in the decompressed input.
    pub offset: u64,
}

/// A record of a batch: an item, or bytes that are none.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it stood.
    pub position: Position,
    /// What it is.
    pub kind: RecordKind,
}

/// See [`Record`]. Ranges point into the batch's text.
#[derive(Debug, Clone)]
pub enum RecordKind {
    /// A decodable item.
    Item { id: Range<u32>, body: Range<u32> },
    /// Not an item: the reason, the bytes that are kept (all, or the head of an over-long line), and how many there were.
    Broken(Box<Broken>),
}

/// Bytes that are no item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Why (VALIDATION_4002, 4004 or 4005).
    pub problem: Problem,
    /// The bytes, or their head.
    pub kept: Vec<u8>,
    /// Length of the whole, in bytes.
    pub total_bytes: u64,
    /// Digest of the whole.
    pub digest: Digest,
}

/// A contiguous part of the input, cut by one plan.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Ids and bodies, back to back.
    pub text: String,
    /// In input order; `records[i]` has ordinal `first_ordinal + i`.
    pub records: Vec<Record>,
    /// Ordinal of the first record.
    pub first_ordinal: u64,
    /// Where its last record stands, as its source says it that goes on behind such a place; none where the source is read over.
    pub place: Option<String>,
}

/// A borrowed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Position in the input.
    pub ordinal: Ordinal,
    /// Key.
    pub id: &'a str,
    /// JSON text as read.
    pub body: &'a str,
}

impl Batch {
    /// The item at `index`; none if that record is broken.
    #[inline]
    pub fn item(&self, index: usize) -> Option<Item<'_>> {
        match &self.records[index].kind {
            RecordKind::Item { id, body } => Some(Item {
                ordinal: self.ordinal(index),
                id: &self.text[id.start as usize..id.end as usize],
                body: &self.text[body.start as usize..body.end as usize],
            }),
            RecordKind::Broken(_) => None,
        }
    }

    /// Bytes of the input that it holds: its text, and what is kept of records that are no items.
    pub fn held_bytes(&self) -> usize {
        let broken = self.records.iter().map(|record| match &record.kind {
            RecordKind::Item { .. } => 0,
            RecordKind::Broken(broken) => broken.kept.len(),
        });
        self.text.len() + broken.sum::<usize>()
    }

    /// Ordinal of the record at `index`.
    pub fn ordinal(&self, index: usize) -> Ordinal {
        Ordinal(self.first_ordinal + index as u64)
    }

    /// Number of records, broken ones included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if it holds no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    /// Bytes that are no text count as those that are, where it is bounded what is held.
    #[test]
    fn what_is_kept_of_broken_records_is_held_as_well() {
        let broken = Broken {
            problem: Problem::of_host(Code::Undecodable, "no JSON"),
            kept: vec![0; 1000],
            total_bytes: 5000,
            digest: Digest([0; 32]),
        };
        let record = |kind| Record { position: Position::default(), kind };
        let batch = Batch {
            text: "a{}".to_owned(),
            records: vec![
                record(RecordKind::Item { id: 0..1, body: 1..3 }),
                record(RecordKind::Broken(Box::new(broken))),
            ],
            ..Batch::default()
        };
        assert_eq!(batch.held_bytes(), 1003);
    }
}
