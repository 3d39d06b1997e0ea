//! The words of a summary: about a dozen lines for people.

use std::time::Duration;

use super::RunSummary;
use crate::error::Code;
use crate::model::RunStatus;
use crate::monitor::words;

/// What can be done where an input cannot be read again.
const NOT_AGAIN: &str =
    "the input cannot be read again; if it was a pipe, `atlas-host runs resume` goes on with its items in a file";
/// Problems shown in the text.
const PROBLEMS_SHOWN: usize = 3;
/// Narrowest width that the text is made for, in characters.
pub(super) const WIDTH_MIN: usize = 40;

impl RunSummary {
    /// About a dozen lines for people, none wider than `width` characters (40 at the least), each with its line end.
    /// What stands first says how the run ended, what stands last what to do next.
    pub fn text(&self, width: usize) -> String {
        let width = width.max(WIDTH_MIN);
        let mut lines = vec![self.headline()];
        lines.extend(self.facts().into_iter().map(|(name, value)| format!("  {name:<12}{value}")));
        if !self.problems.is_empty() {
            lines.push("  Problems:".to_owned());
            lines.extend(self.problem_lines());
        }
        if let Some(error) = &self.error {
            lines.push(format!("  Error       {}: {}", error.code, error.message));
        }
        lines.extend(self.next().into_iter().map(|next| format!("  Next        {next}")));
        lines.iter().map(|line| words::one_line(line, width) + "\n").collect()
    }

    fn headline(&self) -> String {
        let run = if self.run > 0 { format!("Run {}", self.run) } else { "The run".to_owned() };
        let items = words::counted(self.counts.read, "item");
        let failed = words::count(self.counts.failed());
        match self.status {
            RunStatus::Succeeded if self.dry_run => format!("Dry run: all {items} would have their place."),
            RunStatus::Partial if self.dry_run => format!("Dry run: {failed} of {items} could not be stored."),
            RunStatus::Succeeded if self.counts.read == 0 => format!("{run} succeeded: there was no item to read."),
            RunStatus::Succeeded => format!("{run} succeeded: all {items} have their place."),
            RunStatus::Partial => format!("{run} came to its end, but {failed} of {items} could not be stored."),
            RunStatus::Failed => format!("{run} failed after {items}; what was committed stays."),
            RunStatus::RolledBack => format!("{run} was rolled back after {items}; nothing of it is kept."),
            RunStatus::Interrupted => format!("{run} was interrupted after {items}; what was committed stays."),
            RunStatus::Running => format!("{run} has not ended; {items} so far."),
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let (c, p) = (&self.counts, &self.performance);
        let undone = self.status == RunStatus::RolledBack;
        let mut items = joined(
            "stored",
            &[
                (c.stored, "stored"),
                (c.rejected, "rejected"),
                (c.dead_lettered, "dead-lettered"),
                (c.dropped, "dropped"),
            ],
        );
        if undone {
            items.push_str("; all of it undone");
        }
        let mut facts = vec![("Items", items)];
        if !self.store.is_empty() && !undone {
            let rows = joined(
                "inserted",
                &[
                    (c.inserted, "inserted"),
                    (c.replaced, "replaced"),
                    (c.unchanged, "unchanged"),
                    (c.ignored, "ignored"),
                    (c.deleted, "deleted"),
                ],
            );
            let place = format!("{} of {}", self.collection, self.store);
            facts.push(match self.dry_run {
                true => ("Forecast", format!("{rows}, in {place}; nothing was written")),
                false => ("Rows", format!("{rows}, into {place}")),
            });
        }
        if self.resumed_at > 0 {
            // Rates, times and problems are known of this execution alone.
            let (before, since) = (words::counted(self.resumed_at, "item"), words::counted(p.items, "item"));
            facts.push(("Continued", format!("after {before}; what follows is about the {since} read since")));
        }
        let duration = words::duration(Duration::from_millis(self.duration_ms));
        facts.push(("Time", format!("{duration}, {} items/s", words::rate(p.items_per_s))));
        if p.item_p50_ns > 0 {
            let of = |ns| words::duration(Duration::from_nanos(ns));
            let (half, most) = (of(p.item_p50_ns), of(p.item_p95_ns));
            facts.push(("Per item", format!("{half} in plugins for half of them, {most} for 95 of 100")));
        }
        if p.batches > 0 {
            let size = p.batch_size_mean.round() as u64;
            let batches = words::counted(p.batches, "batch").replace("batchs", "batches");
            let mut batches = format!("{batches} of {} items on average", words::count(size));
            if p.lanes_peak > 0 {
                batches += &format!(", up to {} at work", words::counted(p.lanes_peak, "lane"));
            }
            facts.push(("Batches", batches));
        }
        if p.retries > 0 {
            let rate = words::percent(p.retry_rate);
            facts.push(("Retries", format!("{}, {rate} of the items read", words::count(p.retries))));
        }
        if self.alerts_raised > 0 {
            let lasting = match self.alerts_lasting.is_empty() {
                true => "all cleared".to_owned(),
                false => format!("lasting: {}", self.alerts_lasting.join(", ")),
            };
            facts.push(("Alerts", format!("{} raised, {lasting}", words::count(self.alerts_raised))));
        }
        facts
    }

    fn problem_lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .problems
            .iter()
            .take(PROBLEMS_SHOWN)
            .map(|p| {
                let item = if p.id.is_empty() { String::new() } else { format!(" ({})", p.id) };
                let place = format!("{} line {}{item}", p.input, p.line);
                format!("    {} × {}: {}, first at {place}", words::count(p.items), p.code, p.message)
            })
            .collect();
        let rest: u64 = self.problems.iter().skip(PROBLEMS_SHOWN).map(|p| p.items).sum::<u64>() + self.other_problems;
        if rest > 0 {
            lines.push(format!("    and {} with other problems", words::counted(rest, "item")));
        }
        lines
    }

    /// What to do next; none where nothing is to be done.
    fn next(&self) -> Vec<String> {
        let letters = self.letters();
        let mut next = Vec::new();
        if let Some(error) = &self.error {
            if error.code == Code::BatchPartial.as_str() {
                // The hint sends to the dead letters too, without knowing the store and the number of the run.
                let again = self.after_too_many_rejects().unwrap_or(&error.hint).to_owned();
                return vec![letters.into_iter().chain([again]).collect::<Vec<_>>().join("; ")];
            }
            next.push(error.hint.clone());
        } else if self.status == RunStatus::Interrupted {
            next.push(match self.resumable {
                true => "run the same command again: it continues".to_owned(),
                false => format!("what is stored stays; {NOT_AGAIN}"),
            });
        }
        next.extend(letters);
        next
    }

    /// Where the run has left dead letters: the command that lists them.
    fn letters(&self) -> Option<String> {
        let kept = self.run > 0 && self.status != RunStatus::RolledBack && !self.dry_run;
        (kept && self.counts.failed() > 0).then(|| {
            let store = words::store_flag(&self.store);
            format!("see `atlas-host dead-letters list --run {}{store}`", self.run)
        })
    }

    /// What a run that `--max-rejects` stopped can do; none where nothing of it is kept, which the error's hint is about.
    fn after_too_many_rejects(&self) -> Option<&'static str> {
        match (self.status, self.dry_run, self.resumable) {
            (RunStatus::RolledBack, ..) => None,
            (_, true, _) => Some("the same command with a higher --max-rejects begins anew"),
            (_, _, true) => Some("the same command with a higher --max-rejects continues"),
            (_, _, false) => Some(NOT_AGAIN),
        }
    }
}

/// The parts that are not 0, with their words; the first word with 0 if all are.
fn joined(first: &str, parts: &[(u64, &str)]) -> String {
    let some: Vec<_> =
        parts.iter().filter(|p| p.0 > 0).map(|(n, word)| format!("{} {word}", words::count(*n))).collect();
    if some.is_empty() { format!("0 {first}") } else { some.join(", ") }
}
