//! Compression of inputs: found by extension, else by the first bytes.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952; all members are read.
    Gzip,
    /// RFC 8878; all frames are read.
    Zstd,
}

/// Bytes needed to tell the compression.
pub(super) const MAGIC_BYTES: usize = 4;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Compressed bytes are read in pieces of this size.
const COMPRESSED_BLOCK_BYTES: usize = 128 << 10;
/// Largest window of a zstd frame, as a power of two: 128 MiB, what the `zstd` command accepts unasked.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl Compression {
    /// What the extension says; none if it names no compression.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?;
        let is = |e: &str| extension.eq_ignore_ascii_case(e);
        if is("gz") {
            Some(Self::Gzip)
        } else if is("zst") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// What the first bytes say; none while they are too few to tell.
    pub(super) fn of_head(head: &[u8], at_end: bool) -> Option<Self> {
        if head.starts_with(&GZIP_MAGIC) {
            Some(Self::Gzip)
        } else if head.starts_with(&ZSTD_MAGIC) || is_skippable_frame(head) {
            Some(Self::Zstd)
        } else if !at_end && (GZIP_MAGIC.starts_with(head) || ZSTD_MAGIC.starts_with(head) || may_be_skippable(head)) {
            None
        } else {
            Some(Self::None)
        }
    }

    /// The word for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Inflates `reader`. Memory stays bounded whatever the ratio, since nobody holds the whole.
    pub(super) fn wrap(self, reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::None => Box::new(reader),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(COMPRESSED_BLOCK_BYTES, reader))),
            Self::Zstd => {
                let buffered = BufReader::with_capacity(COMPRESSED_BLOCK_BYTES, reader);
                let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        })
    }
}

/// A zstd stream may begin with a skippable frame (RFC 8878, 3.1.2): 0x184D2A50 to 0x184D2A5F, little-endian.
fn is_skippable_frame(head: &[u8]) -> bool {
    head.len() >= 4 && may_be_skippable(head)
}

fn may_be_skippable(head: &[u8]) -> bool {
    head.iter()
        .zip([0x50, 0x2a, 0x4d, 0x18])
        .enumerate()
        .all(|(i, (&b, m))| if i == 0 { b & 0xf0 == m } else { b == m })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_decides_as_soon_as_it_can() {
        use Compression::*;
        for (head, at_end, wanted) in [
            (&b""[..], false, Option::None),
            (b"", true, Some(None)),
            (b"{", false, Some(None)),
            (b"[", false, Option::None),
            (b"[{", false, Some(None)),
            (b"\x1f", false, Option::None),
            (b"\x1f", true, Some(None)),
            (b"\x1f\x8b", false, Some(Gzip)),
            (b"\x28\xb5\x2f", false, Option::None),
            (b"\x28\xb5\x2f\xfd", false, Some(Zstd)),
            (b"(a", false, Some(None)),
            (b"\x5a\x2a\x4d\x18", false, Some(Zstd)),
            (b"P", false, Option::None),
            (b"Price", false, Some(None)),
        ] {
            assert_eq!(Compression::of_head(head, at_end), wanted, "{head:?} {at_end}");
        }
    }

    #[test]
    fn the_extension_decides_in_any_case() {
        assert_eq!(Compression::of_path(Path::new("a.GZ")), Some(Compression::Gzip));
        assert_eq!(Compression::of_path(Path::new("a.csv.zst")), Some(Compression::Zstd));
        assert_eq!(Compression::of_path(Path::new("gz")), None);
    }
}
