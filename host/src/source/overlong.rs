//! Bytes over the length bound: head, length and digest instead of all of them.

use crate::error::Code;
use crate::limits::DEAD_LETTER_HEAD_BYTES;
use crate::model::{Broken, Digest, Problem};

use super::Spot;

/// A record over the length bound, while its bytes pass by.
pub(super) struct Overlong {
    spot: Spot,
    head: Vec<u8>,
    hasher: blake3::Hasher,
    total_bytes: u64,
    /// A carriage return at the end of what came so far: part of the line only if more than a line feed follows.
    held_return: bool,
}

impl Overlong {
    pub(super) fn new(spot: Spot) -> Self {
        Self { spot, head: Vec::new(), hasher: blake3::Hasher::new(), total_bytes: 0, held_return: false }
    }

    /// Where the record begins.
    pub(super) fn spot(&self) -> Spot {
        self.spot
    }

    /// Takes the next bytes of the record.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        let Some((last, before)) = bytes.split_last() else { return };
        if std::mem::take(&mut self.held_return) {
            self.count(b"\r");
        }
        if *last == b'\r' {
            self.held_return = true;
            self.count(before);
        } else {
            self.count(bytes);
        }
    }

    /// The dead letter, once the separator was met (`line_end` says whether that was a line feed).
    pub(super) fn finish(mut self, noun: &str, bytes_max: usize, line_end: bool) -> (Spot, Box<Broken>) {
        if !line_end && std::mem::take(&mut self.held_return) {
            self.count(b"\r");
        }
        let broken = Broken {
            problem: problem(noun, self.total_bytes, bytes_max),
            kept: self.head,
            total_bytes: self.total_bytes,
            digest: Digest(*self.hasher.finalize().as_bytes()),
        };
        (self.spot, Box::new(broken))
    }

    fn count(&mut self, bytes: &[u8]) {
        let room = DEAD_LETTER_HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.hasher.update(bytes);
        self.total_bytes += bytes.len() as u64;
    }
}

/// The same for bytes that are at hand as a whole.
pub(super) fn of_whole(bytes: &[u8], noun: &str, bytes_max: usize) -> Box<Broken> {
    Box::new(Broken {
        problem: problem(noun, bytes.len() as u64, bytes_max),
        kept: bytes[..bytes.len().min(DEAD_LETTER_HEAD_BYTES)].to_vec(),
        total_bytes: bytes.len() as u64,
        digest: Digest::of(bytes),
    })
}

fn problem(noun: &str, found_bytes: u64, bytes_max: usize) -> Problem {
    let message = format!("the {noun} is {found_bytes} bytes long, the bound is {bytes_max} bytes (--max-line-bytes)");
    Problem::of_host(Code::OverBound, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_what_the_whole_gives_and_a_return_before_the_line_feed_is_no_part() {
        let line: Vec<u8> = (0..20_000u32).map(|i| if i % 7 == 0 { b'\r' } else { (i % 251) as u8 }).collect();
        let whole = of_whole(&line, "line", 10);
        for size in [1, 2, 3, 7, 4096, 30_000] {
            for end in [&b""[..], b"\r"] {
                let mut overlong = Overlong::new(Spot { line: 1, offset: 0 });
                let bytes = [&line, end].concat();
                bytes.chunks(size).for_each(|c| overlong.take(c));
                assert_eq!(overlong.finish("line", 10, !end.is_empty()).1, whole, "{size}");
            }
        }
        assert_eq!(whole.kept.len(), DEAD_LETTER_HEAD_BYTES);
    }
}
