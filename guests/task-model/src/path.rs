//! Paths: the keys of tasks.

use crate::limits::{PATH_BYTES_MAX, PATH_SEGMENTS_MAX, SEGMENT_BYTES_MAX};
use crate::problem::quoted;

/// Check that `path` is legal: ASCII, 1 to 255 bytes, 1 to 7 segments joined
/// by single slashes with none at the ends; a segment is a letter and up to
/// 49 letters, digits, `-` or `_`.
///
/// # Errors
/// A sentence on the first thing that is wrong.
pub fn check(path: &str) -> Result<(), String> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return Err(format!("path has {} bytes, wanted 1 to {PATH_BYTES_MAX}", path.len()));
    }
    let segments = path.split('/').count();
    if segments > PATH_SEGMENTS_MAX {
        return Err(format!("path {} has {segments} segments, wanted 1 to {PATH_SEGMENTS_MAX}", quoted(path)));
    }
    for segment in path.split('/') {
        check_segment(segment).map_err(|wrong| format!("path {}: {wrong}", quoted(path)))?;
    }
    Ok(())
}

/// Whether `path` is legal.
pub fn is_legal(path: &str) -> bool {
    check(path).is_ok()
}

/// The path without its last segment; none for a root.
pub fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(parent, _)| parent)
}

/// The first segment.
pub fn project(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

/// Number of segments: 1 for a root.
pub fn depth(path: &str) -> usize {
    path.split('/').count()
}

fn check_segment(segment: &str) -> Result<(), String> {
    if segment.is_empty() || segment.len() > SEGMENT_BYTES_MAX {
        return Err(format!(
            "segment {} has {} bytes, wanted 1 to {SEGMENT_BYTES_MAX}",
            quoted(segment),
            segment.len()
        ));
    }
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !segment.as_bytes()[0].is_ascii_alphabetic() || !segment.as_bytes().iter().all(legal) {
        return Err(format!("segment {}, wanted a letter, then letters, digits, - or _", quoted(segment)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_paths_up_to_each_limit() {
        let segment = "a".repeat(SEGMENT_BYTES_MAX);
        // 5 × 50 bytes with 4 slashes, and one more byte: 255 with its slash.
        let longest = format!("{}/b", [segment.as_str(); 5].join("/"));
        assert_eq!(longest.len(), 256);
        for path in ["a", "A-1_/b", "a/b/c/d/e/f/g", &segment, &longest[..254]] {
            assert_eq!(check(path), Ok(()), "{path}");
        }
        assert!(!is_legal(&longest));
    }

    #[test]
    fn illegal_paths() {
        for path in ["", "/", "/a", "a/", "a//b", "1a", "a/-b", "a b", "ä", "a/b/c/d/e/f/g/h", "a.b", "a\\b"] {
            assert!(!is_legal(path), "{path}");
        }
        assert!(!is_legal(&"a".repeat(SEGMENT_BYTES_MAX + 1)));
    }

    #[test]
    fn relatives_of_a_path() {
        assert_eq!(parent("a/b/c"), Some("a/b"));
        assert_eq!(parent("a"), None);
        assert_eq!(project("a/b/c"), "a");
        assert_eq!((depth("a"), depth("a/b/c")), (1, 3));
    }
}
