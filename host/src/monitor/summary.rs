//! What is told at the end of a run; `text` puts it into words.

mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fold;
use super::performance::{Performance, PerformanceReport};
use crate::event::{Envelope, ErrorReport, Event};
use crate::limits::SUMMARY_PROBLEMS_MAX;
use crate::model::{Counts, RunStatus};

/// Codes told apart while the run goes on. Plugins may invent codes without end.
const CODES_MAX: usize = 1000;

/// The summary as a fold, in memory that does not grow with the run.
#[derive(Debug, Default)]
pub struct Summary {
    performance: Performance,
    summary: RunSummary,
    problems: BTreeMap<String, ProblemCount>,
    /// Failed items whose code found no more room.
    other_problems: u64,
    ended: bool,
}

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// Number of the run within its store; 0 where nothing is stored.
    pub run: u64,
    pub status: RunStatus,
    /// Nothing failed and nothing was rejected.
    pub success: bool,
    pub store: String,
    pub collection: String,
    pub strategy: String,
    pub dry_run: bool,
    pub resumed_at: u64,
    /// The same command continues it.
    pub resumable: bool,
    /// Of the whole run, earlier executions included.
    pub counts: Counts,
    pub blank_lines: u64,
    /// Of this execution, as everything that follows.
    pub duration_ms: u64,
    /// Different plans, the first included.
    pub plans: u64,
    /// Of the last plan.
    pub batch_size: u64,
    /// Of the last plan.
    pub lanes: u64,
    pub alerts_raised: u64,
    /// Alerts that were raised and not cleared.
    pub alerts_lasting: Vec<String>,
    /// Most frequent first, at most 10.
    pub problems: Vec<ProblemCount>,
    /// Failed items whose problem is not among `problems`.
    pub other_problems: u64,
    pub performance: PerformanceReport,
    pub error: Option<ErrorReport>,
}

impl Default for RunSummary {
    fn default() -> Self {
        Self {
            run: 0,
            status: RunStatus::Running,
            success: false,
            store: String::new(),
            collection: String::new(),
            strategy: String::new(),
            dry_run: false,
            resumed_at: 0,
            resumable: false,
            counts: Counts::default(),
            blank_lines: 0,
            duration_ms: 0,
            plans: 0,
            batch_size: 0,
            lanes: 0,
            alerts_raised: 0,
            alerts_lasting: Vec::new(),
            problems: Vec::new(),
            other_problems: 0,
            performance: PerformanceReport::default(),
            error: None,
        }
    }
}

/// A problem that items had, and the first item that had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemCount {
    pub code: String,
    pub items: u64,
    pub message: String,
    /// Where the first of them came from.
    pub input: String,
    pub line: u64,
    pub ordinal: u64,
    /// Empty where the bytes are no item.
    pub id: String,
}

impl Fold for Summary {
    const NAME: &'static str = "summary";

    fn observe(&mut self, envelope: &Envelope) {
        self.performance.observe(envelope);
        let s = &mut self.summary;
        s.run = envelope.run;
        if !self.ended {
            s.duration_ms = s.duration_ms.max(envelope.elapsed_us / 1000);
        }
        match &envelope.event {
            Event::RunStarted(started) => {
                s.store.clone_from(&started.store);
                s.collection.clone_from(&started.collection);
                s.strategy.clone_from(&started.strategy);
                s.dry_run = started.dry_run;
                s.resumed_at = started.resumed_at;
                s.resumable = started.resumable;
            }
            Event::PlanChosen { batch_size, lanes, .. } => {
                s.plans += 1;
                (s.batch_size, s.lanes) = (*batch_size, *lanes);
            }
            Event::ItemFailed { .. } => self.problem(&envelope.event),
            Event::AlertRaised { alert, .. } => {
                s.alerts_raised += 1;
                if !s.alerts_lasting.contains(alert) && s.alerts_lasting.len() < SUMMARY_PROBLEMS_MAX {
                    s.alerts_lasting.push(alert.clone());
                }
            }
            Event::AlertCleared { alert, .. } => s.alerts_lasting.retain(|lasting| lasting != alert),
            Event::RunEnded(end) => {
                self.ended = true;
                s.status = end.status;
                s.success = end.success;
                s.counts = end.counts;
                s.blank_lines = end.blank_lines;
                s.duration_ms = end.duration_ms;
                s.error.clone_from(&end.error);
            }
            _ => {}
        }
    }
}

impl Summary {
    fn problem(&mut self, event: &Event) {
        let Event::ItemFailed { ordinal, id, code, message, input, line, .. } = event else { return };
        if let Some(known) = self.problems.get_mut(code) {
            known.items += 1;
        } else if self.problems.len() < CODES_MAX {
            let problem = ProblemCount {
                code: code.clone(),
                items: 1,
                message: message.clone(),
                input: input.clone(),
                line: *line,
                ordinal: *ordinal,
                id: id.clone(),
            };
            self.problems.insert(code.clone(), problem);
        } else {
            self.other_problems += 1;
        }
    }

    /// The summary of now.
    pub fn summary(&self) -> RunSummary {
        let mut problems: Vec<_> = self.problems.values().cloned().collect();
        // The map gives them in the order of codes, and the sort keeps that order among equals.
        problems.sort_by_key(|p| std::cmp::Reverse(p.items));
        let rest: u64 = problems.iter().skip(SUMMARY_PROBLEMS_MAX).map(|p| p.items).sum();
        problems.truncate(SUMMARY_PROBLEMS_MAX);
        // The end tells the counts of the whole; until then they are those of the committed batches.
        let counts = if self.ended { self.summary.counts } else { self.performance.counts() };
        RunSummary {
            counts,
            problems,
            other_problems: self.other_problems + rest,
            performance: self.performance.report(),
            ..self.summary.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::text::WIDTH_MIN;
    use super::*;
    use crate::event::{RunEnded, RunStarted};
    use crate::monitor::testing;

    fn summary_of(events: &[Envelope]) -> RunSummary {
        let mut summary = Summary::default();
        events.iter().for_each(|e| summary.observe(e));
        summary.summary()
    }

    #[test]
    fn a_partial_run_in_words() {
        let summary = summary_of(&testing::run(50, 100));
        assert_eq!(
            summary.text(100),
            "\
Run 3 came to its end, but 50 of 5,000 items could not be stored.
  Items       4,950 stored, 50 dead-lettered
  Rows        4,950 inserted, into orders of atlas.db
  Time        2.0 s, 2,463 items/s
  Per item    80 µs in plugins for half of them, 120 µs for 95 of 100
  Batches     50 batches of 100 items on average, up to 2 lanes at work
  Retries     100, 2.0 % of the items read
  Problems:
    45 × PRICE_LOW: the price is negative, first at orders.ndjson line 101 (item-100)
    5 × PRICE_RARE: the price is negative, first at orders.ndjson line 1 (item-0)
  Next        see `atlas-host dead-letters list --run 3`
"
        );
    }

    #[test]
    fn numbers_equal_those_recomputed_from_the_events() {
        let events = testing::run(30, 70);
        let summary = summary_of(&events);
        let batches: Vec<_> = events
            .iter()
            .filter_map(|e| match &e.event {
                Event::BatchCommitted(b) => Some(b),
                _ => None,
            })
            .collect();
        let read: u64 = batches.iter().map(|b| b.counts.read).sum();
        let retries: u64 = batches.iter().map(|b| b.counts.retries).sum();
        assert_eq!((summary.counts.read, summary.counts.retries), (read, retries));
        assert_eq!(summary.performance.batch_size_mean, read as f64 / batches.len() as f64);
        assert!(summary.performance.retry_rate > 0.0);
        assert_eq!(summary.performance.retry_rate, retries as f64 / read as f64);
        assert_eq!(summary.performance.lanes_peak, 2);
    }

    #[test]
    fn no_line_is_wider_than_asked_and_foreign_text_cannot_steer_the_terminal() {
        let mut events: Vec<Event> = testing::run(5, 10).into_iter().map(|e| e.event).collect();
        let mut evil = testing::failure(0, 1, "\u{1b}[31mEVIL\n");
        if let Event::ItemFailed { message, .. } = &mut evil {
            *message = "x".repeat(5000);
        }
        events.insert(6, evil);
        let summary = summary_of(&testing::stream(events));
        for width in [0, 40, 60, 80, 200] {
            let text = summary.text(width);
            assert!(text.lines().all(|l| l.chars().count() <= width.max(WIDTH_MIN)), "{text}");
            assert!(!text.contains('\u{1b}'));
        }
    }

    #[test]
    fn problems_are_bounded_and_the_rest_is_counted() {
        let failures = (0..5000).map(|n| testing::failure(0, n, &format!("CODE_{n}")));
        let summary = summary_of(&testing::stream(failures));
        assert_eq!(summary.problems.len(), SUMMARY_PROBLEMS_MAX);
        let listed: u64 = summary.problems.iter().map(|p| p.items).sum();
        assert_eq!(listed + summary.other_problems, 5000);
        assert!(summary.text(80).contains("and 4,997 items with other problems"));
    }

    #[test]
    fn alerts_and_the_error_that_stopped_it_are_told() {
        let alert = |name: &str| Event::AlertRaised {
            alert: name.to_owned(),
            batch: 0,
            value: 1.0,
            threshold: 0.5,
            message: String::new(),
        };
        let error = ErrorReport {
            code: "STORAGE_2009".to_owned(),
            message: "no space left on /data".to_owned(),
            causes: Vec::new(),
            hint: "make space, then run the same command again: it continues".to_owned(),
        };
        let mut events: Vec<Event> = vec![alert("A"), alert("B")];
        events.push(Event::AlertCleared { alert: "A".to_owned(), batch: 1, value: 0.0, threshold: 0.5 });
        events.push(Event::RunEnded(Box::new(crate::event::RunEnded {
            status: RunStatus::Failed,
            success: false,
            counts: Counts::default(),
            blank_lines: 0,
            batches: 0,
            duration_ms: 12,
            error: Some(error),
        })));
        let text = summary_of(&testing::stream(events)).text(100);
        assert!(text.starts_with("Run 3 failed after 0 items; what was committed stays.\n"), "{text}");
        assert!(text.contains("2 raised, lasting: B"), "{text}");
        assert!(text.contains("STORAGE_2009: no space left on /data"), "{text}");
        assert!(text.ends_with("  Next        make space, then run the same command again: it continues\n"), "{text}");
    }

    /// The stream of a run of 50 batches of 100 items, changed in its first and its last event.
    fn changed(started: impl Fn(&mut RunStarted), ended: impl Fn(&mut RunEnded)) -> String {
        let mut events = testing::run(50, 100);
        for envelope in &mut events {
            match &mut envelope.event {
                Event::RunStarted(event) => started(event),
                Event::RunEnded(event) => ended(event),
                _ => {}
            }
        }
        summary_of(&events).text(200)
    }

    #[test]
    fn a_continued_run_counts_the_whole_and_says_that_rates_are_of_this_execution() {
        let text = changed(
            |started| started.resumed_at = 1000,
            |ended| {
                ended.counts.read += 1000;
                ended.counts.stored += 1000;
                ended.counts.retries += 900;
            },
        );
        assert!(text.contains("  Items       5,950 stored, 50 dead-lettered\n"), "{text}");
        let continued = "  Continued   after 1,000 items; what follows is about the 5,000 items read since\n";
        assert!(text.contains(&format!("{continued}  Time        2.0 s, 2,463 items/s\n")), "{text}");
        assert!(text.contains("  Retries     100, 2.0 % of the items read\n"), "{text}");
        assert!(!changed(|_| {}, |_| {}).contains("Continued"));
    }

    #[test]
    fn too_many_rejects_leave_one_line_of_what_is_next() {
        let crossed = |started: fn(&mut RunStarted), status: RunStatus| {
            let text = changed(started, |ended| {
                ended.status = status;
                ended.error = Some(ErrorReport {
                    code: "BATCH_8003".to_owned(),
                    message: "stopped by --max-rejects".to_owned(),
                    causes: Vec::new(),
                    hint: "nothing is kept".to_owned(),
                });
            });
            let next: Vec<String> =
                text.lines().filter_map(|line| line.strip_prefix("  Next        ")).map(str::to_owned).collect();
            assert_eq!(next.len(), 1, "{text}");
            next[0].clone()
        };
        let resumable = |started: &mut RunStarted| {
            started.store = "a.db".to_owned();
            started.resumable = true;
        };
        assert_eq!(
            crossed(resumable, RunStatus::Interrupted),
            "see `atlas-host dead-letters list --run 3 --store a.db`; the same command with a higher --max-rejects continues"
        );
        assert_eq!(
            crossed(|_| {}, RunStatus::Interrupted),
            "see `atlas-host dead-letters list --run 3`; the input cannot be read again; if it was a pipe, `atlas-host runs resume` goes on with its items in a file"
        );
        assert_eq!(crossed(resumable, RunStatus::RolledBack), "nothing is kept");
        assert_eq!(
            crossed(|started| started.dry_run = true, RunStatus::Interrupted),
            "the same command with a higher --max-rejects begins anew"
        );
    }

    #[test]
    fn a_summary_serialises_and_reads_back() {
        let summary = summary_of(&testing::run(3, 10));
        let json = serde_json::to_string(&summary).unwrap();
        assert_eq!(serde_json::from_str::<RunSummary>(&json).unwrap(), summary);
    }
}
