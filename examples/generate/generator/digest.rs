//! An output that counts and hashes what passes through it.

use std::io::{self, Write};

use serde::Serialize;

/// What has been written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Number of bytes.
    pub bytes: u64,
    /// Number of lines.
    pub rows: u64,
    /// BLAKE3 digest in hexadecimal digits.
    pub blake3: String,
}

/// Lines on their way to `out`.
#[derive(Debug)]
pub struct Lines<W> {
    out: W,
    hasher: blake3::Hasher,
    bytes: u64,
    rows: u64,
    pending: Vec<u8>,
}

const CHUNK_BYTES: usize = 256 * 1024;

impl<W: Write> Lines<W> {
    /// Nothing has passed yet.
    pub fn new(out: W) -> Self {
        Self { out, hasher: blake3::Hasher::new(), bytes: 0, rows: 0, pending: Vec::new() }
    }

    /// Let one line pass that `push` appends, its line feed included.
    ///
    /// # Errors
    /// Whatever the output reports.
    pub fn line(&mut self, push: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        push(&mut self.pending);
        self.rows += 1;
        if self.pending.len() >= CHUNK_BYTES { self.pass_on() } else { Ok(()) }
    }

    /// Hand over what is left.
    ///
    /// # Errors
    /// Whatever the output reports.
    pub fn finish(mut self) -> io::Result<Written> {
        self.pass_on()?;
        self.out.flush()?;
        Ok(Written { bytes: self.bytes, rows: self.rows, blake3: self.hasher.finalize().to_hex().to_string() })
    }

    fn pass_on(&mut self) -> io::Result<()> {
        self.hasher.update(&self.pending);
        self.bytes += self.pending.len() as u64;
        self.out.write_all(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}
