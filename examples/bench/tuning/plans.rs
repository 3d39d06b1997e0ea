//! The plans of a run, as its events tell them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// A plan that differs from the one before, or the first.
pub struct Plan {
    /// The first batch cut by it.
    pub batch: u64,
    pub batch_size: u64,
    pub lanes: u64,
    pub reason: String,
}

/// In the order in which they were chosen. Those that are small only since the input ends tell nothing, and are left out.
///
/// Errors: the file cannot be read, or an event lacks a member.
pub fn read(events: &Path) -> Result<Vec<Plan>> {
    let file = File::open(events).with_context(|| events.display().to_string())?;
    let mut plans = Vec::new();
    for line in BufReader::new(file).lines() {
        let event: Value = serde_json::from_str(&line?).context("an event is a JSON object")?;
        if event["event"] != "plan-chosen" {
            continue;
        }
        let number = |member: &str| event[member].as_u64().with_context(|| format!("a plan without {member}"));
        let reason = event["reason"].as_str().context("a plan without reason")?.to_owned();
        if !reason.ends_with("items are left") {
            plans.push(Plan {
                batch: number("batch")?,
                batch_size: number("batch_size")?,
                lanes: number("lanes")?,
                reason,
            });
        }
    }
    Ok(plans)
}

/// True if the run began with what another one has learned.
pub fn remembered(plans: &[Plan]) -> bool {
    plans.first().is_some_and(|plan| plan.reason.contains(": from run "))
}
