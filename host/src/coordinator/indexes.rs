//! The index processor: no items; indexes are added where they are missing, verified, and built anew where they are out of step.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::job::Job;
use super::outcome::{REPORT_SCHEMA, RunReport};
use crate::error::{Code, Error, Result};
use crate::model::{Counts, Name, RunStatus};
use crate::store::{Lookup, Reader, StoreOptions, Writer};
use crate::transaction::Transactional;

/// Collection that items go to where none is named. It need not be there: a store may have others only.
const DEFAULT_COLLECTION: &str = "items";

/// What was done about the indexes of a store.
#[derive(Debug, Clone, Serialize)]
pub struct IndexReport {
    #[serde(flatten)]
    pub run: RunReport,
    /// Every index of the store, by collection and name.
    pub indexes: Vec<IndexDone>,
}

/// One index, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexDone {
    pub collection: String,
    pub name: String,
    pub state: IndexState,
}

/// What was done about an index, after which it agrees with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IndexState {
    /// Nothing: it agreed with them.
    Verified,
    /// It was missing, and was filled from the rows that are there.
    Added,
    /// It was out of step, and was built anew.
    Rebuilt,
}

/// As [`keep_indexes`], for [`Host::run`](super::Host::run).
pub(super) fn run(job: &Job) -> Result<RunReport> {
    keep_indexes(job).map(|report| report.run)
}

/// Adds the job's indexes to collections that are there, verifies every index of the store and builds those anew that are
/// out of step. Changes no row; in a dry run nothing at all.
///
/// Errors: the store's; CONFIG_3001 for a collection that is not there; INDEX_7004 where the rows do not allow an index.
pub fn keep_indexes(job: &Job) -> Result<IndexReport> {
    let begun = Instant::now();
    let path = job
        .store
        .as_deref()
        .ok_or_else(|| Error::new(Code::ConfigMissing, "no store is given").hint("give --store FILE"))?;
    let mut writer = open(job, path)?;
    let reader = writer.reader()?;
    refuse_unknown(job, &reader)?;
    // Read before anything is added: in a dry run a reader sees none of it.
    let mut indexes: Vec<(Name, Name, IndexState)> =
        reader.indexes(None)?.into_iter().map(|row| (row.collection, row.name, IndexState::Verified)).collect();
    // An error on the way drops the writer, and with it what was added.
    writer.begin()?;
    for spec in &job.indexes {
        let collection = spec.collection.as_ref().unwrap_or(&job.collection);
        if writer.index_add(collection, spec)? {
            // One that was declared and put off is there already, and is built now.
            indexes.retain(|(there, name, _)| (there, name) != (collection, &spec.name));
            indexes.push((collection.clone(), spec.name.clone(), IndexState::Added));
        }
    }
    writer.commit()?;
    for (collection, name, state) in &mut indexes {
        let findings = writer.index_verify(collection, name)?;
        for finding in &findings {
            tracing::warn!(code = finding.code.as_str(), "{}.", finding.message);
        }
        if !findings.is_empty() {
            writer.index_rebuild(collection, name)?;
            *state = IndexState::Rebuilt;
            match job.dry_run {
                true => tracing::warn!("Index {name} of {collection} would be built anew."),
                false => tracing::warn!("Index {name} of {collection} was built anew."),
            }
        }
    }
    indexes.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let done = |(collection, name, state): (Name, Name, IndexState)| IndexDone {
        collection: collection.to_string(),
        name: name.to_string(),
        state,
    };
    Ok(IndexReport { run: report(job, path, begun), indexes: indexes.into_iter().map(done).collect() })
}

fn open(job: &Job, path: &Path) -> Result<Writer> {
    let options = StoreOptions { path: path.to_owned(), durability: job.durability, create: false };
    if job.dry_run {
        // A dry run would take an empty store for one that is missing.
        Reader::open(path)?;
        return Writer::open_dry_run(&options);
    }
    Writer::open(&options)
}

/// Indexes are kept of what is stored, so nothing is declared here but indexes.
fn refuse_unknown(job: &Job, reader: &Reader) -> Result<()> {
    let of_indexes = job.indexes.iter().map(|spec| spec.collection.as_ref().unwrap_or(&job.collection));
    let target = Some(&job.collection).filter(|name| name.as_str() != DEFAULT_COLLECTION);
    for collection in of_indexes.chain(target) {
        // A look-up that finds nothing: it is here for its error, which names the nearest collection.
        reader.get(collection, "")?;
    }
    Ok(())
}

fn report(job: &Job, path: &Path, begun: Instant) -> RunReport {
    RunReport {
        schema: REPORT_SCHEMA,
        run: 0,
        uuid: String::new(),
        status: RunStatus::Succeeded,
        success: true,
        atomic: job.atomic.as_str().to_owned(),
        dry_run: job.dry_run,
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
        performance: None,
        problems: Vec::new(),
        error: None,
    }
}
