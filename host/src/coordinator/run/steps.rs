//! What is told and kept of candidates: each step is an event, a row, and an answer to whoever waits for it in another process.

use std::sync::Arc;
use std::time::Instant;

use super::Run;
use crate::coordinator::inbox::{SwapAnswer, Ticket};
use crate::coordinator::serial::guard;
use crate::coordinator::swap::Refused;
use crate::error::{Code, Result};
use crate::event::{Event, SwapFigures, SwapStep};
use crate::limits;
use crate::model::{BatchNumber, Digest, Name, now_ms};
use crate::processor::Processor;
use crate::store::{RunHandle, SwapRow};

/// Why a candidate is skipped that would change nothing.
pub(super) const IN_FORCE: &str = "the same plugin is in force already";

/// A candidate as it is told.
#[derive(Clone)]
pub(super) struct Meta {
    pub slot: Name,
    pub source: &'static str,
    pub name: String,
    pub old_digest: Option<Digest>,
    pub new_digest: Digest,
    pub came: Instant,
    /// Who waits for the outcome in other processes.
    pub tickets: Vec<Ticket>,
}

impl Meta {
    /// True if both are about the same plugin in the same slot.
    pub fn is(&self, other: &Meta) -> bool {
        self.slot == other.slot && self.new_digest == other.new_digest
    }

    /// A step of it, as the store keeps it.
    pub fn row(&self, step: Step, words: &Words) -> SwapRow {
        SwapRow {
            slot: self.slot.to_string(),
            step: step.as_str().to_owned(),
            source: self.source.to_owned(),
            name: self.name.clone(),
            old_digest: self.old_digest,
            new_digest: self.new_digest,
            batch: words.batch,
            at_ms: now_ms(),
            ok: !matches!(step, Step::Refused | Step::PutBack),
            code: words.code.map(|code| code.as_str().to_owned()),
            reason: words.reason.clone(),
            figures_json: words.figures.as_ref().and_then(|figures| serde_json::to_string(figures).ok()),
        }
    }
}

/// A step, in the words of the events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Requested,
    Compiled,
    Probed,
    Tried,
    Shadowed,
    TookEffect,
    Settled,
    Refused,
    PutBack,
    Skipped,
}

impl Step {
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Requested => "requested",
            Step::Compiled => "compiled",
            Step::Probed => "probed",
            Step::Tried => "tried",
            Step::Shadowed => "shadowed",
            Step::TookEffect => "took-effect",
            Step::Settled => "settled",
            Step::Refused => "refused",
            Step::PutBack => "put-back",
            Step::Skipped => "skipped",
        }
    }

    fn event(self, step: Box<SwapStep>) -> Event {
        match self {
            Step::Requested => Event::SwapRequested(step),
            Step::Compiled => Event::SwapCompiled(step),
            Step::Probed => Event::SwapProbed(step),
            Step::Tried => Event::SwapTried(step),
            Step::Shadowed => Event::SwapShadowed(step),
            Step::TookEffect => Event::SwapTookEffect(step),
            Step::Settled => Event::SwapSettled(step),
            Step::Refused => Event::SwapRefused(step),
            Step::PutBack => Event::SwapPutBack(step),
            Step::Skipped => Event::SwapSkipped(step),
        }
    }

    pub fn ends(self) -> bool {
        matches!(self, Step::Settled | Step::Refused | Step::PutBack | Step::Skipped)
    }
}

/// What a step says beside which candidate it is about.
#[derive(Default)]
pub(super) struct Words {
    pub batch: Option<BatchNumber>,
    pub code: Option<Code>,
    pub reason: String,
    pub figures: Option<SwapFigures>,
    /// Kept with the first batch of this generation.
    pub generation: Option<u64>,
}

impl Words {
    pub fn of(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), ..Self::default() }
    }

    pub fn refused(refused: Refused, figures: Option<SwapFigures>) -> Self {
        Self { code: Some(refused.code), reason: refused.reason, figures, ..Self::default() }
    }
}

impl Run<'_> {
    pub(super) fn tell_swap(&mut self, step: Step, meta: &Meta, words: Words) {
        let told = SwapStep {
            slot: meta.slot.to_string(),
            source: meta.source.to_owned(),
            name: meta.name.clone(),
            old_digest: meta.old_digest.map_or_else(String::new, |digest| digest.to_string()),
            new_digest: meta.new_digest.to_string(),
            batch: words.batch.map(|batch| batch.0),
            elapsed_ms: meta.came.elapsed().as_millis() as u64,
            code: words.code.map(|code| code.as_str().to_owned()),
            reason: words.reason.clone(),
            figures: words.figures.clone(),
        };
        for ticket in &meta.tickets {
            ticket.tell(&SwapAnswer::of(step.as_str(), step.ends(), words.code, &told));
        }
        self.parts.teller.emit(step.event(Box::new(told)));
        let row = meta.row(step, &words);
        match words.generation {
            Some(generation) => self.swapper.rows.push((generation, row)),
            None => {
                self.swapper.loose.push(row);
                // Steps on the way wait for the one that ends the preparation: one transaction is enough.
                if step.ends() || matches!(step, Step::Tried | Step::Shadowed) {
                    self.keep_loose();
                }
            }
        }
    }

    /// Keeps what belongs to no batch. What the store does not take, since another process holds it, goes with what comes next.
    pub(super) fn keep_loose(&mut self) {
        let mut rows = std::mem::take(&mut *guard(&self.swapper.unkept));
        rows.append(&mut self.swapper.loose);
        if rows.is_empty() {
            return;
        }
        let (handle, unkept) = (Arc::clone(&self.parts.handle), Arc::clone(&self.swapper.unkept));
        self.parts.writer.leave(self.parts.key, move |processor| {
            let Err(error) = note(processor, &handle, &rows) else { return };
            tracing::warn!(code = error.code().as_str(), "Steps of a swap cannot be kept: {error}.");
            if error.code() == Code::StorageLocked {
                let mut unkept = guard(&unkept);
                unkept.extend(rows);
                let over = unkept.len().saturating_sub(limits::SWAP_STEPS_UNKEPT_MAX);
                unkept.drain(..over);
            }
        });
    }
}

/// Keeps these steps. As a group does, they wait some times for another process that has the lock.
fn note(processor: &mut dyn Processor, run: &RunHandle, rows: &[SwapRow]) -> Result<()> {
    let mut locked = 0;
    loop {
        match processor.note_swaps(run, rows) {
            Err(error) if error.code() == Code::StorageLocked && locked < limits::LOCKED_RETRIES_MAX => locked += 1,
            result => return result,
        }
    }
}
