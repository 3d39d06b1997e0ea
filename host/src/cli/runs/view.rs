//! Runs, batches and plugins as the commands that read a store show them, to programs and in words.

use std::fs::{File, TryLockError};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::model::{BatchMetrics, BatchNumber, Counts, PluginMetrics, RunStatus, now_ms};
use crate::store::{BatchRow, InputLine, RunPlugin, RunRow};

/// Version of the JSON that the commands which read a store print.
pub const SCHEMA: u32 = 1;

/// A run, for programs.
#[derive(Debug, Serialize)]
pub struct RunView<'a> {
    schema: u32,
    run: u64,
    uuid: &'a str,
    job: &'a str,
    status: RunStatus,
    collection: &'a str,
    started_ms: i64,
    ended_ms: Option<i64>,
    duration_ms: Option<u64>,
    items_per_s: Option<f64>,
    #[serde(flatten)]
    counts: Counts,
    blank_lines: u64,
    batches_committed: u64,
    next_ordinal: u64,
    executions: u64,
    atomic: &'a str,
    seed: u64,
    clock_ms: i64,
    error: Value,
}

impl<'a> RunView<'a> {
    /// `held` is true while a process holds the store.
    pub fn of(run: &'a RunRow, held: bool) -> Self {
        Self {
            schema: SCHEMA,
            run: run.run.0,
            uuid: &run.uuid,
            job: &run.job,
            status: status_of(run, held),
            collection: run.collection.as_str(),
            started_ms: run.started_ms,
            ended_ms: run.ended_ms,
            duration_ms: lasted_ms(run, held),
            items_per_s: items_per_s(run, held),
            counts: run.counts,
            blank_lines: run.blank_lines,
            batches_committed: run.batches,
            next_ordinal: run.next,
            executions: run.epoch,
            atomic: &run.atomic,
            seed: run.seed,
            clock_ms: run.clock_ms,
            error: run.error_json.as_deref().map_or(Value::Null, json),
        }
    }
}

/// A batch, for programs.
#[derive(Debug, Serialize)]
pub struct BatchView {
    id: i64,
    batch: u64,
    first_ordinal: u64,
    /// Where its first and its last record stood.
    first: InputLine,
    last: InputLine,
    #[serde(flatten)]
    counts: Counts,
    blank_lines: u64,
    execution: u64,
    input_digest: String,
    written_ms: i64,
    metrics: Option<BatchMetrics>,
    /// What each plugin did, in the order of the slots.
    plugins: Vec<PluginMetrics>,
}

impl BatchView {
    /// The same, in plain types.
    pub fn of(batch: &BatchRow) -> Self {
        Self {
            id: batch.id,
            batch: batch.number.0,
            first_ordinal: batch.first_ordinal,
            first: batch.first,
            last: batch.last,
            counts: batch.counts,
            blank_lines: batch.blank_lines,
            execution: batch.epoch,
            input_digest: batch.input_digest.to_string(),
            written_ms: batch.written_ms,
            metrics: batch.metrics,
            plugins: batch.plugins.clone(),
        }
    }
}

/// A plugin of a run, for programs.
#[derive(Debug, Serialize)]
pub struct PluginView<'a> {
    slot: &'a str,
    role: &'a str,
    name: &'a str,
    digest: Option<String>,
    from_batch: u64,
}

impl<'a> PluginView<'a> {
    /// The same, in plain types.
    pub fn of(plugin: &'a RunPlugin) -> Self {
        Self {
            slot: &plugin.slot,
            role: &plugin.role,
            name: &plugin.name,
            digest: plugin.digest.map(|digest| digest.to_string()),
            from_batch: plugin.from_batch.0,
        }
    }
}

/// True while a process holds the right to write to this store.
///
/// Asked of the lock itself, shared and for an instant; nothing is created.
pub fn held(store: &Path) -> bool {
    let mut lock = store.as_os_str().to_owned();
    lock.push(".lock");
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// A run's status in words.
pub fn status(run: &RunRow, held: bool) -> &'static str {
    status_of(run, held).as_str()
}

/// Paths of a run's inputs.
pub fn inputs(run: &RunRow) -> Vec<String> {
    let paths = |inputs: Vec<Value>| inputs.iter().filter_map(|i| i["path"].as_str().map(str::to_owned)).collect();
    serde_json::from_str(&run.inputs_json).map_or_else(|_| vec![run.inputs_json.clone()], paths)
}

/// A plugin on one line.
pub fn plugin_line(plugin: &RunPlugin) -> String {
    let digest = plugin.digest.map_or("no digest".to_owned(), |digest| digest.to_string());
    let from = match plugin.from_batch {
        BatchNumber(0) => String::new(),
        batch => format!(", from batch {batch} on"),
    };
    format!("{}: {} {} ({digest}){from}", plugin.slot, plugin.role, plugin.name)
}

/// What the store keeps as JSON; as a text where it is none.
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// A run that nobody works on any more was interrupted, whatever its row says.
pub fn status_of(run: &RunRow, held: bool) -> RunStatus {
    if run.status == RunStatus::Running && !held { RunStatus::Interrupted } else { run.status }
}

/// Time of its last execution; up to now for one at work.
pub fn lasted_ms(run: &RunRow, held: bool) -> Option<u64> {
    match status_of(run, held) {
        // Its own measure comes at the end. One that was continued does not say when.
        RunStatus::Running if run.epoch == 1 => u64::try_from(now_ms() - run.started_ms).ok(),
        _ => run.duration_ms,
    }
}

/// Items read per second. None where it is not known: too short, or counts and duration are of different executions.
pub fn items_per_s(run: &RunRow, held: bool) -> Option<f64> {
    let ms = lasted_ms(run, held).filter(|ms| *ms > 0 && run.epoch == 1)?;
    Some((run.counts.read as f64 * 10_000.0 / ms as f64).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, RunNumber};

    fn row(status: RunStatus, epoch: u64) -> RunRow {
        RunRow {
            run: RunNumber(1),
            uuid: String::new(),
            job: String::new(),
            status,
            collection: Name::parse("items").unwrap(),
            started_ms: 0,
            ended_ms: Some(2000),
            duration_ms: Some(2000),
            seed: 0,
            clock_ms: 0,
            settings_json: "{}".to_owned(),
            identity: Vec::new(),
            inputs_json: r#"[{"path":"/a"},{"path":"-"}]"#.to_owned(),
            input_digest: None,
            atomic: "batch".to_owned(),
            counts: Counts { read: 1000, stored: 1000, ..Counts::default() },
            blank_lines: 0,
            batches: 1,
            error_json: None,
            performance_json: None,
            alerts_json: None,
            next: 1000,
            epoch,
        }
    }

    #[test]
    fn a_run_that_nobody_holds_is_not_running() {
        let running = row(RunStatus::Running, 1);
        assert_eq!([status(&running, true), status(&running, false)], ["running", "interrupted"]);
        let partial = row(RunStatus::Partial, 1);
        assert_eq!([status(&partial, true), status(&partial, false)], ["partial", "partial"]);
    }

    #[test]
    fn the_rate_is_left_out_where_the_duration_is_of_a_part_only() {
        assert_eq!(items_per_s(&row(RunStatus::Succeeded, 1), false), Some(500.0));
        assert_eq!(items_per_s(&row(RunStatus::Succeeded, 2), false), None);
    }

    #[test]
    fn inputs_are_told_by_their_paths() {
        assert_eq!(inputs(&row(RunStatus::Succeeded, 1)), ["/a", "-"]);
    }

    #[test]
    fn a_store_is_held_while_its_lock_is_and_asking_creates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("atlas.db");
        assert!(!held(&store));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let lock = File::create(folder.path().join("atlas.db.lock")).unwrap();
        assert!(!held(&store));
        lock.lock().unwrap();
        assert!(held(&store));
        lock.unlock().unwrap();
        assert!(!held(&store));
    }
}
