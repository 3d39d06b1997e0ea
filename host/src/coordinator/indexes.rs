//! The index processor: no items; the indexes of what is stored are verified and, where they are out of step, built anew.

use std::time::Instant;

use super::job::Job;
use super::outcome::{REPORT_SCHEMA, RunReport};
use crate::error::{Code, Error, Result};
use crate::model::{Counts, RunStatus};
use crate::store::{StoreOptions, Writer};

/// Declares the job's indexes, verifies every index of its collections and rebuilds those out of step. Changes no row.
///
/// Errors: the store's; INDEX_7004 where the rows do not allow an index.
pub(super) fn run(job: &Job) -> Result<RunReport> {
    let begun = Instant::now();
    let path = job
        .store
        .clone()
        .ok_or_else(|| Error::new(Code::ConfigMissing, "no store is given").hint("give --store FILE"))?;
    let mut writer = Writer::open(&StoreOptions { path: path.clone(), durability: job.durability, create: false })?;
    writer.declare(&job.collections, &job.indexes, &job.collection)?;
    for row in writer.reader()?.indexes(None)? {
        let findings = writer.index_verify(&row.collection, &row.name)?;
        for finding in &findings {
            tracing::warn!(code = finding.code.as_str(), "{}.", finding.message);
        }
        if !findings.is_empty() {
            writer.index_rebuild(&row.collection, &row.name)?;
            tracing::warn!("Index {} of {} was built anew.", row.name, row.collection);
        }
    }
    Ok(RunReport {
        schema: REPORT_SCHEMA,
        run: 0,
        uuid: String::new(),
        status: RunStatus::Succeeded,
        success: true,
        dry_run: false,
        already_complete: false,
        store: Some(path.display().to_string()),
        collection: job.collection.to_string(),
        resumed_at: 0,
        counts: Counts::default(),
        blank_lines: 0,
        batches: 0,
        duration_ms: begun.elapsed().as_millis() as u64,
        items_per_s: 0.0,
        peak_lanes: 0,
        plugins: Vec::new(),
        fates: None,
        error: None,
    })
}
