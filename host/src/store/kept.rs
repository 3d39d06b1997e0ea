//! What was measured of a batch, as its row of the history keeps it: one JSON text.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::model::{BatchMetrics, ChunkSpan, Decision, PluginMetrics};

/// What a text holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Kept {
    pub batch: BatchMetrics,
    /// What each plugin did in it, in the order of the slots.
    pub plugins: Vec<PluginMetrics>,
    /// Which lane computed which part of it when.
    pub chunks: Vec<ChunkSpan>,
    /// See [`dropped`].
    pub dropped: Vec<u64>,
}

#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    batch: &'a BatchMetrics,
    plugins: &'a [PluginMetrics],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<Span>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<u64>,
}

/// Rows of stores that were made before plugins, chunks and places of dropped items were kept have none.
#[derive(Deserialize)]
struct Read {
    #[serde(flatten)]
    batch: BatchMetrics,
    #[serde(default)]
    plugins: Vec<PluginMetrics>,
    #[serde(default)]
    chunks: Vec<Span>,
    #[serde(default)]
    dropped: Vec<u64>,
}

/// A chunk in few bytes, since there are many: lane, attempt, items, from, to, validate, operate.
type Span = [u64; 7];

/// Where the dropped ones are among a batch's items: so many that were not dropped from its first on, so many that were, so
/// many that were not, and so on to the last that was; of very many stretches the first [`limits::DROPPED_STRETCHES_KEPT_MAX`].
pub(super) fn dropped(decisions: &[Decision]) -> Vec<u64> {
    let is_dropped = |decision: &Decision| matches!(decision, Decision::Drop);
    let alike = decisions.chunk_by(|one, next| is_dropped(one) == is_dropped(next));
    let none_before = decisions.first().is_some_and(is_dropped).then_some(0);
    let stretches = none_before.into_iter().chain(alike.map(|stretch| stretch.len() as u64));
    let mut stretches: Vec<u64> = stretches.take(limits::DROPPED_STRETCHES_KEPT_MAX).collect();
    // What stands behind the last that was dropped says nothing.
    stretches.truncate(stretches.len() / 2 * 2);
    stretches
}

/// The text of a batch, of what each plugin did in it, of its chunks, and of the places of its dropped items.
pub(super) fn text(batch: &BatchMetrics, plugins: &[PluginMetrics], chunks: &[ChunkSpan], dropped: Vec<u64>) -> String {
    let span = |c: &ChunkSpan| [c.lane, c.attempt, c.items, c.from_us, c.to_us, c.validate_us, c.operate_us];
    let written = Written { batch, plugins, chunks: chunks.iter().map(span).collect(), dropped };
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
    let chunks = read.chunks.into_iter().map(chunk).collect();
    Some(Kept { batch: read.batch, plugins: read.plugins, chunks, dropped: read.dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_read_back_and_texts_without_plugins_and_chunks_too() {
        let batch = BatchMetrics { plan_size: 7, write_us: 9, ..BatchMetrics::default() };
        let plugins = vec![PluginMetrics { slot: "a".to_owned(), calls: 2, ..PluginMetrics::default() }];
        let chunks = vec![ChunkSpan { lane: 1, items: 3, to_us: 5, ..ChunkSpan::default() }];
        let dropped = vec![2, 1];
        let written = text(&batch, &plugins, &chunks, dropped.clone());
        assert_eq!(read(&written), Some(Kept { batch, plugins, chunks, dropped }));
        assert_eq!(read(&serde_json::to_string(&batch).unwrap()), Some(Kept { batch, ..Kept::default() }));
        assert_eq!(read("[]"), None);
    }

    #[test]
    fn places_of_dropped_items_are_kept_as_stretches_within_a_bound() {
        let of = |text: &str| {
            let decision = |c| if c == 'd' { Decision::Drop } else { Decision::Keep };
            dropped(&text.chars().map(decision).collect::<Vec<_>>())
        };
        assert_eq!(of("..d.ddd.."), [2, 1, 1, 3]);
        assert_eq!((of("dd"), of("d..d")), (vec![0, 2], vec![0, 1, 2, 1]));
        assert_eq!((of(""), of("....")), (vec![], vec![]));
        let most = limits::DROPPED_STRETCHES_KEPT_MAX;
        assert_eq!(of(&".d".repeat(most / 2)), vec![1; most]);
        assert_eq!(of(&".d".repeat(most)), vec![1; most]);
    }
}
