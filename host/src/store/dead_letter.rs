//! Items that were refused or failed, with their original bytes and the reason.

use rusqlite::{Connection, OptionalExtension, Row};

use super::face::{BatchWrite, RunHandle};
use super::failure::{OrFail, int, uint};
use super::history::parsed;
use crate::error::{Code, Error, Result};
use crate::model::{Digest, Fate, Name, Phase, Problem, RecordKind, Refusal, RunNumber, now_ms};

/// The name of what a run reads that tries dead letters again, before the number of the run that they are of.
pub const RETRIED: &str = "dead letters of run ";

/// What has become of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterState {
    /// Nothing yet.
    Open,
    /// A later run tried its item again; if that failed, the failure is a dead letter of that run.
    Retried,
    /// Someone decided to let it go; the bytes are gone, the reason stays.
    Discarded,
}

impl LetterState {
    /// Its stable name.
    pub fn as_str(self) -> &'static str {
        match self {
            LetterState::Open => "open",
            LetterState::Retried => "retried",
            LetterState::Discarded => "discarded",
        }
    }

    /// Reads the stable name back.
    pub fn parse(text: &str) -> Option<Self> {
        [LetterState::Open, LetterState::Retried, LetterState::Discarded].into_iter().find(|s| s.as_str() == text)
    }
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub id: i64,
    pub run: RunNumber,
    /// Row of the history.
    pub batch: i64,
    pub ordinal: u64,
    /// None where the bytes are no item.
    pub item_id: Option<String>,
    pub fate: Fate,
    pub phase: Phase,
    /// Of the first problem.
    pub code: String,
    pub message: String,
    pub problems: Vec<Problem>,
    pub slot: Option<String>,
    /// Digest of the plugin that refused or failed it.
    pub plugin: Option<Digest>,
    /// Those of the letters before included.
    pub attempts: u32,
    /// The letter before, where this is the failure of an item that was tried again.
    pub retry_of: Option<i64>,
    /// Input, line from 1, and byte offset it came from; as of the first letter, however often it was tried again.
    pub input: String,
    pub line: u64,
    pub offset: u64,
    /// The item's body, or the bytes that are no item (all, or the head); none once discarded, or where they were not read.
    pub original: Option<Vec<u8>>,
    /// How many of them are kept; none once discarded.
    pub kept_bytes: Option<u64>,
    /// Digest of the whole where the bytes are no item.
    pub original_digest: Option<Digest>,
    /// Length of the whole, in bytes.
    pub total_bytes: u64,
    pub created_ms: i64,
    pub state: LetterState,
    pub resolved_ms: Option<i64>,
    /// Run that tried it again.
    pub resolved_run: Option<RunNumber>,
    /// Which record of that run it was.
    pub resolved_ordinal: Option<u64>,
}

/// Which dead letters are meant. Members that are none or empty do not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LetterFilter {
    pub ids: Vec<i64>,
    pub run: Option<RunNumber>,
    pub code: Option<String>,
    pub phase: Option<Phase>,
    pub slot: Option<String>,
    pub plugin: Option<Digest>,
    pub state: Option<LetterState>,
    /// Of the item with this id.
    pub item: Option<String>,
    /// Of runs into this collection.
    pub collection: Option<Name>,
}

impl LetterFilter {
    /// SQL condition and what to bind to it, in order.
    fn condition(&self) -> (String, Vec<rusqlite::types::Value>) {
        let mut terms = vec!["true".to_owned()];
        let mut values: Vec<rusqlite::types::Value> = Vec::new();
        let mut term = |column: &str, value: Option<rusqlite::types::Value>| {
            if let Some(value) = value {
                terms.push(format!("{column} = ?"));
                values.push(value);
            }
        };
        term("run", self.run.map(|r| int(r.0).into()));
        term("code", self.code.clone().map(Into::into));
        term("phase", self.phase.map(|p| p.as_str().to_owned().into()));
        term("slot", self.slot.clone().map(Into::into));
        term("plugin", self.plugin.map(|d| d.to_string().into()));
        term("state", self.state.map(|s| s.as_str().to_owned().into()));
        term("item_id", self.item.clone().map(Into::into));
        if let Some(collection) = &self.collection {
            // With the plus it is no search by run, which would gather and sort all letters for each page by id.
            terms.push("+run IN (SELECT id FROM atlas_runs WHERE collection = ?)".to_owned());
            values.push(collection.as_str().to_owned().into());
        }
        if !self.ids.is_empty() {
            // One bound value however many ids there are.
            terms.push("id IN (SELECT value FROM json_each(?))".to_owned());
            values.push(serde_json::Value::from(self.ids.clone()).to_string().into());
        }
        (terms.join(" AND "), values)
    }
}

/// Writes the dead letters of one batch, in input order. Must run inside the batch's transaction.
pub(super) fn record(
    conn: &Connection,
    run: &RunHandle,
    batch: i64,
    write: &BatchWrite,
    refused: &[(usize, &Refusal)],
) -> Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let doing = "write a dead letter";
    let created_ms = now_ms();
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO atlas_dead_letters (run, batch, ordinal, item_id, fate, phase, code, message, problems, slot, plugin, attempts,
             retry_of, input, line, byte_offset, original, original_digest, total_bytes, created_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )
        .or_fail(conn, doing)?;
    for (index, refusal) in refused {
        let record = &write.batch.records[*index];
        let before = match write.retried.get(*index) {
            Some(id) => Some(self::before(conn, *id)?),
            None => None,
        };
        let (item_id, original, digest, total) = match (&record.kind, write.batch.item(*index)) {
            // Bytes that are no text came here as text: the letter before has them as they were.
            (RecordKind::Broken(_), _) if let Some(before) = &before => {
                (None, before.original.as_slice(), before.original_digest.clone(), before.total_bytes)
            }
            (RecordKind::Broken(broken), _) => {
                (None, broken.kept.as_slice(), Some(broken.digest.to_string()), broken.total_bytes)
            }
            (_, Some(item)) => (Some(item.id), item.body.as_bytes(), None, item.body.len() as u64),
            (RecordKind::Item { .. }, None) => (None, [].as_slice(), None, 0),
        };
        let (code, message) = refusal.problems.first().map_or(("", ""), |p| (p.code.as_str(), p.message.as_str()));
        let problems = serde_json::to_string(&refusal.problems).expect("problems are strings");
        let plugin = refusal
            .slot
            .as_ref()
            .and_then(|slot| write.digests.iter().find(|(s, _)| s == slot))
            .map(|(_, d)| d.to_string());
        let input = write.input_names.get(record.position.input as usize).map_or("", String::as_str);
        let (attempts, input, line, offset) = match &before {
            Some(before) => {
                (before.attempts.saturating_add(refusal.attempts), before.input.as_str(), before.line, before.offset)
            }
            None => (refusal.attempts, input, record.position.line, record.position.offset),
        };
        let values: [&dyn rusqlite::ToSql; 20] = [
            &int(run.run.0),
            &batch,
            &int(write.batch.ordinal(*index).0),
            &item_id,
            &refusal.fate.as_str(),
            &refusal.phase.as_str(),
            &code,
            &message,
            &problems,
            &refusal.slot.as_ref().map(|s| s.as_str()),
            &plugin,
            &attempts,
            &before.as_ref().map(|before| before.id),
            &input,
            &int(line),
            &int(offset),
            &original,
            &digest,
            &int(total),
            &created_ms,
        ];
        insert.execute(values).or_fail(conn, doing)?;
    }
    Ok(())
}

/// What a letter takes over from the one before.
struct Before {
    id: i64,
    attempts: u32,
    input: String,
    line: u64,
    offset: u64,
    original: Vec<u8>,
    original_digest: Option<String>,
    total_bytes: u64,
}

fn before(conn: &Connection, id: i64) -> Result<Before> {
    conn.prepare_cached(
        "SELECT id, attempts, input, line, byte_offset, coalesce(original, x''), original_digest, total_bytes
         FROM atlas_dead_letters WHERE id = ?1",
    )
    .and_then(|mut s| {
        s.query_row([id], |row| {
            Ok(Before {
                id: row.get(0)?,
                attempts: row.get(1)?,
                input: row.get(2)?,
                line: uint(row, 3)?,
                offset: uint(row, 4)?,
                original: row.get(5)?,
                original_digest: row.get(6)?,
                total_bytes: uint(row, 7)?,
            })
        })
    })
    .or_fail(conn, "read the dead letter before")
}

/// Marks open letters as tried again by this run: the first as its record `first`, the next as the one after, and so on.
/// Must run inside the transaction of the batch that tries them.
///
/// Errors: OPERATION_5004 where one of them is no longer open: somebody else has tried it, or let it go.
pub(super) fn mark_retried(conn: &Connection, run: RunNumber, first: u64, ids: &[i64]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let marked = conn
        .prepare_cached(
        "UPDATE atlas_dead_letters SET state = 'retried', resolved_ms = ?1, resolved_run = ?2, resolved_ordinal = ?4 + tried.key
         FROM json_each(?3) AS tried WHERE atlas_dead_letters.id = tried.value AND state = 'open'",
    )
    .and_then(|mut s| s.execute((now_ms(), int(run.0), serde_json::Value::from(ids).to_string(), int(first))))
    .or_fail(conn, "mark dead letters as retried")?;
    if marked != ids.len() {
        let text = format!(
            "{} of {} dead letters have been tried again, or let go, by another command meanwhile",
            ids.len().saturating_sub(marked),
            ids.len()
        );
        return Err(Error::new(Code::ConcurrentModification, text));
    }
    Ok(())
}

/// The letter that record `ordinal` of a run tried again; none where the record was no letter.
pub(super) fn tried_by(conn: &Connection, run: RunNumber, ordinal: u64) -> Result<Option<DeadLetter>> {
    of_record(conn, "resolved_run = ?1 AND resolved_ordinal = ?2", run, ordinal)
}

/// The letter that record `ordinal` of a run became; none where it was neither refused nor failed.
pub(super) fn made_of(conn: &Connection, run: RunNumber, ordinal: u64) -> Result<Option<DeadLetter>> {
    of_record(conn, "run = ?1 AND ordinal = ?2", run, ordinal)
}

fn of_record(conn: &Connection, condition: &str, run: RunNumber, ordinal: u64) -> Result<Option<DeadLetter>> {
    conn.prepare_cached(&format!("SELECT {COLUMNS}, original FROM atlas_dead_letters WHERE {condition}"))
        .and_then(|mut s| s.query_row((int(run.0), int(ordinal)), letter).optional())
        .or_fail(conn, "read the dead letter of a record")
}

/// Lets the open ones among these go: their bytes are removed, the reasons stay. Returns how many.
pub(super) fn discard(conn: &Connection, filter: &LetterFilter) -> Result<u64> {
    let (condition, values) = filter.condition();
    // The times come from the clock, not from the user: they may stand in the text, which keeps the bound values in order.
    let sql = format!(
        "UPDATE atlas_dead_letters SET state = 'discarded', original = NULL, resolved_ms = {} WHERE {condition} AND state = 'open'",
        now_ms()
    );
    let changed = conn.execute(&sql, rusqlite::params_from_iter(values)).or_fail(conn, "discard dead letters")?;
    Ok(changed as u64)
}

/// How many match.
pub(super) fn count(conn: &Connection, filter: &LetterFilter) -> Result<u64> {
    let (condition, values) = filter.condition();
    let sql = format!("SELECT count(*) FROM atlas_dead_letters WHERE {condition}");
    conn.query_row(&sql, rusqlite::params_from_iter(values), |row| uint(row, 0)).or_fail(conn, "count dead letters")
}

/// Those that match with an id above `after`, by id, at most `limit`, without their original bytes.
pub(super) fn heads(conn: &Connection, filter: &LetterFilter, after: i64, limit: usize) -> Result<Vec<DeadLetter>> {
    let (sql, values) = page(COLUMNS, filter, after, limit);
    conn.prepare(&sql)
        .and_then(|mut s| s.query_map(rusqlite::params_from_iter(values), head)?.collect())
        .or_fail(conn, "read dead letters")
}

/// As [`heads`], with their original bytes: fewer than `limit` where these come to `bytes_max`, but one at the least.
pub(super) fn list(
    conn: &Connection,
    filter: &LetterFilter,
    after: i64,
    limit: usize,
    bytes_max: usize,
) -> Result<Vec<DeadLetter>> {
    let (sql, values) = page(&format!("{COLUMNS}, original"), filter, after, limit);
    let read = || -> rusqlite::Result<Vec<DeadLetter>> {
        let mut statement = conn.prepare(&sql)?;
        let mut bytes = 0;
        let mut letters = Vec::new();
        for next in statement.query_map(rusqlite::params_from_iter(values), letter)? {
            let next = next?;
            bytes += next.original.as_ref().map_or(0, Vec::len);
            letters.push(next);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(letters)
    };
    read().or_fail(conn, "read dead letters")
}

/// A page of letters as SQL, and what to bind to it.
fn page(columns: &str, filter: &LetterFilter, after: i64, limit: usize) -> (String, Vec<rusqlite::types::Value>) {
    let (condition, mut values) = filter.condition();
    values.push(after.into());
    values.push(int(limit as u64).into());
    let sql = format!("SELECT {columns} FROM atlas_dead_letters WHERE {condition} AND id > ? ORDER BY id LIMIT ?");
    (sql, values)
}

/// The newest that match and hold an item of at most so many bytes, at most `limit`, by id.
pub(super) fn newest(
    conn: &Connection,
    filter: &LetterFilter,
    limit: usize,
    bytes_max: u64,
) -> Result<Vec<DeadLetter>> {
    let (condition, mut values) = filter.condition();
    values.push(int(bytes_max).into());
    values.push(int(limit as u64).into());
    let sql = format!(
        "SELECT id FROM atlas_dead_letters WHERE {condition} AND item_id IS NOT NULL AND length(original) <= ? ORDER BY id DESC LIMIT ?"
    );
    let ids: Vec<i64> = conn
        .prepare(&sql)
        .and_then(|mut s| s.query_map(rusqlite::params_from_iter(values), |row| row.get(0))?.collect())
        .or_fail(conn, "read dead letters")?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    list(conn, &LetterFilter { ids, ..LetterFilter::default() }, 0, limit, usize::MAX)
}

/// Ordinals of the newest dead letters of a run, none below `from`, at most `limit`; ascending.
pub(super) fn newest_ordinals(conn: &Connection, run: RunNumber, from: u64, limit: u64) -> Result<Vec<u64>> {
    let sql = "SELECT ordinal FROM atlas_dead_letters WHERE run = ?1 AND ordinal >= ?2 ORDER BY ordinal DESC LIMIT ?3";
    let mut ordinals: Vec<u64> = conn
        .prepare_cached(sql)
        .and_then(|mut s| s.query_map((int(run.0), int(from), int(limit)), |row| uint(row, 0))?.collect())
        .or_fail(conn, "read dead letters")?;
    ordinals.reverse();
    Ok(ordinals)
}

/// What [`head`] reads, in its order. Of the original bytes only the number: SQLite knows it without a look at them.
const COLUMNS: &str = "id, run, batch, ordinal, item_id, fate, phase, code, message, problems, slot, plugin, attempts, input, line,
    byte_offset, length(original), original_digest, total_bytes, created_ms, state, resolved_ms, resolved_run, resolved_ordinal, retry_of";

/// A letter from [`COLUMNS`] and its original bytes behind them.
fn letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter { original: row.get(25)?, ..head(row)? })
}

fn head(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let digest = |i| row.get::<_, Option<String>>(i).map(|d| d.as_deref().and_then(Digest::parse));
    Ok(DeadLetter {
        id: row.get(0)?,
        run: RunNumber(uint(row, 1)?),
        batch: row.get(2)?,
        ordinal: uint(row, 3)?,
        item_id: row.get(4)?,
        fate: parsed(row, 5, |t| [Fate::Rejected, Fate::DeadLettered].into_iter().find(|f| f.as_str() == t))?,
        phase: parsed(row, 6, Phase::parse)?,
        code: row.get(7)?,
        message: row.get(8)?,
        problems: parsed(row, 9, |t| serde_json::from_str(t).ok())?,
        slot: row.get(10)?,
        plugin: digest(11)?,
        attempts: row.get(12)?,
        input: row.get(13)?,
        line: uint(row, 14)?,
        offset: uint(row, 15)?,
        original: None,
        kept_bytes: row.get::<_, Option<i64>>(16)?.map(|n| u64::try_from(n).unwrap_or(0)),
        original_digest: digest(17)?,
        total_bytes: uint(row, 18)?,
        created_ms: row.get(19)?,
        state: parsed(row, 20, LetterState::parse)?,
        resolved_ms: row.get(21)?,
        resolved_run: row.get::<_, Option<i64>>(22)?.map(|n| RunNumber(u64::try_from(n).unwrap_or(0))),
        resolved_ordinal: row.get::<_, Option<i64>>(23)?.map(|n| u64::try_from(n).unwrap_or(0)),
        retry_of: row.get(24)?,
    })
}
