//! Monitors: consumers of the event stream.
//!
//! The coordinator emits events into an `EventHub`; each monitor sees all of them, in order, on the hub's own thread.
//! Most monitors are folds over events ([`Fold`]), so a recorded stream gives what the live one gave: times come from
//! the envelopes, never from a clock. To add one: a file with a type, and a row in [`MONITORS`].
//!
//! Invariant: a monitor changes no result. One that panics is let go, one that is slow makes the run wait.

mod alert;
mod alert_command;
mod events_file;
mod health;
mod hub;
mod item_times;
mod log;
mod performance;
mod progress;
mod progress_view;
mod recent;
mod recommend;
mod prometheus;
mod summary;
mod usual;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod words;

pub use alert::{
    AlertRecord, Alerts, HIGH_ERROR_RATE, HIGH_MEMORY, LARGE_WAL, LOW_DISK_SPACE, SLOW_BATCH_PROCESSING, SLOW_RESPONSE,
    TRANSACTION_ROLLED_BACK,
};
pub use alert_command::{AlertCommand, AlertState};
pub use events_file::EventsFile;
pub(crate) use health::memory_bytes;
pub use health::{Condition, Health, Reason, Sample, Sensor, SystemSensor, Thresholds, judge, reasons, worst};
pub(crate) use hub::{EventHub, SystemClock};
pub use hub::{Fold, Recording, Subscription, Watched, subscription};
pub use item_times::ItemTimes;
pub use log::Log;
pub use performance::{IdleTimes, Performance, PerformanceReport, PhaseTimes};
pub use progress::{Progress, ProgressState};
pub use progress_view::{ProgressBarView, ProgressLines};
pub use prometheus::{Metrics, MetricsFile, MetricsServer, loopback};
pub(crate) use recommend::attempts_of;
pub use recommend::{Evidence, PastRun, Recommendation, Recommendations, recommend};
pub use summary::{ProblemCount, RunSummary, Summary};
pub(crate) use usual::{Ended, unusual};
pub use usual::{UNUSUAL_AGE, UNUSUAL_ERROR_RATE, UNUSUAL_VOLUME};

use std::io::Write;

use crate::event::Envelope;

/// A consumer of the event stream of one run.
pub trait Monitor: Send {
    /// Its name in [`MONITORS`], or another for a monitor of an embedding program.
    fn name(&self) -> &'static str;

    /// Takes one event. Events come in the order of their `seq`, without gaps.
    fn observe(&mut self, event: &Envelope);

    /// No event follows: writes what it still holds.
    fn finish(&mut self) {}
}

/// How progress is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressMode {
    /// Not at all.
    #[default]
    Quiet,
    /// A line every few seconds.
    Lines,
    /// A bar that redraws itself; for a terminal only.
    Bar,
}

/// What the monitors of a run are made from. The folds are kept by the caller, who reads them during and after the run.
#[derive(Default)]
pub struct MonitorSetup {
    /// See [`ProgressMode`].
    pub progress: ProgressMode,
    /// Where progress lines go (stderr of the process); none shows none.
    pub talk: Option<Box<dyn Write + Send>>,
    /// Where events go as JSON lines, if anywhere.
    pub events: Option<EventsFile>,
    /// Where metrics go as text for Prometheus, if anywhere.
    pub metrics_file: Option<MetricsFile>,
    /// Who serves them, if anybody.
    pub metrics_server: Option<MetricsServer>,
    /// Program that is given each alert, if any.
    pub on_alert: Option<std::path::PathBuf>,
    /// Metrics, kept up to date.
    pub performance: Watched<Performance>,
    /// Summary, kept up to date.
    pub summary: Watched<Summary>,
}

/// A monitor of the host.
pub struct MonitorRow {
    /// Its name.
    pub name: &'static str,
    /// One line for help texts.
    pub description: &'static str,
    /// Makes it for one run; none if the setup does not ask for it.
    pub make: fn(&mut MonitorSetup) -> Option<Box<dyn Monitor>>,
}

/// Every monitor of the host, in the order in which they see an event.
pub const MONITORS: &[MonitorRow] = &[
    MonitorRow {
        name: "events",
        description: "writes each event as a line of JSON",
        make: |setup| Some(Box::new(setup.events.take()?)),
    },
    MonitorRow {
        name: "log",
        description: "tells the program's log about plans, failures and alerts",
        make: |_| Some(Box::new(Log::default())),
    },
    MonitorRow {
        name: "alert-command",
        description: "hands alerts to the program of --on-alert",
        make: |setup| Some(Box::new(AlertCommand::new(setup.on_alert.take()?))),
    },
    MonitorRow {
        name: "performance",
        description: "keeps throughput, percentiles and time per phase",
        make: |setup| Some(Box::new(setup.performance.clone())),
    },
    MonitorRow {
        name: "summary",
        description: "keeps what is told at the end of a run",
        make: |setup| Some(Box::new(setup.summary.clone())),
    },
    MonitorRow {
        name: "progress",
        description: "shows how far the run is",
        make: |setup| match setup.progress {
            ProgressMode::Quiet => None,
            ProgressMode::Lines => Some(Box::new(ProgressLines::new(setup.talk.take()?))),
            ProgressMode::Bar => Some(Box::new(ProgressBarView::on_stderr())),
        },
    },
    MonitorRow {
        name: "metrics-file",
        description: "writes metrics for Prometheus into a file",
        make: |setup| Some(Box::new(setup.metrics_file.take()?)),
    },
    MonitorRow {
        name: "metrics-server",
        description: "serves metrics for Prometheus to this machine",
        make: |setup| Some(Box::new(setup.metrics_server.take()?)),
    },
];

/// The monitors that the setup asks for.
pub fn monitors(mut setup: MonitorSetup) -> Vec<Box<dyn Monitor>> {
    MONITORS.iter().filter_map(|row| (row.make)(&mut setup)).collect()
}

#[cfg(test)]
mod tests;
