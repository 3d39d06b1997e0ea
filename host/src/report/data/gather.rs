//! Puts a report together from rows and recorded events.

use std::collections::BTreeMap;

use super::{
    Alert, Batches, BestFixed, Controller, Facts, Head, Heat, History, Latency, LatencyRow, PlanStep, Plugin, Report,
    SCHEMA, Seen, Share, Sources, Step, Throughput,
};
use crate::event::ErrorReport;
use crate::limits::REPORT_PLANS_MAX;
use crate::model::PluginMetrics;
use crate::monitor::{AlertRecord, IdleTimes, PerformanceReport, Recommendations};
use crate::report::events::{Details, Health, Recorded, RolledBack};
use crate::report::fold::{BatchFold, Bin, PHASES};
use crate::report::histogram::{Histogram, coarse_lower};
use crate::report::history::departures;
use crate::report::swaps::swapped;
use crate::report::timeline::Abandoned;
use crate::store::{PlanRow, RunPlugin, RunRow};

/// Columns and rows of a heat map at the most.
const HEAT_COLUMNS: usize = 80;
/// See [`HEAT_COLUMNS`].
const HEAT_ROWS: u64 = 18;

impl Report {
    /// Puts together what is shown.
    pub fn of(sources: Sources) -> Self {
        let Sources {
            run,
            facts,
            mut fold,
            plans,
            swaps,
            problems,
            other_problems,
            recorded,
            past,
            past_basis,
            past_times,
            recommendations,
        } = sources;
        let events = recorded.is_some();
        let details = recorded.map(Recorded::details).unwrap_or_default();
        let performance: Option<PerformanceReport> =
            run.performance_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let alerts: Option<Vec<AlertRecord>> =
            run.alerts_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let last_from = fold.last_begin_us();
        let events_from = fold.begin_us_of(details.first_batch);
        // An execution that is over may have gone on after its last commit.
        let ended_us = last_from + run.duration_ms.unwrap_or(0) * 1000;
        let end_us =
            fold.end_us.max(ended_us).max(details.abandoned.iter().map(|a| events_from + a.to_us).max().unwrap_or(0));
        let plugins = with_metrics(&fold, &performance, &run, &details);
        let (parts, left_out) = std::mem::take(&mut fold.timeline).parts();
        let mut controller = controller(&plans, &fold, &details, events_from);
        controller.best_fixed = recommendations.as_ref().and_then(best_fixed);
        // What was summed up at the end is of the last execution alone.
        let whole = performance.as_ref().filter(|_| run.epoch == 1);
        let idle = whole.map(|performance| performance.idle);
        let swaps = swapped(swaps, &run, &fold, end_us);
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            made: facts.made.clone(),
            throughput: Throughput {
                step_us: fold.bins.width_us,
                end_us,
                steps: steps(&fold),
                // The row has them once the run has ended.
                alerts: alerts
                    .map_or_else(|| paired(&details.alerts, events_from), |alerts| paired(&alerts, last_from)),
                swaps,
                rolled_back: details
                    .rolled_back
                    .iter()
                    .map(|one| RolledBack { at_us: one.at_us + events_from, ..one.clone() })
                    .collect(),
                executions: fold.executions.clone(),
            },
            controller,
            timeline: Batches {
                parts,
                left_out,
                abandoned_left_out: details.abandoned_left_out,
                abandoned: details
                    .abandoned
                    .iter()
                    .map(|a| Abandoned { from_us: a.from_us + events_from, to_us: a.to_us + events_from, ..a.clone() })
                    .collect(),
            },
            latency: latency(&fold),
            time: time(&fold, &plugins, run.epoch == 1, idle),
            idle,
            process_bytes_peak: performance.as_ref().map(|p| p.process_bytes_peak).filter(|bytes| *bytes > 0),
            indexes_built: performance.as_ref().map_or(0, |p| p.indexes_built),
            index_build_us: performance.as_ref().map_or(0, |p| p.index_build_us),
            run: head(&run, facts, &fold, performance.as_ref()),
            problems,
            other_problems,
            plugins,
            history: History { basis: past_basis, departures: departures(&past), runs: past, item_times: past_times },
            recommendations,
            events,
            unreadable_events: details.unreadable,
        }
    }
}

fn head(run: &RunRow, facts: Facts, fold: &BatchFold, performance: Option<&PerformanceReport>) -> Head {
    // What the host counted itself is exact, and of the last execution alone.
    let quantile = |share: f64, of: fn(&PerformanceReport) -> u64| match performance {
        Some(performance) if run.epoch == 1 || fold.item_ns.total() == 0 => of(performance),
        _ => fold.item_ns.quantile(share),
    };
    let settings: serde_json::Value = serde_json::from_str(&run.settings_json).unwrap_or_default();
    Head {
        run: run.run.0,
        uuid: run.uuid.clone(),
        status: facts.status,
        collection: run.collection.to_string(),
        store: facts.store,
        inputs: facts.inputs,
        strategy: first(&settings["strategy"]).to_owned(),
        started: facts.started,
        ended: facts.ended,
        duration_ms: facts.duration_ms,
        items_per_s: facts.items_per_s,
        counts: run.counts,
        blank_lines: run.blank_lines,
        batches: run.batches,
        executions: run.epoch,
        item_p50_ns: quantile(0.5, |p| p.item_p50_ns),
        item_p95_ns: quantile(0.95, |p| p.item_p95_ns),
        item_p99_ns: quantile(0.99, |p| p.item_p99_ns),
        error: run.error_json.as_deref().map(error),
        batches_without_times: fold.without_times,
    }
}

/// A setting with one value, which is kept alone or as a list.
fn first(setting: &serde_json::Value) -> &str {
    setting.as_str().or_else(|| setting[0].as_str()).unwrap_or_default()
}

/// The error as the run's row keeps it; one in another form is shown as it is.
fn error(text: &str) -> ErrorReport {
    serde_json::from_str(text).unwrap_or_else(|_| ErrorReport {
        code: "unknown".to_owned(),
        message: text.to_owned(),
        causes: Vec::new(),
        hint: String::new(),
    })
}

fn step(at: usize, bin: &Bin, width_us: u64, end_us: u64) -> Step {
    Step {
        from_us: at as u64 * width_us,
        // The last step may end before its time.
        items_per_s: bin.items * 1e6 / end_us.saturating_sub(at as u64 * width_us).clamp(width_us / 8, width_us) as f64,
        error_share: (bin.items > 1e-9).then(|| (bin.failed / bin.items).clamp(0.0, 1.0)),
        retries: bin.retries,
        batch_p95_us: (bin.batch_us.total() > 0).then(|| bin.batch_us.quantile(0.95)),
    }
}

fn steps(fold: &BatchFold) -> Vec<Step> {
    let bins = fold.bins.bins.iter().enumerate();
    bins.map(|(at, bin)| step(at, bin, fold.bins.width_us, fold.end_us)).collect()
}

/// The setting that the history speaks for, unless it speaks for none.
fn best_fixed(recommended: &Recommendations) -> Option<BestFixed> {
    let (size, lanes) = (&recommended.batch_size, &recommended.lanes);
    (!size.default && !lanes.default).then_some(BestFixed { batch_size: size.value, lanes: lanes.value })
}

/// Each raised alert with the time at which it was cleared.
fn paired(records: &[AlertRecord], from_us: u64) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    for record in records {
        let at_us = from_us + record.elapsed_us;
        if record.raised {
            alerts.push(Alert {
                alert: record.alert.clone(),
                batch: record.batch,
                from_us: at_us,
                to_us: None,
                value: record.value,
                threshold: record.threshold,
                message: record.message.clone(),
            });
        } else if let Some(open) = alerts.iter_mut().rfind(|a| a.alert == record.alert && a.to_us.is_none()) {
            open.to_us = Some(at_us);
        }
    }
    alerts
}

fn controller(plans: &[PlanRow], fold: &BatchFold, details: &Details, events_from: u64) -> Controller {
    let steps: Vec<PlanStep> = plans
        .iter()
        .enumerate()
        .map(|(i, plan)| PlanStep {
            number: i + 1,
            batch: plan.batch.0,
            at_us: fold.cut_us.get(&plan.batch.0).copied(),
            batch_size: plan.batch_size,
            lanes: plan.lanes,
            batches_in_flight: plan.batches_in_flight,
            old_batches_in_flight: plan.old_batches_in_flight,
            old_batch_size: plan.old_batch_size,
            old_lanes: plan.old_lanes,
            reason: plan.reason.clone(),
            seen: serde_json::from_str(&plan.signals_json).unwrap_or_default(),
        })
        .collect();
    let health = if details.health.is_empty() {
        let sampled = steps.iter().filter(|step| step.seen.cpu_share.or(step.seen.memory_share).is_some());
        let of = |step: &PlanStep| {
            let Seen { cpu_share, memory_share, process_bytes, .. } = step.seen;
            Some(Health { at_us: step.at_us?, cpu_share, memory_share, process_bytes })
        };
        sampled.filter_map(of).collect()
    } else {
        details.health.iter().map(|health| Health { at_us: health.at_us + events_from, ..*health }).collect()
    };
    let plans_left_out = steps.len().saturating_sub(REPORT_PLANS_MAX);
    let half = REPORT_PLANS_MAX / 2;
    let shown = |step: &PlanStep| plans_left_out == 0 || step.number <= half || step.number > steps.len() - half;
    Controller {
        plans: steps.iter().filter(|step| shown(step)).cloned().collect(),
        plans_left_out,
        health,
        lanes_in_use: details.lanes.iter().map(|(at, lanes)| (at + events_from, *lanes)).collect(),
        best_fixed: None,
        batch_time_max_us: steps.iter().rev().find_map(|step| step.seen.batch_time_max_us).filter(|us| *us > 0),
    }
}

fn latency(fold: &BatchFold) -> Latency {
    let row = |name, per, histogram: &Histogram, to_ns: u64| {
        let quantile = |share| histogram.quantile(share).saturating_mul(to_ns);
        LatencyRow {
            name,
            per,
            count: histogram.total(),
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p95_ns: quantile(0.95),
            p99_ns: quantile(0.99),
            max_ns: histogram.max().saturating_mul(to_ns),
        }
    };
    let mut rows =
        vec![row("guest time", "item", &fold.item_ns, 1), row("cut to commit", "batch", &fold.batch_us, 1000)];
    for (i, name) in PHASES.into_iter().enumerate() {
        rows.push(row(name, if name == "commit" { "transaction" } else { "batch" }, &fold.phases[i], 1000));
    }
    rows.retain(|row| row.count > 0);
    Latency { rows, batches: heat(fold, |bin| &bin.batch_us), items: heat(fold, |bin| &bin.item_ns) }
}

fn heat(fold: &BatchFold, of: fn(&Bin) -> &Histogram) -> Heat {
    let bins = &fold.bins.bins;
    let together = bins.len().div_ceil(HEAT_COLUMNS).max(1);
    let columns: Vec<Histogram> = bins
        .chunks(together)
        .map(|bins| {
            let mut all = Histogram::default();
            bins.iter().for_each(|bin| all.merge(of(bin)));
            all
        })
        .collect();
    // The finest rows that are few enough.
    for per_doubling in [8, 4, 2, 1] {
        let cells: Vec<BTreeMap<u64, u64>> = columns.iter().map(|column| column.coarse(per_doubling)).collect();
        let lowest = cells.iter().filter_map(|column| column.keys().next()).min();
        let highest = cells.iter().filter_map(|column| column.keys().last()).max();
        let (Some(lowest), Some(highest)) = (lowest.copied(), highest.copied()) else { return Heat::default() };
        if highest - lowest >= HEAT_ROWS && per_doubling > 1 {
            continue;
        }
        let at = |column: usize, cells: &BTreeMap<u64, u64>| {
            cells.iter().map(|(row, count)| (column, (row - lowest) as usize, *count)).collect::<Vec<_>>()
        };
        return Heat {
            column_us: fold.bins.width_us * together as u64,
            columns: columns.len(),
            bounds: (lowest..=highest + 1).map(|row| coarse_lower(row, per_doubling)).collect(),
            cells: cells.iter().enumerate().flat_map(|(column, cells)| at(column, cells)).collect(),
        };
    }
    Heat::default()
}

/// Plugins with what they did: as the rows of the batches tell it. Where these tell nothing, or not all any more, a slot that one
/// plugin has filled all along has what the run's end told of it, else what the events did.
fn with_metrics(
    fold: &BatchFold,
    performance: &Option<PerformanceReport>,
    run: &RunRow,
    details: &Details,
) -> Vec<Plugin> {
    let summed_up = match performance {
        Some(performance) if run.epoch == 1 || details.plugins.is_empty() => &performance.plugins,
        _ => &details.plugins,
    };
    let alone = |slot: &str| fold.plugins.iter().filter(|(plugin, _)| plugin.slot == slot).count() == 1;
    let of_slot = |slot: &str| summed_up.iter().find(|did| alone(slot) && did.slot == slot).cloned();
    let did = |slot: &str, of_rows: &Option<PluginMetrics>| match of_rows {
        Some(did) if fold.without_times == 0 => Some(did.clone()),
        of_rows => of_slot(slot).or(of_rows.clone()),
    };
    let ready = |plugin: &RunPlugin| {
        let digest = plugin.digest?.to_string();
        let prepared = &performance.as_ref()?.prepared;
        prepared.iter().find(|used| used.slot == plugin.slot && used.digest == digest)
    };
    let of = |(plugin, of_rows): &(RunPlugin, Option<PluginMetrics>)| Plugin {
        slot: plugin.slot.clone(),
        role: plugin.role.clone(),
        name: plugin.name.clone(),
        digest: plugin.digest.map(|digest| digest.to_string()),
        from_batch: plugin.from_batch.0,
        did: did(&plugin.slot, of_rows),
        prepare_us: ready(plugin).map(|used| used.prepare_us),
        from_cache: ready(plugin).map(|used| used.from_cache),
    };
    fold.plugins.iter().map(of).collect()
}

/// By plugin where the rows tell of them, as they do of all else, or where all of the run is known of them; else by role.
/// Batches that wait for the writer do so side by side, and keep nobody from anything: that is no part of it.
fn time(fold: &BatchFold, plugins: &[Plugin], whole: bool, idle: Option<IdleTimes>) -> Vec<Share> {
    let [read, validate, operate, _, _, write, commit] = fold.sums_us;
    let share = |name: &str, kind, us| Share { name: name.to_owned(), kind, us };
    let of_rows: Vec<&PluginMetrics> = fold.plugins.iter().filter_map(|(_, did)| did.as_ref()).collect();
    let done = match of_rows.is_empty() {
        true if whole => plugins.iter().filter_map(|plugin| plugin.did.as_ref()).collect(),
        _ => of_rows,
    };
    let mut slots: Vec<(&str, u64)> = Vec::new();
    for did in &done {
        let us = did.time_us.saturating_sub(did.host_us);
        match slots.iter_mut().find(|(slot, _)| *slot == did.slot) {
            Some((_, sum)) => *sum += us,
            None => slots.push((&did.slot, us)),
        }
    }
    let in_host: u64 = done.iter().map(|did| did.host_us).sum();
    let mut guests: Vec<Share> = match slots.is_empty() {
        false => slots.into_iter().map(|(slot, us)| share(slot, "guest", us)).collect(),
        true => vec![share("validators", "guest", validate), share("operation", "guest", operate)],
    };
    guests.push(share("host calls of plugins", "host", in_host));
    let mut time = vec![share("reading", "read", read)];
    time.extend(guests);
    time.extend([share("writing", "write", write), share("commit", "commit", commit)]);
    if let Some(idle) = idle {
        time.push(share("lanes without work", "idle", idle.lanes_us));
    }
    time.retain(|share| share.us > 0);
    time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BatchNumber, Digest};
    use crate::report::fold::tests::row;
    use crate::report::testing::{recorded, sources};

    /// A run whose row has nothing of its end: it was killed, or is at work.
    fn without_end(plugins: Vec<RunPlugin>) -> Sources {
        let mut sources = sources(7, "because");
        (sources.run.performance_json, sources.run.alerts_json) = (None, None);
        sources.fold = BatchFold::new([], false).of_plugins(plugins);
        for number in 0..7 {
            let slot = "tidy".to_owned();
            let did = PluginMetrics { slot, calls: 2, items: 100, time_us: 500, host_us: 100, ..Default::default() };
            sources.fold.push(&crate::store::BatchRow { plugins: vec![did], ..row(number, 1, 500) });
        }
        sources.fold.end();
        sources
    }

    fn version(bytes: &[u8], from: u64) -> RunPlugin {
        RunPlugin {
            position: 0,
            slot: "tidy".to_owned(),
            role: "operation".to_owned(),
            name: "tidy.wasm".to_owned(),
            digest: Some(Digest::of(bytes)),
            from_batch: BatchNumber(from),
        }
    }

    #[test]
    fn a_run_that_was_killed_shows_what_each_version_of_its_plugins_did() {
        let noted = vec![version(b"old", 0), version(b"old", 2), version(b"new", 4)];
        let report = Report::of(without_end(noted));
        let found: Vec<(u64, Option<u64>)> =
            report.plugins.iter().map(|p| (p.from_batch, p.did.as_ref().map(|did| did.calls))).collect();
        assert_eq!(found, [(0, Some(8)), (4, Some(6))]);
        let time = |name: &str| report.time.iter().find(|share| share.name == name).map(|share| share.us);
        assert_eq!((time("tidy"), time("host calls of plugins")), (Some(7 * 400), Some(700)));
    }

    #[test]
    fn alerts_of_a_run_without_an_end_are_those_of_its_recording() {
        let mut recorded = recorded("because");
        recorded.line(
            r#"{"schema":1,"seq":0,"time_ms":0,"elapsed_us":47000,"run":5,"event":"alert-raised","alert":"HIGH_MEMORY","batch":3,"value":0.95,"threshold":0.9,"message":"much"}"#,
        );
        let sources = Sources { recorded: Some(recorded), ..without_end(vec![version(b"old", 0)]) };
        let alerts = Report::of(sources).throughput.alerts;
        let found: Vec<_> = alerts.iter().map(|alert| (alert.alert.as_str(), alert.from_us, alert.to_us)).collect();
        assert_eq!(found, [("HIGH_MEMORY", 47_000, None)]);
    }
}
