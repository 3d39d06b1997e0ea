//! What a run measured, in words for `runs show`. Of its last execution, known once that has ended.

use std::time::Duration;

use crate::monitor::{PerformanceReport, words};
use crate::store::{RunPlugin, RunRow};

/// None where the run keeps nothing of it.
pub fn of(run: &RunRow) -> Option<PerformanceReport> {
    serde_json::from_str(run.performance_json.as_deref()?).ok()
}

fn micros(us: u64) -> String {
    words::duration(Duration::from_micros(us))
}

fn nanos(ns: u64) -> String {
    match ns {
        0..1000 => format!("{ns} ns"),
        _ => words::duration(Duration::from_nanos(ns)),
    }
}

/// Percentiles of the time of an item in plugins.
pub fn per_item(p: &PerformanceReport) -> String {
    if p.item_max_ns == 0 {
        return String::new();
    }
    let [p50, p95, p99, max] = [p.item_p50_ns, p.item_p95_ns, p.item_p99_ns, p.item_max_ns].map(nanos);
    format!("in plugins {p50} (p50), {p95} (p95), {p99} (p99), {max} at the most")
}

/// Where the time went. Batches that wait for the writer do so side by side, and keep nobody from anything.
pub fn phases(p: &PerformanceReport) -> String {
    if p.batches == 0 {
        return String::new();
    }
    let t = &p.phases;
    let parts = [
        ("reading", t.read_us),
        ("validators", t.validate_us),
        ("operations", t.operate_us),
        ("writing", t.write_us),
        ("commits", t.commit_us),
    ];
    let told: Vec<String> =
        parts.iter().filter(|(_, us)| *us > 0).map(|(name, us)| format!("{name} {}", micros(*us))).collect();
    told.join(", ")
}

/// Who had nothing to do.
pub fn idle(p: &PerformanceReport) -> String {
    if p.batches == 0 {
        return String::new();
    }
    let idle = &p.idle;
    format!(
        "reader {} (back-pressure), lanes {} (at work {}), writer {}",
        micros(idle.reader_us),
        micros(idle.lanes_us),
        micros(idle.lanes_busy_us),
        micros(idle.writer_us)
    )
}

/// The largest that the process had.
pub fn memory(p: &PerformanceReport) -> String {
    if p.process_bytes_peak == 0 {
        return String::new();
    }
    format!("{} of the process at the most, when it was sampled", words::bytes(p.process_bytes_peak))
}

/// Those that were put off and built.
pub fn indexes(p: &PerformanceReport) -> String {
    if p.indexes_built == 0 {
        return String::new();
    }
    format!("{} built at the end of the load, in {}", p.indexes_built, micros(p.index_build_us))
}

/// What a plugin did, to follow its name.
pub fn plugin(p: &PerformanceReport, plugin: &RunPlugin) -> String {
    let Some(did) = p.plugins.iter().find(|did| did.slot == plugin.slot) else { return String::new() };
    let mut told = format!(
        "\n  {} calls, {} items, {} of which {} CPU",
        words::count(did.calls),
        words::count(did.items),
        micros(did.time_us),
        micros(did.cpu_us)
    );
    if did.memory_peak_bytes > 0 {
        told += &format!(", up to {} of memory", words::bytes(did.memory_peak_bytes));
    }
    let codes: Vec<String> = did.faults_by_code.iter().map(|(code, faults)| format!("{faults} × {code}")).collect();
    if did.faults > 0 {
        told += &format!("; faults: {}", if codes.is_empty() { did.faults.to_string() } else { codes.join(", ") });
    }
    let digest = plugin.digest.map(|digest| digest.to_string()).unwrap_or_default();
    let ready = p.prepared.iter().find(|used| used.slot == plugin.slot && used.digest == digest);
    if let Some(ready) = ready.filter(|ready| ready.prepare_us > 0) {
        let how = if ready.from_cache { "taken from the cache" } else { "compiled" };
        told += &format!("; {how} in {}", micros(ready.prepare_us));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::PluginUsed;
    use crate::model::{BatchNumber, PluginMetrics};
    use crate::monitor::IdleTimes;

    #[test]
    fn what_was_measured_is_told_and_what_was_not_is_left_out() {
        let nothing = PerformanceReport::default();
        for text in [per_item(&nothing), phases(&nothing), idle(&nothing), memory(&nothing), indexes(&nothing)] {
            assert_eq!(text, "");
        }
        let measured = PerformanceReport {
            batches: 1,
            item_p50_ns: 800,
            item_p95_ns: 12_000,
            item_p99_ns: 13_000,
            item_max_ns: 2_000_000,
            idle: IdleTimes { reader_us: 5, lanes_us: 20_000, lanes_busy_us: 3_000_000, writer_us: 0 },
            process_bytes_peak: 3 << 30,
            indexes_built: 2,
            index_build_us: 1500,
            ..PerformanceReport::default()
        };
        assert_eq!(per_item(&measured), "in plugins 800 ns (p50), 12 µs (p95), 13 µs (p99), 2.0 ms at the most");
        assert_eq!(idle(&measured), "reader 5 µs (back-pressure), lanes 20 ms (at work 3.0 s), writer 0 µs");
        assert_eq!(memory(&measured), "3.0 GiB of the process at the most, when it was sampled");
        assert_eq!(indexes(&measured), "2 built at the end of the load, in 1.5 ms");
    }

    #[test]
    fn a_plugin_is_told_with_its_faults_and_how_it_was_made_ready() {
        let did = PluginMetrics {
            slot: "tidy".to_owned(),
            calls: 7,
            items: 1400,
            faults: 3,
            time_us: 9_000,
            cpu_us: 4_000,
            host_us: 0,
            memory_peak_bytes: 1 << 20,
            faults_by_code: [("GUEST_10001".to_owned(), 2), ("GUEST_10002".to_owned(), 1)].into(),
        };
        let ready =
            PluginUsed { slot: "tidy".to_owned(), prepare_us: 250_000, from_cache: true, ..PluginUsed::default() };
        let p = PerformanceReport { plugins: vec![did], prepared: vec![ready], ..PerformanceReport::default() };
        let row = RunPlugin {
            position: 0,
            slot: "tidy".to_owned(),
            role: "operation".to_owned(),
            name: "tidy.wasm".to_owned(),
            digest: None,
            from_batch: BatchNumber(0),
        };
        let told = plugin(&p, &row);
        for part in [
            "7 calls, 1,400 items, 9.0 ms of which 4.0 ms CPU",
            "up to 1.0 MiB",
            "2 × GUEST_10001, 1 × GUEST_10002",
            "taken from the cache in 250 ms",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
