//! Checks everything that must hold in a store. Writes nothing.

use rusqlite::Connection;

use super::catalog::{Catalog, definition, quoted};
use super::failure::{OrFail, failed, is_damage, text_of};
use super::{index, schema};
use crate::error::{Code, Result};
use crate::model::Digest;

/// How thoroughly a store is checked. Both levels check the books, the history, the plugins and the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// SQLite's pages (`PRAGMA quick_check`).
    Quick,
    /// The same, and every index against its rows (`PRAGMA integrity_check` and our own comparison).
    Full,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub code: Code,
    /// What was found, where, and what was wanted.
    pub message: String,
}

/// Findings told per check; more of the same kind would tell nothing new.
const FINDINGS_PER_CHECK_MAX: usize = 10;

/// Invariants of the host's own tables. Each query returns one line of text for each place where its invariant does not hold.
const CHECKS: &[(&str, &str)] = &[
    (
        "the books of a batch balance",
        "SELECT format('batch %d of run %d: read %d, but stored %d + rejected %d + dead-lettered %d + dropped %d',
                number, run, read, stored, rejected, dead_lettered, dropped)
         FROM atlas_batches WHERE read <> stored + rejected + dead_lettered + dropped",
    ),
    (
        "the batches of a run follow each other without a gap",
        "SELECT format('batch %d of run %d begins at ordinal %d; wanted batch %d at ordinal %d', number, run, first_ordinal, wanted, start)
         FROM (SELECT b.run, number, first_ordinal, row_number() OVER w - 1 AS wanted,
                      coalesce(lag(first_ordinal + read) OVER w, c.lo) AS start
               FROM atlas_batches AS b JOIN atlas_checkpoints AS c ON c.run = b.run AND c.\"partition\" = 0
               WINDOW w AS (PARTITION BY b.run ORDER BY number))
         WHERE number <> wanted OR first_ordinal <> start",
    ),
    (
        "a checkpoint stands where its last batch ended",
        "SELECT format('the checkpoint of run %d stands at ordinal %d; its batches end at %d', c.run, c.next, ends)
         FROM (SELECT run, next, coalesce((SELECT first_ordinal + read FROM atlas_batches AS b WHERE b.run = k.run ORDER BY number DESC LIMIT 1), lo) AS ends
               FROM atlas_checkpoints AS k) AS c
         WHERE next <> ends",
    ),
    (
        "a run's counts are the sums over its batches",
        "SELECT format('run %d counts %d read, %d stored, %d rejected, %d dead-lettered, %d dropped in %d batches; its batches say %d, %d, %d, %d, %d in %d',
                r.id, r.read, r.stored, r.rejected, r.dead_lettered, r.dropped, r.batches, s.a, s.b, s.c, s.d, s.e, s.n)
         FROM atlas_runs AS r JOIN (
             SELECT k.id, count(b.id) AS n, coalesce(sum(b.read), 0) AS a, coalesce(sum(b.stored), 0) AS b, coalesce(sum(b.rejected), 0) AS c,
                    coalesce(sum(b.dead_lettered), 0) AS d, coalesce(sum(b.dropped), 0) AS e, coalesce(sum(b.inserted), 0) AS f,
                    coalesce(sum(b.replaced), 0) AS g, coalesce(sum(b.unchanged), 0) AS h, coalesce(sum(b.ignored), 0) AS i,
                    coalesce(sum(b.deleted), 0) AS j, coalesce(sum(b.retries), 0) AS l, coalesce(sum(b.blank_lines), 0) AS m
             FROM atlas_runs AS k LEFT JOIN atlas_batches AS b ON b.run = k.id GROUP BY k.id) AS s ON s.id = r.id
         WHERE (r.batches, r.read, r.stored, r.rejected, r.dead_lettered, r.dropped, r.inserted, r.replaced, r.unchanged, r.ignored, r.deleted, r.retries, r.blank_lines)
            IS NOT (s.n, s.a, s.b, s.c, s.d, s.e, s.f, s.g, s.h, s.i, s.j, s.l, s.m)",
    ),
    (
        "every rejected or dead-lettered item has its row",
        "SELECT format('batch %d of run %d: %d rejected and %d dead-lettered, but %d and %d dead letters', number, run, rejected, dead_lettered, r, d)
         FROM (SELECT number, run, rejected, dead_lettered,
                      (SELECT count(*) FROM atlas_dead_letters AS l WHERE l.batch = b.id AND fate = 'rejected') AS r,
                      (SELECT count(*) FROM atlas_dead_letters AS l WHERE l.batch = b.id AND fate = 'dead-lettered') AS d
               FROM atlas_batches AS b)
         WHERE r <> rejected OR d <> dead_lettered",
    ),
    (
        "a dead letter belongs to its batch and keeps its bytes",
        "SELECT format('dead letter %d (run %d, ordinal %d) does not fit batch %d of run %d, or has lost its bytes', l.id, l.run, l.ordinal, b.number, b.run)
         FROM atlas_dead_letters AS l JOIN atlas_batches AS b ON b.id = l.batch
         WHERE l.run <> b.run OR l.ordinal < b.first_ordinal OR l.ordinal >= b.first_ordinal + b.read
            OR (original IS NULL) <> (state = 'discarded') OR (state = 'open') <> (resolved_ms IS NULL)
            OR (item_id IS NOT NULL AND original IS NOT NULL AND length(original) <> total_bytes)",
    ),
    (
        "a dead letter that was tried again leads to what came of it",
        "SELECT format('dead letter %d is %s, but run %s and ordinal %s are to have tried it again, and letter %s follows it', l.id, l.state,
                coalesce(l.resolved_run, 'none'), coalesce(l.resolved_ordinal, 'none'), coalesce(f.id, 'none'))
         FROM atlas_dead_letters AS l LEFT JOIN atlas_dead_letters AS f ON f.retry_of = l.id
         WHERE (l.state = 'retried') <> (l.resolved_run IS NOT NULL) OR (l.state = 'retried') <> (l.resolved_ordinal IS NOT NULL)
            OR (f.id IS NOT NULL AND (f.run, f.ordinal) IS NOT (l.resolved_run, l.resolved_ordinal))",
    ),
    (
        "what is pointed to is there",
        "SELECT format('a row of %s points to a row of %s that is not there', \"table\", parent) FROM pragma_foreign_key_check",
    ),
];

/// All checks in one consistent state; empty if everything holds. Errors only where the file cannot be read at all.
pub(super) fn verify(conn: &Connection, level: Level) -> Result<Vec<Finding>> {
    let snapshot = conn.unchecked_transaction().or_fail(conn, "begin to read")?;
    let mut findings: Vec<Finding> =
        damage(conn, level)?.into_iter().map(|message| Finding { code: Code::StorageGeneral, message }).collect();
    findings
        .extend(schema::differences(conn)?.into_iter().map(|message| Finding { code: Code::StorageForeign, message }));
    for (invariant, sql) in CHECKS {
        findings.extend(violations(conn, invariant, sql));
    }
    plugins(conn, &mut findings)?;
    let catalog = Catalog::load(conn)?;
    for collection in catalog.names() {
        let table = quoted(collection);
        for (invariant, condition) in [
            ("a body is strict JSON", "NOT json_valid(body)"),
            ("a row's batch is in the history", "batch IS NOT NULL AND batch NOT IN (SELECT id FROM atlas_batches)"),
        ] {
            let sql = format!("SELECT format('row %Q of `{collection}`', id) FROM {table} WHERE {condition}");
            findings.extend(violations(conn, invariant, &sql));
        }
        for declared in catalog.collection(collection)? {
            match definition(conn, collection, declared)? {
                Some(difference) => findings.push(Finding { code: Code::IndexOutOfStep, message: difference }),
                // One that is put off has no entries to compare.
                None if level == Level::Full && declared.built => {
                    findings.extend(index::check(conn, collection, declared)?)
                }
                None => {}
            }
        }
    }
    snapshot.finish().or_fail(conn, "end reading")?;
    Ok(findings)
}

/// What SQLite says of its pages; empty if they are sound.
pub(super) fn damage(conn: &Connection, level: Level) -> Result<Vec<String>> {
    let check = match level {
        Level::Quick => "PRAGMA quick_check",
        Level::Full => "PRAGMA integrity_check",
    };
    let said = conn
        .prepare(check)
        .and_then(|mut s| s.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>());
    match said {
        // SQLite says what it found in one tree as one text of several lines, under a heading that names the database.
        Ok(said) => {
            let lines = said.iter().flat_map(|text| text.lines());
            Ok(lines.filter(|line| *line != "ok" && !line.starts_with("***")).map(str::to_owned).collect())
        }
        // The damage is such that the check itself cannot go on.
        Err(error) if is_damage(&error) => Ok(vec![text_of(&error)]),
        Err(error) => Err(error).or_fail(conn, "check the database"),
    }
}

/// True if a line of [`damage`] tells of a page that belongs to nothing: space is lost, and nothing else.
pub(super) fn is_lost_space(line: &str) -> bool {
    line.starts_with("Page ") && (line.ends_with(": never used") || line.ends_with(" is never used"))
}

fn violations(conn: &Connection, invariant: &str, sql: &str) -> Vec<Finding> {
    let lines = conn.prepare(sql).and_then(|mut s| {
        s.query_map([], |row| row.get::<_, String>(0))?
            .take(FINDINGS_PER_CHECK_MAX)
            .collect::<rusqlite::Result<Vec<_>>>()
    });
    match lines {
        Ok(lines) => lines
            .into_iter()
            .map(|line| Finding { code: Code::StorageGeneral, message: format!("{line}, but {invariant}") })
            .collect(),
        Err(error) => {
            let error = failed(conn, &format!("check that {invariant}"), Code::StorageGeneral, error);
            vec![Finding { code: error.code(), message: error.to_string() }]
        }
    }
}

/// The check of the plugins' bytes by itself.
pub(super) fn plugins_alone(conn: &Connection) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    plugins(conn, &mut findings)?;
    Ok(findings)
}

fn plugins(conn: &Connection, findings: &mut Vec<Finding>) -> Result<()> {
    let doing = "read the plugins";
    let mut statement =
        conn.prepare("SELECT digest, name, bytes FROM atlas_plugins WHERE bytes IS NOT NULL").or_fail(conn, doing)?;
    let mut rows = statement.query([]).or_fail(conn, doing)?;
    while let Some(row) = rows.next().or_fail(conn, doing)? {
        let (digest, name): (String, String) = (row.get(0).or_fail(conn, doing)?, row.get(1).or_fail(conn, doing)?);
        let bytes: Vec<u8> = row.get(2).or_fail(conn, doing)?;
        let found = Digest::of(&bytes).to_string();
        if found != digest {
            let message = format!("the bytes of plugin {name:?} have the digest {found}; wanted {digest}");
            findings.push(Finding { code: Code::StorageGeneral, message });
        }
    }
    Ok(())
}
