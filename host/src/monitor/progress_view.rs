//! Progress for people: a bar on a terminal, else a line every few seconds.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::progress::{Progress, ProgressState};
use super::{Fold, Monitor, words};
use crate::event::{Envelope, Event};

/// Time between two lines, by the time of the events, in microseconds.
const LINE_EVERY_US: u64 = 5_000_000;
/// Redraws per second at the most.
const DRAWS_PER_S: u8 = 10;
/// Units of the bar: shares are fractions, bars count.
const BAR_UNITS: u64 = 10_000;

/// Writes a line every 5 seconds (of the run's own time), and one at the end.
pub struct ProgressLines {
    progress: Progress,
    out: Option<Box<dyn Write + Send>>,
    next_us: u64,
}

impl ProgressLines {
    /// Lines go here. A failing writer is no longer written to.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { progress: Progress::default(), out: Some(out), next_us: LINE_EVERY_US }
    }

    fn write(&mut self, line: &str) {
        let line = format!("{line}\n");
        if self.out.as_mut().is_some_and(|out| out.write_all(line.as_bytes()).is_err()) {
            self.out = None;
        }
    }
}

impl Monitor for ProgressLines {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn observe(&mut self, event: &Envelope) {
        self.progress.observe(event);
        if let Some(line) = exchanged(&event.event) {
            self.write(&line);
        }
        let state = self.progress.state();
        let ends = matches!(event.event, Event::RunEnded(_));
        if !ends && state.elapsed_us < self.next_us {
            return;
        }
        self.next_us = (state.elapsed_us - state.elapsed_us % LINE_EVERY_US).saturating_add(LINE_EVERY_US);
        let line = line(state);
        self.write(&line);
    }
}

/// A bar on stderr that redraws itself. Draws when events come, at most ten times a second; nothing where stderr is no
/// terminal.
pub struct ProgressBarView {
    progress: Progress,
    bar: ProgressBar,
}

impl ProgressBarView {
    /// On the stderr of the process.
    pub fn on_stderr() -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_S))
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("the template is a constant"));
        Self { progress: Progress::default(), bar }
    }
}

impl Monitor for ProgressBarView {
    fn name(&self) -> &'static str {
        "progress"
    }

    fn observe(&mut self, event: &Envelope) {
        let known = self.progress.state().share.is_some();
        self.progress.observe(event);
        if let Some(line) = exchanged(&event.event) {
            self.bar.println(line);
        }
        let state = self.progress.state();
        match (state.share, known) {
            (Some(share), false) => {
                let style = ProgressStyle::with_template("[{bar:24}] {wide_msg}").expect("the template is a constant");
                self.bar.set_style(style.progress_chars("=> "));
                self.bar.set_length(BAR_UNITS);
                self.bar.set_position((share * BAR_UNITS as f64) as u64);
            }
            (Some(share), true) => self.bar.set_position((share * BAR_UNITS as f64) as u64),
            (None, _) => {}
        }
        if matches!(
            event.event,
            Event::BatchCommitted(_)
                | Event::BatchApplied(_)
                | Event::PlanChosen { .. }
                | Event::HealthSampled { .. }
                | Event::RunStarted(_)
        ) {
            self.bar.set_message(line(state));
        }
    }

    fn finish(&mut self) {
        // The summary follows; a bar that stays would say less.
        self.bar.finish_and_clear();
    }
}

/// What is told of a plugin that took the place of another. What fails is a warning of the log.
fn exchanged(event: &Event) -> Option<String> {
    let Event::SwapTookEffect(step) = event else { return None };
    let name = crate::model::printable(&step.name);
    Some(format!("Slot {} is filled by {name} {}.", step.slot, step.reason))
}

/// `42 %, 12,345 of 29,000 items, 4,100 items/s, 4.1 s left, 12 rejected, batches of 316 on 2 lanes`.
fn line(state: &ProgressState) -> String {
    let mut parts = Vec::new();
    if let Some(share) = state.share {
        parts.push(words::percent(share));
    }
    parts.push(match state.total_items {
        Some(total) if !state.ended => format!("{} of {}", words::count(state.items), words::counted(total, "item")),
        _ => words::counted(state.items, "item"),
    });
    parts.push(format!("{} items/s", words::rate(state.items_per_s)));
    if let (Some(left), false) = (state.remaining_ms, state.ended) {
        parts.push(format!("{} left", words::duration(Duration::from_millis(left))));
    }
    let counts = &state.counts;
    for (count, fate) in
        [(counts.rejected, "rejected"), (counts.dead_lettered, "dead-lettered"), (counts.dropped, "dropped")]
    {
        if count > 0 {
            parts.push(format!("{} {fate}", words::count(count)));
        }
    }
    if state.batch_size > 0 && !state.ended {
        parts.push(format!("batches of {} on {}", words::count(state.batch_size), words::counted(state.lanes, "lane")));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Counts;

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let state = ProgressState {
            items: 12_345,
            total_items: Some(29_000),
            share: Some(0.425),
            items_per_s: 4100.4,
            remaining_ms: Some(4_061),
            counts: Counts { rejected: 12, dead_lettered: 3, ..Counts::default() },
            batch_size: 316,
            lanes: 2,
            ..ProgressState::default()
        };
        assert_eq!(
            line(&state),
            "42 %, 12,345 of 29,000 items, 4,100 items/s, 4.1 s left, 12 rejected, 3 dead-lettered, batches of 316 on 2 lanes"
        );
        assert_eq!(
            line(&ProgressState { items: 1, ended: true, ..state }),
            "42 %, 1 item, 4,100 items/s, 12 rejected, 3 dead-lettered"
        );
    }

    #[test]
    fn a_bar_without_a_terminal_draws_nothing_and_does_no_harm() {
        let mut view = ProgressBarView::on(ProgressDrawTarget::hidden());
        for event in super::super::testing::run(50, 100) {
            view.observe(&event);
        }
        view.finish();
        assert_eq!(view.progress.state().share, Some(1.0));
    }
}
