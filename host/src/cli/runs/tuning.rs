//! `runs show --tuning`: every decision of a run about batch size and lanes, and what led to it.

use std::time::Duration;

use serde::Serialize;

use crate::cli::print::Printer;
use crate::cli::spec::print_table;
use crate::error::Result;
use crate::monitor::words;
use crate::store::PlanRow;
use crate::strategy::Signals;

/// Columns that are left out where no decision has anything in them.
const ON_DEMAND: [&str; 3] = ["p95", "errors", "wal"];

/// A decision, for programs. Shares are 0..1.
#[derive(Debug, Serialize)]
pub struct Decision<'a> {
    batch: u64,
    old_batch_size: Option<u64>,
    batch_size: u64,
    old_lanes: Option<u64>,
    lanes: u64,
    old_batches_in_flight: Option<u64>,
    batches_in_flight: u64,
    reason: &'a str,
    items_per_s: Option<f64>,
    cpu_share: Option<f64>,
    memory_share: Option<f64>,
    lanes_busy: Option<f64>,
    writer_busy: Option<f64>,
    wal_bytes: Option<u64>,
    error_share: Option<f64>,
    batch_p95_us: Option<u64>,
    batch_time_max_us: Option<u64>,
    process_bytes: Option<u64>,
    unhealthy: Option<bool>,
}

impl<'a> Decision<'a> {
    /// Of a plan as the store keeps it. Inputs that a later version has written may be missing.
    pub fn of(plan: &'a PlanRow) -> Self {
        let signals: Option<Signals> = serde_json::from_str(&plan.signals_json).ok();
        let signals = signals.as_ref();
        let share = |of: fn(&Signals) -> Option<f64>| signals.and_then(of).filter(|share| share.is_finite());
        Self {
            batch: plan.batch.0,
            old_batch_size: plan.old_batch_size,
            batch_size: plan.batch_size,
            old_lanes: plan.old_lanes,
            lanes: plan.lanes,
            old_batches_in_flight: plan.old_batches_in_flight,
            batches_in_flight: plan.batches_in_flight,
            reason: &plan.reason,
            items_per_s: share(Signals::items_per_s),
            cpu_share: share(|s| s.cpu_share),
            memory_share: share(|s| s.memory_share),
            lanes_busy: share(|s| s.lanes_busy),
            writer_busy: share(|s| s.writer_busy),
            wal_bytes: signals.and_then(|s| s.wal_bytes),
            error_share: share(Signals::error_share),
            batch_p95_us: signals.and_then(Signals::batch_p95_us),
            batch_time_max_us: signals.and_then(Signals::batch_time_us).map(|us| us as u64),
            process_bytes: signals.and_then(|s| s.process_bytes),
            unhealthy: signals.map(|s| s.unhealthy),
        }
    }

    fn row(&self) -> Vec<String> {
        let percent = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.0}%", share * 100.0));
        let step = |old: Option<u64>, new: u64| match old {
            None => new.to_string(),
            Some(old) if old == new => new.to_string(),
            Some(old) => format!("{old} -> {new}"),
        };
        vec![
            self.batch.to_string(),
            step(self.old_batch_size, self.batch_size),
            step(self.old_lanes, self.lanes),
            step(self.old_batches_in_flight, self.batches_in_flight),
            self.items_per_s.map_or("-".to_owned(), |per_s| format!("{per_s:.0}")),
            percent(self.cpu_share),
            percent(self.memory_share),
            percent(self.lanes_busy),
            percent(self.writer_busy),
            self.batch_p95_us.map_or("-".to_owned(), |us| words::duration(Duration::from_micros(us))),
            percent(self.error_share),
            self.wal_bytes.map_or("-".to_owned(), words::bytes),
            self.told(),
        ]
    }
}

impl Decision<'_> {
    /// The reason, and what else bears on every plan while it lasts.
    fn told(&self) -> String {
        match self.unhealthy {
            Some(true) if !self.reason.contains("unhealthy") => format!("{} (the host is unhealthy)", self.reason),
            _ => self.reason.to_owned(),
        }
    }
}

/// One line per decision; `-` where a sensor gave nothing, or nothing was known yet.
pub fn print(plans: &[PlanRow], printer: &mut Printer) -> Result<()> {
    if plans.is_empty() {
        return printer.line("no decision yet: one is kept with the first batch that it cut");
    }
    let headers = [
        "from batch",
        "batch size",
        "lanes",
        "under way",
        "items/s",
        "cpu",
        "memory",
        "lanes busy",
        "writer busy",
        "p95",
        "errors",
        "wal",
        "reason",
    ];
    let rows: Vec<Vec<String>> = plans.iter().map(|plan| Decision::of(plan).row()).collect();
    // What is nothing in every row takes no room, and what says least goes first where the terminal is narrow.
    let nothing = |column: usize| rows.iter().all(|row| matches!(row[column].as_str(), "-" | "0%" | "0 bytes"));
    let kept: Vec<usize> =
        (0..headers.len()).filter(|at| !(ON_DEMAND.contains(&headers[*at]) && nothing(*at))).collect();
    let headers: Vec<&str> = kept.iter().map(|at| headers[*at]).collect();
    let rows = rows.iter().map(|row| kept.iter().map(|at| row[*at].clone()).collect()).collect();
    let give_way = ["items/s", "memory", "writer busy", "cpu", "wal", "errors", "lanes busy", "p95"];
    print_table(printer, &headers, rows, &give_way)
}
