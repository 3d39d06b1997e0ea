//! What was measured of a batch, as its row of the history keeps it: one JSON text.

use serde::{Deserialize, Serialize};

use crate::model::{BatchMetrics, ChunkSpan, PluginMetrics};

/// What a text holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Kept {
    pub batch: BatchMetrics,
    /// What each plugin did in it, in the order of the slots.
    pub plugins: Vec<PluginMetrics>,
    /// Which lane computed which part of it when.
    pub chunks: Vec<ChunkSpan>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    batch: &'a BatchMetrics,
    plugins: &'a [PluginMetrics],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<Span>,
}

/// Rows of stores that were made before plugins and chunks were kept have none.
#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    batch: BatchMetrics,
    #[serde(default)]
    plugins: Vec<PluginMetrics>,
    #[serde(default)]
    chunks: Vec<Span>,
}

/// A chunk in few bytes, since there are many: lane, attempt, items, from, to, validate, operate.
type Span = [u64; 7];

/// The text of a batch, of what each plugin did in it, and of its chunks.
pub(super) fn text(batch: &BatchMetrics, plugins: &[PluginMetrics], chunks: &[ChunkSpan]) -> String {
    let span = |c: &ChunkSpan| [c.lane, c.attempt, c.items, c.from_us, c.to_us, c.validate_us, c.operate_us];
    let written = Written { batch, plugins, chunks: chunks.iter().map(span).collect() };
    serde_json::to_string(&written).expect("numbers and names are JSON")
}

/// Reads it back; none where it is no such text.
pub(super) fn read(text: &str) -> Option<Kept> {
    let chunk = |[lane, attempt, items, from_us, to_us, validate_us, operate_us]: Span| ChunkSpan {
        lane,
        attempt,
        items,
        from_us,
        to_us,
        validate_us,
        operate_us,
    };
    let read: Read = serde_json::from_str(text).ok()?;
    Some(Kept { batch: read.batch, plugins: read.plugins, chunks: read.chunks.into_iter().map(chunk).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_read_back_and_texts_without_plugins_and_chunks_too() {
        let batch = BatchMetrics { plan_size: 7, write_us: 9, ..BatchMetrics::default() };
        let plugins = vec![PluginMetrics { slot: "a".to_owned(), calls: 2, ..PluginMetrics::default() }];
        let chunks = vec![ChunkSpan { lane: 1, items: 3, to_us: 5, ..ChunkSpan::default() }];
        assert_eq!(read(&text(&batch, &plugins, &chunks)), Some(Kept { batch, plugins, chunks }));
        assert_eq!(read(&serde_json::to_string(&batch).unwrap()), Some(Kept { batch, ..Kept::default() }));
        assert_eq!(read("[]"), None);
    }
}
