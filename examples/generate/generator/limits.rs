//! The bounds of the sample domain, one constant each.
//!
//! Owns every number that a rule compares with; the manifest repeats them.
//! Characters are Unicode scalar values.

use serde::Serialize;

/// Bytes of a path.
pub const PATH_BYTES_MAX: usize = 255;
/// Segments of a path.
pub const PATH_SEGMENTS_MAX: usize = 7;
/// Bytes of one segment of a path.
pub const SEGMENT_BYTES_MAX: usize = 50;
/// Characters of a name; at least one.
pub const NAME_CHARS_MAX: usize = 200;
/// Characters of a description or a reasoning.
pub const TEXT_CHARS_MAX: usize = 2000;
/// Dependencies of one item.
pub const DEPENDENCIES_MAX: usize = 50;
/// Edges of a chain of dependencies.
pub const CHAIN_EDGES_MAX: usize = 10;
/// Notes in one list of notes.
pub const NOTES_MAX: usize = 25;
/// Characters of one note.
pub const NOTE_CHARS_MAX: usize = 2000;
/// Bytes of the metadata as compact JSON.
pub const METADATA_BYTES_MAX: usize = 32_768;
/// Characters of a string inside the metadata.
pub const METADATA_STRING_CHARS_MAX: usize = 1000;
/// Entries of a list inside the metadata.
pub const METADATA_LIST_MAX: usize = 100;
/// Tags in the metadata.
pub const TAGS_MAX: usize = 10;
/// Children of one parent.
pub const CHILDREN_MAX: usize = 100;

/// All bounds, as the manifest shows them.
#[derive(Clone, Debug, Serialize)]
pub struct Limits {
    path_bytes_max: usize,
    path_segments_max: usize,
    segment_bytes_max: usize,
    name_chars_max: usize,
    text_chars_max: usize,
    dependencies_max: usize,
    chain_edges_max: usize,
    notes_max: usize,
    note_chars_max: usize,
    metadata_bytes_max: usize,
    metadata_string_chars_max: usize,
    metadata_list_max: usize,
    tags_max: usize,
    children_max: usize,
}

/// The bounds in force.
pub const LIMITS: Limits = Limits {
    path_bytes_max: PATH_BYTES_MAX,
    path_segments_max: PATH_SEGMENTS_MAX,
    segment_bytes_max: SEGMENT_BYTES_MAX,
    name_chars_max: NAME_CHARS_MAX,
    text_chars_max: TEXT_CHARS_MAX,
    dependencies_max: DEPENDENCIES_MAX,
    chain_edges_max: CHAIN_EDGES_MAX,
    notes_max: NOTES_MAX,
    note_chars_max: NOTE_CHARS_MAX,
    metadata_bytes_max: METADATA_BYTES_MAX,
    metadata_string_chars_max: METADATA_STRING_CHARS_MAX,
    metadata_list_max: METADATA_LIST_MAX,
    tags_max: TAGS_MAX,
    children_max: CHILDREN_MAX,
};
