//! A run that is continued, and whose last exchange of a plugin was not settled when it ended or was killed: the plugin is
//! on probation again, with the one before to come back.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::steps::Meta;
use super::swapping::{Probation, Swapping};
use crate::coordinator::chain::Chain;
use crate::coordinator::swap::SwapSource;
use crate::coordinator::swap::probation::{Later, SlotBatch};
use crate::error::{Code, Error, Result};
use crate::event::SwapFigures;
use crate::model::{Digest, RunNumber};
use crate::plugin::Slot;
use crate::store::{ACCEPTED, Reader, SwapRow};

/// An exchange that was not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unsettled {
    took_effect: SwapRow,
    /// Digest of what comes back.
    fallback: Digest,
    /// What is known of the one before: by its batches of late, else by the trial.
    figures: SwapFigures,
}

impl Probation {
    /// True if the plugin that may come back looks things up in the store.
    pub(in crate::coordinator) fn falls_back_on_reads(&self) -> bool {
        self.fallback.reads_store()
    }
}

/// The probations that this run, of which these are the plugins, has to go on with. Where the plugin before cannot be had any
/// more, that is a warning and the new one stays.
pub(in crate::coordinator) fn probations(
    store: &Path,
    run: RunNumber,
    chain: &Chain,
    swapping: &Swapping,
) -> Vec<Probation> {
    let mut found = Vec::new();
    for slot in chain.slots() {
        match again(store, run, slot, swapping) {
            Ok(probation) => found.extend(probation),
            Err(error) => tracing::warn!(
                code = error.code().as_str(),
                hint = error.hint_text(),
                "The plugin in slot {} was on probation, and the one before cannot be had: {error}.",
                slot.name()
            ),
        }
    }
    found
}

fn again(store: &Path, run: RunNumber, slot: &Arc<Slot>, swapping: &Swapping) -> Result<Option<Probation>> {
    let (Some(present), Some(loader)) = (slot.digest(), &swapping.loader) else { return Ok(None) };
    let Some((filling, _)) = swapping.fillings.get(slot.name()) else { return Ok(None) };
    let reader = Reader::open(store)?;
    let rows: Vec<SwapRow> = reader.swaps(Some(run), Some(slot.name()))?.into_iter().map(|entry| entry.step).collect();
    let Some(unsettled) = unsettled(&rows).filter(|one| one.took_effect.new_digest == present) else { return Ok(None) };
    let bytes = reader.plugin_bytes(&unsettled.fallback)?.ok_or_else(|| {
        Error::new(Code::StoragePrerequisite, format!("the bytes of {} were let go", unsettled.fallback))
            .hint("nothing is lost; the plugin that is in force stays")
    })?;
    let plugin = loader.load_bytes(bytes.into(), &format!("the plugin before in slot {}", slot.name()))?;
    let fallback = Slot::of_component(slot.name().clone(), slot.role(), &plugin, filling.clone())?;
    let SwapFigures { items_old: items, faults_old, rejects_old, drops_old, item_ns_old, .. } = unsettled.figures;
    let later = unsettled.figures.later_faults_old.zip(unsettled.figures.later_rejects_old);
    let known = SlotBatch {
        items,
        faults: faults_old,
        rejects: rejects_old,
        drops: drops_old,
        time_ns: item_ns_old * items,
        asked: items,
        later: later.map(|(faults, rejects)| Later { faults, rejects }),
    };
    let row = unsettled.took_effect;
    tracing::info!("Slot {} goes on with {} on probation.", slot.name(), row.name);
    let meta = Meta {
        slot: slot.name().clone(),
        source: SwapSource::parse(&row.source).unwrap_or(SwapSource::Library).as_str(),
        name: row.name,
        old_digest: Some(unsettled.fallback),
        new_digest: present,
        came: Instant::now(),
        tickets: Vec::new(),
    };
    let base = if items > 0 { vec![known] } else { Vec::new() };
    Ok(Some(Probation {
        meta,
        slot: Arc::clone(slot),
        fallback: Arc::new(fallback),
        base: base.into(),
        seen: Vec::new(),
    }))
}

/// The exchange among these steps of one slot, oldest first, that has taken effect and of which nobody knows whether it is good.
fn unsettled(rows: &[SwapRow]) -> Option<Unsettled> {
    let figures = |row: &SwapRow| row.figures_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut open: Option<Unsettled> = None;
    let mut tried: Option<(Digest, SwapFigures)> = None;
    for row in rows {
        match row.step.as_str() {
            "took-effect" if row.source == ACCEPTED => open = None,
            "tried" => tried = figures(row).map(|figures| (row.new_digest, figures)),
            "took-effect" => {
                let of_trial = tried.take().filter(|(digest, _)| *digest == row.new_digest);
                // What has not proved itself is nothing to fall back on.
                let before = open.take().map(|before| (before.fallback, before.figures));
                let (fallback, known) = match before {
                    Some(before) => before,
                    None => {
                        let known = figures(row).or(of_trial.map(|(_, figures)| figures));
                        (row.old_digest?, known.unwrap_or_default())
                    }
                };
                open = Some(Unsettled { took_effect: row.clone(), fallback, figures: known });
            }
            "settled" => {
                // One that ended early, with the run or for a newer plugin, has settled nothing: it is kept with no batch.
                open.take_if(|_| row.batch.is_some());
            }
            "put-back" => drop(open.take_if(|open| open.took_effect.new_digest == row.new_digest)),
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BatchNumber;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn row(step: &str, old: &str, new: &str, figures: Option<SwapFigures>) -> SwapRow {
        SwapRow {
            slot: "work".to_owned(),
            step: step.to_owned(),
            source: "watch".to_owned(),
            name: "work.wasm".to_owned(),
            old_digest: Some(digest(old)),
            new_digest: digest(new),
            batch: None,
            at_ms: 0,
            ok: true,
            code: None,
            reason: String::new(),
            figures_json: figures.map(|figures| serde_json::to_string(&figures).unwrap()),
        }
    }

    fn after(batches: u64) -> Option<SwapFigures> {
        Some(SwapFigures { batches, ..SwapFigures::default() })
    }

    fn open(rows: &[SwapRow]) -> Option<(Digest, Digest, u64)> {
        unsettled(rows).map(|one| (one.took_effect.new_digest, one.fallback, one.figures.items_old))
    }

    #[test]
    fn an_exchange_is_open_until_its_probation_was_whole_or_the_old_plugin_is_back() {
        let tried = SwapFigures { items_old: 50, ..SwapFigures::default() };
        let begun = [
            row("requested", "v1", "v2", None),
            row("tried", "v1", "v2", Some(tried)),
            row("took-effect", "v1", "v2", None),
        ];
        assert_eq!(open(&[]), None);
        assert_eq!(open(&begun[..2]), None);
        let v2 = Some((digest("v2"), digest("v1"), 50));
        assert_eq!(open(&begun), v2);
        let with = |row| open(&[begun.to_vec(), vec![row]].concat());
        let settled = |batch| SwapRow { batch, ..row("settled", "v1", "v2", after(8)) };
        assert_eq!(with(settled(Some(BatchNumber(12)))), None);
        assert_eq!(with(settled(None)), v2, "the run ended, after too few items");
        assert_eq!(with(row("put-back", "v1", "v2", after(1))), None);
        assert_eq!(with(row("refused", "v2", "v3", None)), v2);
        let newer = [row("settled", "v1", "v2", None), row("took-effect", "v2", "v3", None)];
        let v3 = Some((digest("v3"), digest("v1"), 50));
        assert_eq!(open(&[begun.to_vec(), newer.to_vec()].concat()), v3);
        let late = [row("put-back", "v1", "v2", after(1))];
        assert_eq!(open(&[begun.to_vec(), newer.to_vec(), late.to_vec()].concat()), v3, "that was the one before");
        // A run that goes on with what another one has begun knows it from its own steps.
        let of_late = row("took-effect", "v1", "v2", Some(SwapFigures { items_old: 320, ..Default::default() }));
        let known = Some((digest("v2"), digest("v1"), 320));
        assert_eq!(open(std::slice::from_ref(&of_late)), known);
        assert_eq!(open(&[begun[..2].to_vec(), vec![of_late]].concat()), known, "more than a trial knows");
        let accepted = SwapRow { source: ACCEPTED.to_owned(), ..row("took-effect", "v2", "v3", None) };
        assert_eq!(with(accepted), None, "whoever accepts it has judged it");
        // One that was to take its place comes back before it was settled, and has nothing to prove.
        let back = [row("skipped", "v1", "v2", None), row("took-effect", "v2", "v1", None)];
        let proven = SwapRow { batch: Some(BatchNumber(9)), ..row("settled", "v2", "v1", None) };
        assert_eq!(open(&[begun.to_vec(), back.to_vec(), vec![proven]].concat()), None);
    }
}
