//! Every bound of the domain. Characters are Unicode scalar values.

/// Bytes of a path. Paths are ASCII.
pub const PATH_BYTES_MAX: usize = 255;
/// Segments of a path.
pub const PATH_SEGMENTS_MAX: usize = 7;
/// Bytes of one segment.
pub const SEGMENT_BYTES_MAX: usize = 50;
/// Characters of a name; at least one.
pub const NAME_CHARS_MAX: usize = 200;
/// Characters of `description` and of `reasoning`.
pub const TEXT_CHARS_MAX: usize = 2000;
/// Notes of one kind.
pub const NOTES_MAX: usize = 25;
/// Characters of one note.
pub const NOTE_CHARS_MAX: usize = 2000;
/// Dependencies of one task.
pub const DEPENDENCIES_MAX: usize = 50;
/// Dependencies above which a warning is due.
pub const DEPENDENCIES_WARN: usize = 20;
/// Edges of the longest chain of dependencies that starts at a task.
pub const CHAIN_EDGES_MAX: usize = 10;
/// Edges of a chain above which a warning is due.
pub const CHAIN_EDGES_WARN: usize = 5;
/// Children of one milestone.
pub const CHILDREN_MAX: usize = 100;
/// Bytes of `metadata` as compact JSON.
pub const METADATA_BYTES_MAX: usize = 32_768;
/// Characters of any string inside `metadata`.
pub const METADATA_CHARS_MAX: usize = 1000;
/// Elements of any list inside `metadata`.
pub const METADATA_LIST_MAX: usize = 100;
/// Elements of `metadata.tags`.
pub const TAGS_MAX: usize = 10;
/// Bytes of an idempotency key: the id of its marker row, `key:` and the key,
/// has to fit the host's 512 bytes.
pub const KEY_BYTES_MAX: usize = 508;
/// Lowest `version`.
pub const VERSION_MIN: i64 = 1;
/// Problems that are listed of one row, so that a huge row full of mistakes
/// does not answer with a huge list.
pub const PROBLEMS_MAX: usize = 100;
