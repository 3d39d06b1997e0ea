//! A digest of all records that were read, taken on batch by batch.

use crate::model::{Broken, Digest};

use super::Raw;

/// Bytes are hashed in pieces of this size, where BLAKE3 is fast.
const DIGEST_BLOCK_BYTES: usize = 64 << 10;

/// BLAKE3 over a sequence of records: each one's length (8 bytes, little-endian) and bytes, a key that the source
/// brought likewise behind a mark, and for bytes over the bound a mark, their length and their digest.
#[derive(Default)]
pub(super) struct Rolling {
    hasher: blake3::Hasher,
    staged: Vec<u8>,
}

const MARK_ID: u64 = u64::MAX;
const MARK_BROKEN: u64 = u64::MAX - 1;

impl Rolling {
    /// Takes the next record.
    pub(super) fn record(&mut self, raw: &Raw<'_>) {
        if let Some(id) = raw.id {
            self.number(MARK_ID);
            self.bytes(id.as_bytes());
        }
        self.bytes(raw.bytes);
        self.flush(DIGEST_BLOCK_BYTES);
    }

    /// Takes the next one, of which only length and digest are at hand.
    pub(super) fn broken(&mut self, broken: &Broken) {
        self.number(MARK_BROKEN);
        self.number(broken.total_bytes);
        self.staged.extend_from_slice(&broken.digest.0);
        self.flush(DIGEST_BLOCK_BYTES);
    }

    /// Digest of all records taken so far.
    pub(super) fn so_far(&mut self) -> Digest {
        self.flush(1);
        Digest(*self.hasher.finalize().as_bytes())
    }

    fn number(&mut self, number: u64) {
        self.staged.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        if bytes.len() >= DIGEST_BLOCK_BYTES {
            self.flush(1);
            self.hasher.update(bytes);
        } else {
            self.staged.extend_from_slice(bytes);
        }
    }

    fn flush(&mut self, least_bytes: usize) {
        if self.staged.len() >= least_bytes {
            self.hasher.update(&self.staged);
            self.staged.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Position;

    #[test]
    fn short_and_long_records_are_framed_by_their_lengths() {
        let long = "x".repeat(DIGEST_BLOCK_BYTES * 2);
        let (mut wanted, mut rolling) = (blake3::Hasher::new(), Rolling::default());
        for body in ["1", &long, "", "2"] {
            wanted.update(&(body.len() as u64).to_le_bytes()).update(body.as_bytes());
            rolling.record(&Raw { bytes: body.as_bytes(), id: None, position: Position::default() });
            assert_eq!(rolling.so_far(), Digest(*wanted.finalize().as_bytes()));
        }
    }

    #[test]
    fn a_key_of_its_own_changes_the_digest() {
        let digest = |id| {
            let mut rolling = Rolling::default();
            rolling.record(&Raw { bytes: b"1", id, position: Position::default() });
            rolling.so_far()
        };
        assert!(digest(None) != digest(Some("a")) && digest(Some("a")) != digest(Some("b")));
    }
}
