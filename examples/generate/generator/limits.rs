//! The bounds of the sample domain: those that the sample guests enforce, read from their source, so that there is one
//! table of them. The manifest repeats them.

use serde::Serialize;

#[expect(dead_code, reason = "the guests have some bounds that no input is made for")]
#[path = "../../../guests/task-model/src/limits.rs"]
mod enforced;

pub use enforced::{
    CHAIN_EDGES_MAX, CHILDREN_MAX, DEPENDENCIES_MAX, METADATA_BYTES_MAX, METADATA_CHARS_MAX, METADATA_LIST_MAX,
    NAME_CHARS_MAX, NOTE_CHARS_MAX, NOTES_MAX, PATH_BYTES_MAX, PATH_SEGMENTS_MAX, SEGMENT_BYTES_MAX, TAGS_MAX,
    TEXT_CHARS_MAX,
};

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
    metadata_string_chars_max: METADATA_CHARS_MAX,
    metadata_list_max: METADATA_LIST_MAX,
    tags_max: TAGS_MAX,
    children_max: CHILDREN_MAX,
};
