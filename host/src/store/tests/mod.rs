//! What the store promises, tried on real files. The fixtures are here; one file per subject beside this one.

mod ended;
mod failures;
mod forgetting;
mod giving_up;
mod letters;
mod log_size;
mod migrating;
mod opening;
mod reading;
mod putting_off;
mod recovering;
mod records;
mod scans;
mod serial;
mod transactions;
mod verifying;
mod writing;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::model::{
    Batch, BatchMetrics, BatchNumber, Broken, Decision, Digest, IndexSpec, Name, OnExisting, Pointer, Position,
    Problem, Record, RecordKind, RunStatus,
};
use crate::transaction::Transactional;

/// A folder with the path of a store in it.
pub(super) struct Place {
    pub folder: TempDir,
    pub path: PathBuf,
}

pub(super) fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("atlas.db");
    Place { folder, path }
}

impl Place {
    pub fn options(&self) -> StoreOptions {
        StoreOptions { path: self.path.clone(), durability: Durability::Full, create: true }
    }

    pub fn writer(&self) -> Writer {
        Writer::open(&self.options()).unwrap()
    }

    pub fn reader(&self) -> Reader {
        Reader::open(&self.path).unwrap()
    }

    /// A connection that knows none of our rules.
    pub fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(&self.path).unwrap()
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn index(text: &str, unique: bool) -> IndexSpec {
    IndexSpec { collection: None, name: name(text), pointer: Pointer::parse(text).unwrap(), unique }
}

pub(super) fn policy(on_existing: OnExisting, sort: bool) -> WritePolicy {
    WritePolicy {
        target: name("items"),
        collections: [name("edges"), name("items")].into(),
        on_existing,
        sort,
        remove_rejected: false,
        over_newer: false,
    }
}

pub(super) fn replacing() -> WritePolicy {
    policy(OnExisting::Replace, true)
}

pub(super) fn start(job: &str) -> RunStart {
    RunStart {
        job: job.to_owned(),
        uuid: uuid::Uuid::now_v7().to_string(),
        collection: name("items"),
        started_ms: 1_700_000_000_000,
        seed: u64::MAX,
        clock_ms: 1_700_000_000_000,
        settings_json: "{}".to_owned(),
        identity: vec![("id".to_owned(), "/id".to_owned())],
        plugins: vec![PluginRow {
            slot: "clean".to_owned(),
            role: "operation".to_owned(),
            name: "clean.wasm".to_owned(),
            digest: Some(Digest::of(b"clean")),
            bytes: Some(b"clean".as_slice().into()),
        }],
        inputs_json: "[]".to_owned(),
        atomic: "batch".to_owned(),
        lo: 0,
        hi: None,
    }
}

pub(super) fn end(status: RunStatus) -> RunEnd {
    RunEnd {
        blank_lines: 0,
        status,
        ended_ms: 1_700_000_000_500,
        duration_ms: 500,
        error_json: None,
        performance_json: None,
        alerts_json: None,
        tuning: None,
    }
}

/// A batch of these items, each decided to be kept.
pub(super) fn kept(number: u64, first: u64, items: &[(&str, &str)]) -> BatchWrite {
    decided(number, first, items, items.iter().map(|_| Decision::Keep).collect())
}

/// A batch of these items with these decisions. An empty id makes a record that is no item.
pub(super) fn decided(number: u64, first: u64, items: &[(&str, &str)], decisions: Vec<Decision>) -> BatchWrite {
    let mut batch = Batch { first_ordinal: first, ..Batch::default() };
    for (i, (id, body)) in items.iter().enumerate() {
        let position = Position { input: 0, line: first + i as u64 + 1, offset: (first + i as u64) * 10 };
        let kind = if id.is_empty() {
            RecordKind::Broken(Box::new(Broken {
                problem: Problem::of_host(crate::error::Code::Undecodable, "not JSON"),
                kept: body.as_bytes().to_vec(),
                total_bytes: body.len() as u64,
                digest: Digest::of(body.as_bytes()),
            }))
        } else {
            let at = batch.text.len() as u32;
            batch.text.push_str(id);
            let middle = batch.text.len() as u32;
            batch.text.push_str(body);
            RecordKind::Item { id: at..middle, body: middle..batch.text.len() as u32 }
        };
        batch.records.push(Record { position, kind });
    }
    BatchWrite {
        number: BatchNumber(number),
        batch: Arc::new(batch),
        decisions,
        metrics: BatchMetrics::default(),
        computed_at: std::time::Instant::now(),
        chunks: Vec::new(),
        plan: None,
        chain: None,
        plugins: Vec::new(),
        retries: 0,
        attempts: HashMap::new(),
        blank_lines: 0,
        input_names: vec!["in.ndjson".to_owned()].into(),
        input_digest: Digest::of(&first.to_le_bytes()),
        digests: vec![(name("clean"), Digest::of(b"clean"))].into(),
        retried: Vec::new(),
    }
}

/// A store with collection `items` and these indexes, and a run on it.
pub(super) fn begun(place: &Place, indexes: &[IndexSpec]) -> (Writer, RunHandle) {
    let mut writer = place.writer();
    writer.declare(&[], indexes, &name("items")).unwrap();
    let run = writer.begin_run(&start("job")).unwrap();
    (writer, run)
}

/// One committed group.
pub(super) fn commit(writer: &mut Writer, run: &RunHandle, group: &[BatchWrite], policy: &WritePolicy) -> Vec<Receipt> {
    writer.begin().unwrap();
    let receipts = writer.apply(run, group, policy).unwrap();
    writer.commit().unwrap();
    receipts
}

/// Every row of `items`, sorted by id.
pub(super) fn rows(reader: &Reader) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    reader
        .export(&name("items"), |id, body| -> crate::error::Result<()> {
            rows.push((id.to_owned(), body.to_owned()));
            Ok(())
        })
        .unwrap();
    rows
}

pub(super) fn row(id: &str, body: &str) -> (String, String) {
    (id.to_owned(), body.to_owned())
}
