//! What an id may have been that nothing is known of: an item that was dropped, or a row that was deleted.

use crate::cli::print::talk;
use crate::cli::spec::counted;
use crate::error::Result;
use crate::model::Name;
use crate::store::{Reader, RunPlugin, RunRow};

/// Runs named: the newest ones.
const RUNS_TOLD: usize = 5;

/// Names the runs in which ids were lost, and where to look further; nothing if there are none.
pub(super) fn tell(reader: &Reader, collection: &Name) -> Result<()> {
    let runs = reader.runs_without_trace(collection, RUNS_TOLD + 1)?;
    if runs.is_empty() {
        return Ok(());
    }
    talk("Items that were dropped leave no id behind, and rows that were deleted none either:");
    for run in runs.iter().take(RUNS_TOLD) {
        talk(&format!("  run {}: {}", run.run, lost(run, collection, &reader.plugins(run.run)?)));
    }
    if runs.len() > RUNS_TOLD {
        talk("  and older runs");
    }
    if runs.iter().any(|run| run.collection == *collection && run.counts.dropped > 0) {
        talk(
            "`atlas-host why --run RUN --ordinal N` tells what became of a record of its input, the first of which has N 0.",
        );
    }
    Ok(())
}

fn lost(run: &RunRow, collection: &Name, plugins: &[RunPlugin]) -> String {
    let mut parts = Vec::new();
    if run.counts.dropped > 0 && run.collection == *collection {
        let (dropped, read) = (run.counts.dropped, counted(run.counts.read, "item"));
        parts.push(format!("{dropped} of {read} dropped{}", by(plugins)));
    }
    if run.counts.deleted > 0 {
        parts.push(format!("{} deleted", counted(run.counts.deleted, "row")));
    }
    parts.join(", ")
}

/// Who drops: the operations, of which it is not kept which one it was.
pub(super) fn by(plugins: &[RunPlugin]) -> String {
    let mut names: Vec<String> = Vec::new();
    for used in plugins.iter().filter(|used| used.role == "operation") {
        let name = format!("{} ({})", used.slot, used.name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { String::new() } else { format!(" by {}", names.join(" or ")) }
}
