//! Dead letters that are tried again, and the rows that are newer than they.
//!
//! A letter is as old as the record that it was first made of. A row is as old as the record that made it; where that record
//! was a letter itself, as old as that letter. So letters of one id overwrite each other in the order of their inputs, in
//! whatever order they are tried, and none overwrites what was written after it.

use rusqlite::{Connection, OptionalExtension};

use super::catalog::quoted;
use super::face::{BatchWrite, WritePolicy};
use super::failure::{OrFail, int};
use crate::error::{Code, Result};
use crate::model::{Name, Problem};

/// When something was written: the batch in the history, then the ordinal of its record.
type Age = (i64, i64);

/// The letters that a group of batches tries again.
pub(super) struct Again<'g> {
    group: &'g [BatchWrite],
    first_id: i64,
    looks: bool,
}

/// The rows that are newer than one letter.
pub(super) struct Newer<'g> {
    again: Again<'g>,
    letter: i64,
    age: Age,
}

impl<'g> Again<'g> {
    /// Of a group whose first batch has this id in the history.
    pub fn of(group: &'g [BatchWrite], first_id: i64, policy: &WritePolicy) -> Self {
        Self { group, first_id, looks: !policy.over_newer }
    }

    /// What this record must leave alone; none where it is no letter.
    pub fn newer_than(&self, conn: &Connection, batch: usize, record: usize) -> Result<Option<Newer<'g>>> {
        let Some(&letter) = self.group[batch].retried.get(record).filter(|_| self.looks) else { return Ok(None) };
        let again = Again { group: self.group, first_id: self.first_id, looks: true };
        Ok(Some(Newer { again, letter, age: age(conn, letter)? }))
    }

    /// The letter that made a row, where one did.
    fn letter_of(&self, conn: &Connection, (batch, ordinal): Age) -> Result<Option<i64>> {
        // Batches of the group itself are in the history only after their rows.
        if let Some(write) = usize::try_from(batch - self.first_id).ok().and_then(|at| self.group.get(at)) {
            let record = usize::try_from(ordinal - int(write.batch.first_ordinal)).ok();
            return Ok(record.and_then(|record| write.retried.get(record)).copied());
        }
        conn.prepare_cached(
            "SELECT l.id FROM atlas_batches AS b JOIN atlas_dead_letters AS l ON l.resolved_run = b.run AND l.resolved_ordinal = ?2
             WHERE b.id = ?1",
        )
        .and_then(|mut s| s.query_row((batch, ordinal), |row| row.get(0)).optional())
        .or_fail(conn, "read the dead letter of a row")
    }
}

impl Newer<'_> {
    /// Why the letter may not put this body (none deletes) under the id: a row that is newer and has another body.
    pub fn refuses(
        &mut self,
        conn: &Connection,
        collection: &Name,
        id: &str,
        body: Option<&str>,
    ) -> Result<Option<Problem>> {
        let sql = format!("SELECT batch, ordinal FROM {} WHERE id = ?1 AND body IS NOT ?2", quoted(collection));
        let made: Option<(Option<i64>, Option<i64>)> = conn
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_row((id, body), |row| Ok((row.get(0)?, row.get(1)?))).optional())
            .or_fail(conn, "look for a newer row")?;
        // A row that no run wrote has no place in the history: it is treated as any row that is there.
        let Some((Some(batch), Some(ordinal))) = made else { return Ok(None) };
        let row = match self.again.letter_of(conn, (batch, ordinal))? {
            Some(letter) => age(conn, letter)?,
            None => (batch, ordinal),
        };
        if row <= self.age {
            return Ok(None);
        }
        let run: Option<i64> = conn
            .prepare_cached("SELECT run FROM atlas_batches WHERE id = ?1")
            .and_then(|mut s| s.query_row([row.0], |row| row.get(0)).optional())
            .or_fail(conn, "look for the run of a newer row")?;
        let by = run.map_or_else(|| "by this run".to_owned(), |run| format!("by run {run}"));
        let message = format!(
            "collection `{collection}` has a row with this key that was written after the dead letter, {by}; --over-newer replaces it"
        );
        let mut problem = Problem::of_host(Code::IndexConstraint, message);
        problem.details = vec![
            ("collection".to_owned(), collection.to_string()),
            ("id".to_owned(), id.to_owned()),
            ("letter".to_owned(), self.letter.to_string()),
        ];
        Ok(Some(problem))
    }
}

/// When the record was read of which the first letter was made.
pub(super) fn age(conn: &Connection, letter: i64) -> Result<Age> {
    conn.prepare_cached(
        "WITH RECURSIVE back (batch, ordinal, retry_of) AS (
             SELECT batch, ordinal, retry_of FROM atlas_dead_letters WHERE id = ?1
             UNION ALL SELECT l.batch, l.ordinal, l.retry_of FROM back JOIN atlas_dead_letters AS l ON l.id = back.retry_of)
         SELECT batch, ordinal FROM back WHERE retry_of IS NULL",
    )
    .and_then(|mut s| s.query_row([letter], |row| Ok((row.get(0)?, row.get(1)?))))
    .or_fail(conn, "read where a dead letter began")
}
