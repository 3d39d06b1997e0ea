//! From the batches of a run to what its charts need, in memory that does not grow with the run.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::timeline::{Placed, Timeline};
use crate::limits::{REPORT_EXECUTIONS_MAX, REPORT_GROUP_BATCHES_MAX, REPORT_STEPS_MAX};
use crate::model::{BatchMetrics, BatchNumber, ChunkSpan, Counts, PluginMetrics};
use crate::store::{BatchRow, RunPlugin};

/// Names of the phases, in the order of their work.
pub const PHASES: [&str; 7] = ["read", "validate", "operate", "compute", "wait", "write", "commit"];

/// What happened in one step of time.
#[derive(Debug, Clone, Default)]
pub struct Bin {
    /// Items committed, those of a transaction spread evenly since the one before.
    pub items: f64,
    pub failed: f64,
    pub retries: u64,
    /// Of the batches committed in it, from cut to commit, in microseconds.
    pub batch_us: Histogram,
    /// Guest time per item, in nanoseconds.
    pub item_ns: Histogram,
}

impl Bin {
    fn merge(&mut self, other: &Bin) {
        self.items += other.items;
        self.failed += other.failed;
        self.retries += other.retries;
        self.batch_us.merge(&other.batch_us);
        self.item_ns.merge(&other.item_ns);
    }
}

/// Steps of time that all have the same width, which doubles when there are too many.
#[derive(Debug, Clone)]
pub struct Bins {
    pub width_us: u64,
    pub bins: Vec<Bin>,
}

impl Bins {
    fn at(&mut self, us: u64) -> &mut Bin {
        while us / self.width_us >= REPORT_STEPS_MAX as u64 {
            self.width_us *= 2;
            self.bins = self
                .bins
                .chunks(2)
                .map(|pair| {
                    let mut bin = pair[0].clone();
                    pair[1..].iter().for_each(|other| bin.merge(other));
                    bin
                })
                .collect();
        }
        let at = (us / self.width_us) as usize;
        if self.bins.len() <= at {
            self.bins.resize(at + 1, Bin::default());
        }
        &mut self.bins[at]
    }

    /// Spreads items evenly over a time.
    fn spread(&mut self, from_us: u64, to_us: u64, items: u64, failed: u64) {
        // The newest first, so that the width is settled.
        self.at(to_us);
        let span = to_us.saturating_sub(from_us);
        let width = self.width_us;
        for at in from_us / width..=to_us / width {
            let begin = from_us.max(at * width);
            let end = to_us.min((at + 1) * width);
            let share = if span == 0 { 1.0 } else { end.saturating_sub(begin) as f64 / span as f64 };
            let bin = &mut self.bins[at as usize];
            bin.items += items as f64 * share;
            bin.failed += failed as f64 * share;
        }
    }
}

/// An execution of a run: they stand one after the other on the time axis, without the pause between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Execution {
    pub number: u64,
    pub first_batch: u64,
    /// Where it begins on the axis.
    pub from_us: u64,
}

/// Folds the batches of a run, which come in the order of their numbers.
#[derive(Debug)]
pub struct BatchFold {
    pub(super) bins: Bins,
    pub(super) phases: [Histogram; PHASES.len()],
    pub(super) sums_us: [u64; PHASES.len()],
    pub(super) batch_us: Histogram,
    pub(super) item_ns: Histogram,
    pub(super) counts: Counts,
    pub(super) batches: u64,
    /// Batches of which the history keeps no times any more.
    pub(super) without_times: u64,
    pub(super) executions: Vec<Execution>,
    pub(super) timeline: Timeline,
    /// End of the newest commit on the axis.
    pub(super) end_us: u64,
    /// Where the batches begin at which plans changed.
    pub(super) cut_us: BTreeMap<u64, u64>,
    /// What filled a slot from which batch on, in that order, and what it did.
    pub(super) plugins: Vec<(RunPlugin, Option<PluginMetrics>)>,
    wanted: Vec<u64>,
    group: Vec<(u64, Counts, BatchMetrics, Vec<ChunkSpan>)>,
    /// True where all batches are in one transaction, so that each counts when it is written.
    one_transaction: bool,
    epoch: Option<u64>,
}

impl BatchFold {
    /// For a run in which something happened at these batches: a plan began, or a plugin was exchanged.
    pub fn new(wanted: impl IntoIterator<Item = u64>, one_transaction: bool) -> Self {
        let mut wanted: Vec<u64> = wanted.into_iter().collect();
        wanted.sort_unstable();
        Self {
            bins: Bins { width_us: 1000, bins: Vec::new() },
            phases: Default::default(),
            sums_us: [0; PHASES.len()],
            batch_us: Histogram::default(),
            item_ns: Histogram::default(),
            counts: Counts::default(),
            batches: 0,
            without_times: 0,
            executions: Vec::new(),
            timeline: Timeline::default(),
            end_us: 0,
            cut_us: BTreeMap::new(),
            plugins: Vec::new(),
            wanted,
            group: Vec::new(),
            one_transaction,
            epoch: None,
        }
    }

    /// With the plugins of the run. All slots are noted with each exchange: those that go on as they were are left out.
    pub fn of_plugins(mut self, noted: Vec<RunPlugin>) -> Self {
        for plugin in noted {
            let before = self.plugins.iter().rfind(|(known, _)| known.slot == plugin.slot);
            if before.is_none_or(|(known, _)| known.digest != plugin.digest) {
                self.plugins.push((plugin, None));
            }
        }
        self
    }

    /// Takes the next batch.
    pub fn push(&mut self, row: &BatchRow) {
        self.batches += 1;
        self.counts.add(&row.counts);
        row.plugins.iter().for_each(|did| self.add_plugin(row.number, did));
        let Some(m) = row.metrics else {
            self.without_times += 1;
            return;
        };
        if self.epoch != Some(row.epoch) {
            self.place_group();
            self.epoch = Some(row.epoch);
            if self.executions.len() < REPORT_EXECUTIONS_MAX {
                let from_us = self.end_us;
                self.executions.push(Execution { number: row.epoch, first_batch: row.number.0, from_us });
            }
        }
        let of_group =
            self.group.last().is_some_and(|(_, _, last, _)| last.commit_us == m.commit_us && m.commit_us > 0);
        if !of_group || self.one_transaction || self.group.len() == REPORT_GROUP_BATCHES_MAX {
            self.place_group();
        }
        self.count_times(&row.counts, &m, of_group);
        self.group.push((row.number.0, row.counts, m, row.chunks.clone()));
    }

    /// No batch follows.
    pub fn end(&mut self) {
        self.place_group();
    }

    /// Where the newest execution begins on the axis.
    pub(super) fn last_begin_us(&self) -> u64 {
        self.executions.last().map_or(0, |execution| execution.from_us)
    }

    /// Where the execution begins that cut this batch.
    pub(super) fn begin_us_of(&self, batch: Option<u64>) -> u64 {
        let Some(batch) = batch else { return self.last_begin_us() };
        self.executions.iter().rfind(|e| e.first_batch <= batch).map_or(0, |execution| execution.from_us)
    }

    /// Counts for what filled the slot at that batch.
    fn add_plugin(&mut self, batch: BatchNumber, did: &PluginMetrics) {
        let fits = |plugin: &RunPlugin| plugin.slot == did.slot && plugin.from_batch <= batch;
        match self.plugins.iter_mut().rfind(|(plugin, _)| fits(plugin)) {
            Some((_, Some(sum))) => sum.add(did),
            Some((_, sum)) => *sum = Some(did.clone()),
            None => {}
        }
    }

    fn count_times(&mut self, counts: &Counts, m: &BatchMetrics, of_group: bool) {
        let times = [m.read_us, m.validate_us, m.operate_us, m.compute_us, m.wait_us, m.write_us, m.commit_us];
        for (i, time) in times.into_iter().enumerate() {
            // The batches of a group share one COMMIT.
            let again = of_group && PHASES[i] == "commit" && !self.one_transaction;
            if !again {
                self.phases[i].add(time, 1);
                self.sums_us[i] = self.sums_us[i].saturating_add(time);
            }
        }
        spread_items(&mut self.item_ns, counts.read, m);
    }

    /// Works out when the batches of a transaction were written: one after the other, and then the COMMIT of all.
    fn place_group(&mut self) {
        let group = std::mem::take(&mut self.group);
        let Some((_, _, first, _)) = group.first().cloned() else { return };
        let origin = self.last_begin_us();
        let computed = |m: &BatchMetrics| origin + m.cut_us + m.compute_us;
        let written_us = group.iter().map(|(_, _, m, _)| m.write_us).sum::<u64>();
        // Waiting ends with the statements of the last one.
        let written = group.iter().map(|(_, _, m, _)| computed(m) + m.wait_us + m.write_us).max().unwrap_or(0);
        let ready = written.saturating_sub(written_us);
        // One writer: a transaction begins when the one before has ended.
        let before = self.end_us.max(origin);
        let mut at = if self.one_transaction { ready } else { ready.max(before) };
        let commit_us = if self.one_transaction { 0 } else { first.commit_us };
        let commit_from = at + written_us;
        let end = commit_from + commit_us;
        let (mut items, mut failed) = (0, 0);
        for (number, counts, m, chunks) in group {
            let cut_us = origin + m.cut_us;
            let placed = Placed {
                batch: number,
                items: counts.read,
                failed: counts.failed(),
                retries: counts.retries,
                from_us: cut_us.saturating_sub(m.read_us).max(origin),
                cut_us,
                computed_us: computed(&m),
                write_us: (at, at + m.write_us),
                commit_us: (commit_from, end),
                chunks: chunks.into_iter().map(|chunk| moved(chunk, origin)).collect(),
            };
            at += m.write_us;
            items += counts.read;
            failed += counts.failed();
            let bin = self.bins.at(end);
            bin.batch_us.add(placed.lasted_us(), 1);
            bin.retries += counts.retries;
            spread_items(&mut bin.item_ns, counts.read, &m);
            self.batch_us.add(placed.lasted_us(), 1);
            if self.wanted.binary_search(&number).is_ok() {
                self.cut_us.insert(number, cut_us);
            }
            self.timeline.push(placed);
        }
        let since = if before > origin { before } else { origin + first.cut_us };
        self.bins.spread(since.min(end), end, items, failed);
        self.end_us = self.end_us.max(end);
    }
}

/// A span of an execution on the axis of all of them.
fn moved(chunk: ChunkSpan, origin: u64) -> ChunkSpan {
    ChunkSpan { from_us: chunk.from_us + origin, to_us: chunk.to_us + origin, ..chunk }
}

/// A batch tells four points of its distribution: each item counts at the point next above it.
fn spread_items(histogram: &mut Histogram, items: u64, m: &BatchMetrics) {
    let up_to = |percent: u64| (items * percent).div_ceil(100);
    let points =
        [(m.item_p50_ns, up_to(50)), (m.item_p95_ns, up_to(95)), (m.item_p99_ns, up_to(99)), (m.item_max_ns, items)];
    let mut counted = 0;
    for (value, up_to) in points {
        // A batch whose items met no guest has no times.
        if value > 0 {
            histogram.add(value, up_to - counted);
        }
        counted = up_to;
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::{Digest, RunNumber};

    /// A batch of 100 items, 10 of them failed, cut every 10 ms.
    pub fn row(number: u64, epoch: u64, commit_us: u64) -> BatchRow {
        BatchRow {
            id: number as i64,
            run: RunNumber(1),
            number: BatchNumber(number),
            first_ordinal: number * 100,
            first: Default::default(),
            last: Default::default(),
            epoch,
            counts: Counts { read: 100, stored: 90, rejected: 10, retries: 1, ..Counts::default() },
            blank_lines: 0,
            input_digest: Digest::of(b""),
            written_ms: 0,
            dropped: Vec::new(),
            chunks: (0..2)
                .map(|lane| ChunkSpan {
                    lane,
                    attempt: 1 + u64::from(number % 4 == 3 && lane == 1),
                    items: 50,
                    from_us: number * 10_000 + lane * 20,
                    to_us: number * 10_000 + 900 + lane * 100,
                    validate_us: 150,
                    operate_us: 600 + lane * 100,
                })
                .collect(),
            metrics: Some(BatchMetrics {
                cut_us: number * 10_000,
                plan_size: 100,
                plan_lanes: 2,
                read_us: 100,
                validate_us: 300,
                operate_us: 700,
                compute_us: 1000,
                wait_us: 50,
                write_us: 200,
                commit_us,
                item_p50_ns: 1000,
                item_p95_ns: 2000,
                item_p99_ns: 4000,
                item_max_ns: 8000,
                ..BatchMetrics::default()
            }),
            plugins: Vec::new(),
        }
    }

    pub fn folded(rows: impl IntoIterator<Item = BatchRow>) -> BatchFold {
        let mut fold = BatchFold::new([0, 3], false);
        rows.into_iter().for_each(|row| fold.push(&row));
        fold.end();
        fold
    }

    #[test]
    fn every_item_lies_in_one_step_of_time_and_steps_stay_few() {
        for batches in [1, 7, 1000, 20_000] {
            let fold = folded((0..batches).map(|n| row(n, 1, 500)));
            let items: f64 = fold.bins.bins.iter().map(|bin| bin.items).sum();
            let failed: f64 = fold.bins.bins.iter().map(|bin| bin.failed).sum();
            assert!((items - batches as f64 * 100.0).abs() < 1e-3 * items, "{batches}: {items}");
            assert!((failed - batches as f64 * 10.0).abs() < 1e-3 * items, "{batches}: {failed}");
            assert!(fold.bins.bins.len() <= REPORT_STEPS_MAX, "{batches}");
            assert_eq!(fold.bins.bins.iter().map(|bin| bin.batch_us.total()).sum::<u64>(), batches);
            assert_eq!(fold.item_ns.total(), batches * 100);
        }
    }

    #[test]
    fn the_batches_of_a_transaction_are_written_one_after_the_other_and_committed_together() {
        // Two groups: 0 and 1, then 2.
        let fold = folded([row(0, 1, 500), row(1, 1, 500), row(2, 1, 700)]);
        assert_eq!(fold.sums_us[6], 1200, "each COMMIT once");
        let (parts, left_out) = fold.timeline.parts();
        let placed = &parts[0].batches;
        assert_eq!((placed.len(), left_out), (3, 0));
        // Batch 1 is written last, until 11,250.
        assert_eq!((placed[0].write_us, placed[1].write_us), ((10_850, 11_050), (11_050, 11_250)));
        assert_eq!((placed[0].commit_us, placed[1].commit_us), ((11_250, 11_750), (11_250, 11_750)));
        assert_eq!(placed[2].commit_us, (21_250, 21_950));
    }

    #[test]
    fn each_version_of_a_plugin_has_what_it_did_itself() {
        let noted = |slot: &str, bytes: &[u8], from: u64| RunPlugin {
            position: 0,
            slot: slot.to_owned(),
            role: "operation".to_owned(),
            name: format!("{slot}.wasm"),
            digest: Some(Digest::of(bytes)),
            from_batch: BatchNumber(from),
        };
        // Each exchange notes all slots again.
        let first = [noted("a", b"a", 0), noted("b", b"b", 0)];
        let then = [noted("a", b"a", 3), noted("b", b"other", 3), noted("a", b"a", 5), noted("b", b"b", 5)];
        let mut fold = BatchFold::new([], false).of_plugins(first.into_iter().chain(then).collect());
        for number in 0..7 {
            let did = |slot: &str| PluginMetrics { slot: slot.to_owned(), calls: 1, items: 100, ..Default::default() };
            let mut row = row(number, 1, 500);
            row.plugins = vec![did("a"), did("b")];
            fold.push(&row);
        }
        fold.end();
        let found: Vec<(&str, u64, u64)> = fold
            .plugins
            .iter()
            .map(|(plugin, did)| (plugin.slot.as_str(), plugin.from_batch.0, did.as_ref().map_or(0, |did| did.calls)))
            .collect();
        assert_eq!(found, [("a", 0, 7), ("b", 0, 3), ("b", 3, 2), ("b", 5, 2)]);
    }

    #[test]
    fn executions_stand_one_after_the_other() {
        let mut continued = row(2, 2, 500);
        continued.metrics.as_mut().expect("times").cut_us = 0;
        let fold = folded([row(0, 1, 500), row(1, 1, 600), continued]);
        let starts: Vec<(u64, u64)> = fold.executions.iter().map(|e| (e.number, e.from_us)).collect();
        assert_eq!(starts, [(1, 0), (2, 11_850)]);
        assert!(fold.end_us > 11_850);
        assert_eq!((fold.begin_us_of(Some(1)), fold.begin_us_of(Some(2)), fold.begin_us_of(None)), (0, 11_850, 11_850));
    }

    #[test]
    fn plans_find_their_place_and_pruned_batches_are_counted_only() {
        let mut pruned = row(1, 1, 500);
        pruned.metrics = None;
        let fold = folded([row(0, 1, 500), pruned, row(3, 1, 500)]);
        assert_eq!(fold.cut_us, BTreeMap::from([(0, 0), (3, 30_000)]));
        assert_eq!((fold.batches, fold.without_times, fold.counts.read), (3, 1, 300));
    }
}
