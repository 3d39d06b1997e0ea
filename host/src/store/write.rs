//! Applying a group of batches: the one place where items become rows.
//!
//! Invariants: all of a batch's effects, dead letters, history and checkpoint are in the transaction that is open;
//! an item that a constraint refuses leaves no effect and gets its dead letter; the books balance before anything commits.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::catalog::{self, Catalog};
use super::face::{BatchWrite, Receipt, RunHandle, WritePolicy};
use super::failure::{OrFail, Refused, failed, int, refused, text_of};
use super::items::{self, Maker, Table};
use super::newer::{Again, Newer};
use super::{dead_letter, extract, history, level};
use crate::error::{Code, Error, Result};
use crate::model::{BatchMetrics, Change, Counts, Decision, Fate, Name, OnExisting, Phase, Problem, Refusal};

/// The transaction that a group is applied in.
pub(super) struct Surroundings<'a> {
    pub conn: &'a Connection,
    pub catalog: &'a Catalog,
    /// Source of savepoint names: a counter, so that no two are ever the same.
    pub savepoints: &'a mut u64,
    /// When the transaction began.
    pub since: Instant,
    /// How long it may take.
    pub time_max: Duration,
}

/// One change of one item, resolved to its table.
struct Step<'a> {
    table: usize,
    id: &'a str,
    /// None deletes.
    body: Option<&'a str>,
}

/// One item with changes.
struct Planned {
    batch: usize,
    record: usize,
    steps: std::ops::Range<usize>,
    /// It was rejected and counted as that; its row is removed.
    removed: bool,
}

/// What is known of one batch while its group is applied.
#[derive(Default)]
struct Tally {
    counts: Counts,
    refused: Vec<(usize, Refusal)>,
    bytes_out: u64,
    steps: u64,
}

enum Stop {
    /// The item's affair.
    Item(Problem),
    /// The transaction's.
    Group(Error),
}

/// How often the time bound is looked at, in items.
const ITEMS_PER_LOOK: usize = 64;

/// Applies the batches in order. See [`super::Store::apply`].
pub(super) fn apply(
    around: &mut Surroundings<'_>,
    run: &RunHandle,
    group: &[BatchWrite],
    policy: &WritePolicy,
) -> Result<Vec<Receipt>> {
    let conn = around.conn;
    let started = Instant::now();
    let first_id = history::next_batch_id(conn)?;
    let mut tallies: Vec<Tally> = group.iter().map(|_| Tally::default()).collect();
    let mut plan = Plan { tables: Vec::new(), by_name: HashMap::new(), steps: Vec::new(), items: Vec::new() };
    for (i, write) in group.iter().enumerate() {
        plan.add(around, policy, i, write, &mut tallies[i])?;
    }
    if policy.sort {
        plan.sort_where_order_cannot_show(policy);
    }
    // Where all indexes are put off, nobody sees what their columns hold.
    if plan.pointers_are_unread(conn)? {
        extract::with_none(|| plan.execute(around, group, policy, first_id, &mut tallies))?;
    } else {
        plan.execute(around, group, policy, first_id, &mut tallies)?;
    }
    let rows_us = micros(started.elapsed());
    let all_steps: u64 = tallies.iter().map(|t| t.steps).sum::<u64>().max(1);
    let mut receipts = Vec::with_capacity(group.len());
    for (i, (write, tally)) in group.iter().zip(tallies).enumerate() {
        let share_us = (u128::from(rows_us) * u128::from(tally.steps) / u128::from(all_steps)) as u64;
        receipts.push(record(conn, run, first_id + i as i64, write, tally, share_us)?);
        check_time(around)?;
    }
    if conn.is_autocommit() {
        return Err(Error::new(
            Code::TransactionState,
            "the transaction ended while a group was applied; nothing of the group is kept",
        ));
    }
    Ok(receipts)
}

struct Plan<'a> {
    tables: Vec<Table<'a>>,
    by_name: HashMap<&'a Name, usize>,
    steps: Vec<Step<'a>>,
    items: Vec<Planned>,
}

impl<'a> Plan<'a> {
    /// Takes in one batch: counts what needs no row, resolves the changes of the rest.
    fn add(
        &mut self,
        around: &Surroundings<'a>,
        policy: &'a WritePolicy,
        batch: usize,
        write: &'a BatchWrite,
        tally: &mut Tally,
    ) -> Result<()> {
        for (record, decision) in write.decisions.iter().enumerate() {
            let from = self.steps.len();
            let resolved = match decision {
                Decision::Drop => {
                    tally.counts.count(Fate::Dropped);
                    continue;
                }
                Decision::Refuse(refusal) => {
                    tally.counts.count(refusal.fate);
                    if policy.remove_rejected && refusal.fate == Fate::Rejected {
                        self.remove(around, policy, batch, record, write)?;
                    }
                    continue;
                }
                Decision::Keep | Decision::Replace(_) => {
                    let item = write.batch.item(record).expect("BUG: the shape of the batch was checked");
                    let body = if let Decision::Replace(body) = decision { body } else { item.body };
                    self.step(around, None, policy, item.id, Some(body))?
                }
                Decision::Emit(changes) => self.emit(around, policy, changes)?,
            };
            match resolved {
                None => self.items.push(Planned { batch, record, steps: from..self.steps.len(), removed: false }),
                Some(problem) => {
                    self.steps.truncate(from);
                    tally.refuse(record, problem, write);
                }
            }
        }
        Ok(())
    }

    fn remove(
        &mut self,
        around: &Surroundings<'a>,
        policy: &'a WritePolicy,
        batch: usize,
        record: usize,
        write: &'a BatchWrite,
    ) -> Result<()> {
        let from = self.steps.len();
        let item = write.batch.item(record).expect("BUG: a rule judged what is no item");
        // The target collection is declared before a run begins.
        if self.step(around, None, policy, item.id, None)?.is_none() {
            self.items.push(Planned { batch, record, steps: from..self.steps.len(), removed: true });
        }
        Ok(())
    }

    fn emit(
        &mut self,
        around: &Surroundings<'a>,
        policy: &'a WritePolicy,
        changes: &'a [Change],
    ) -> Result<Option<Problem>> {
        for change in changes {
            let (collection, id) = change.key();
            let body = if let Change::Put { body, .. } = change { Some(body.as_str()) } else { None };
            if let Some(problem) = self.step(around, collection, policy, id, body)? {
                return Ok(Some(problem));
            }
        }
        Ok(None)
    }

    /// Adds one change; a problem if the run does not declare its collection.
    fn step(
        &mut self,
        around: &Surroundings<'a>,
        collection: Option<&'a Name>,
        policy: &'a WritePolicy,
        id: &'a str,
        body: Option<&'a str>,
    ) -> Result<Option<Problem>> {
        let name = collection.unwrap_or(&policy.target);
        let table = match self.by_name.get(name) {
            Some(&table) => table,
            None => {
                // The store may have further collections, which are other runs' own.
                let declared = policy.collections.contains(name);
                let Some(indexes) = around.catalog.indexes(name).filter(|_| declared) else {
                    return Ok(Some(undeclared(name, policy)));
                };
                self.tables.push(Table::prepare(around.conn, name, indexes)?);
                self.by_name.insert(name, self.tables.len() - 1);
                self.tables.len() - 1
            }
        };
        self.steps.push(Step { table, id, body });
        Ok(None)
    }

    /// Sorts by collection and key if nobody can tell: replacing puts and deletes, one per item, and no unique index but the key.
    /// The sort is stable, so the last write of a key stays the last, across batches too.
    fn sort_where_order_cannot_show(&mut self, policy: &WritePolicy) {
        let hidden = policy.on_existing == OnExisting::Replace
            && self.items.iter().all(|i| i.steps.len() <= 1)
            && self.tables.iter().all(|t| t.indexes.iter().all(|i| !i.unique));
        if hidden {
            let steps = &self.steps;
            let key = |item: &Planned| {
                steps.get(item.steps.start).map(|s| (s.table, s.id)).filter(|_| !item.steps.is_empty())
            };
            self.items.sort_by(|a, b| key(a).cmp(&key(b)));
        }
    }

    /// True if nothing is made of what the rows hold at a pointer. Asked of the schema in each group: others may have added
    /// to it since the last.
    fn pointers_are_unread(&self, conn: &Connection) -> Result<bool> {
        if self.tables.iter().any(|table| table.indexes.iter().any(|index| index.built)) {
            return Ok(false);
        }
        for table in &self.tables {
            if catalog::has_additions(conn, table.name, table.indexes)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn execute(
        &mut self,
        around: &mut Surroundings<'_>,
        group: &[BatchWrite],
        policy: &WritePolicy,
        first_id: i64,
        tallies: &mut [Tally],
    ) -> Result<()> {
        let again = Again::of(group, first_id, policy);
        for (n, item) in self.items.iter().enumerate() {
            if n % ITEMS_PER_LOOK == 0 {
                check_time(around)?;
            }
            let tally = &mut tallies[item.batch];
            let steps = &self.steps[item.steps.clone()];
            tally.steps += steps.len() as u64;
            let maker = Maker {
                batch: first_id + item.batch as i64,
                ordinal: int(group[item.batch].batch.ordinal(item.record).0),
            };
            let newer = again.newer_than(around.conn, item.batch, item.record)?;
            let mut rules = Rules { on_existing: policy.on_existing, newer, maker };
            let mut effects = Effects::default();
            let outcome = if steps.len() > 1 {
                savepoint(around, |around| run_steps(around.conn, &mut self.tables, steps, &mut rules, &mut effects))
            } else {
                run_steps(around.conn, &mut self.tables, steps, &mut rules, &mut effects)
            };
            match outcome {
                Ok(()) if item.removed => tally.counts.deleted += effects.counts.deleted,
                Ok(()) => tally.store(&effects),
                Err(Stop::Item(problem)) => tally.refuse(item.record, problem, &group[item.batch]),
                Err(Stop::Group(error)) => {
                    let ordinal = group[item.batch].batch.ordinal(item.record);
                    return Err(Error::new(error.code(), format!("item {ordinal} cannot be written")).because(error));
                }
            }
        }
        Ok(())
    }
}

/// Effects of one item, kept apart until all its changes are in.
#[derive(Default)]
struct Effects {
    counts: Counts,
    bytes_out: u64,
}

impl Tally {
    fn store(&mut self, effects: &Effects) {
        self.counts.add(&effects.counts);
        self.counts.count(Fate::Stored);
        self.bytes_out += effects.bytes_out;
    }

    fn refuse(&mut self, record: usize, problem: Problem, write: &BatchWrite) {
        self.counts.count(Fate::DeadLettered);
        let refusal = Refusal {
            fate: Fate::DeadLettered,
            phase: Phase::Store,
            problems: vec![problem],
            attempts: write.attempts_of(record),
            slot: None,
        };
        self.refused.push((record, refusal));
    }
}

/// How the changes of one item meet what is there.
struct Rules<'g> {
    on_existing: OnExisting,
    /// Where the item is a dead letter: the rows that it must leave alone.
    newer: Option<Newer<'g>>,
    maker: Maker,
}

fn run_steps(
    conn: &Connection,
    tables: &mut [Table<'_>],
    steps: &[Step<'_>],
    rules: &mut Rules<'_>,
    effects: &mut Effects,
) -> Result<(), Stop> {
    for step in steps {
        let table = &mut tables[step.table];
        if let Some(newer) = &mut rules.newer
            && (step.body.is_none() || rules.on_existing == OnExisting::Replace)
            && let Some(problem) = newer.refuses(conn, table.name, step.id, step.body).map_err(Stop::Group)?
        {
            return Err(Stop::Item(problem));
        }
        let done = match step.body {
            Some(body) => put(table, step.id, body, rules, effects),
            None => table.delete(step.id).map(|deleted| {
                effects.counts.deleted += u64::from(deleted);
                None
            }),
        };
        match done {
            Ok(None) => {}
            Ok(Some(problem)) => return Err(Stop::Item(problem)),
            Err(error) => return Err(sorted(conn, table, step, error)),
        }
    }
    Ok(())
}

fn put(
    table: &mut Table<'_>,
    id: &str,
    body: &str,
    rules: &Rules<'_>,
    effects: &mut Effects,
) -> rusqlite::Result<Option<Problem>> {
    if table.insert(id, body, Some(rules.maker))? {
        effects.counts.inserted += 1;
        effects.bytes_out += body.len() as u64;
        return Ok(None);
    }
    match rules.on_existing {
        OnExisting::Ignore => effects.counts.ignored += 1,
        OnExisting::Reject => {
            let mut problem = Problem::of_host(
                Code::IndexConstraint,
                format!("collection `{}` has a row with this key already", table.name),
            );
            problem.details = vec![("collection".to_owned(), table.name.to_string()), ("id".to_owned(), id.to_owned())];
            return Ok(Some(problem));
        }
        OnExisting::Replace if table.update(id, body, Some(rules.maker))? => {
            effects.counts.replaced += 1;
            effects.bytes_out += body.len() as u64;
        }
        OnExisting::Replace => effects.counts.unchanged += 1,
    }
    Ok(None)
}

fn undeclared(name: &Name, policy: &WritePolicy) -> Problem {
    let declared: Vec<String> = policy.collections.iter().map(|name| format!("`{name}`")).collect();
    let message = format!(
        "a change names the collection `{name}`; declared are {}, and --collection declares others",
        declared.join(", ")
    );
    Problem::of_host(Code::PluginImport, message)
}

/// Decides whose affair a failed statement is.
fn sorted(conn: &Connection, table: &Table<'_>, step: &Step<'_>, error: rusqlite::Error) -> Stop {
    let doing = format!("write a row of `{}`", table.name);
    let Some(kind) = refused(&error).filter(|_| !conn.is_autocommit()) else {
        return Stop::Group(failed(conn, &doing, Code::StorageGeneral, error));
    };
    if let (Refused::Unique, Some(body)) = (kind, step.body) {
        for index in table.indexes.iter().filter(|i| i.unique) {
            match items::holder(conn, table.name, index, step.id, body) {
                Ok(Some((holder, value))) => {
                    let message = format!(
                        "unique index `{}` of `{}` has the value {value} already, in row {holder:?}",
                        index.name, table.name
                    );
                    let mut problem = Problem::of_host(Code::IndexConstraint, message);
                    problem.pointer = index.pointer.as_str().to_owned();
                    problem.details = vec![
                        ("index".to_owned(), index.name.to_string()),
                        ("value".to_owned(), value.to_string()),
                        ("id".to_owned(), holder),
                    ];
                    return Stop::Item(problem);
                }
                Ok(None) => {}
                Err(error) => return Stop::Group(failed(conn, &doing, Code::StorageGeneral, error)),
            }
        }
    }
    Stop::Item(Problem::of_host(
        Code::IndexConstraint,
        format!("collection `{}` refuses the item: {}", table.name, text_of(&error)),
    ))
}

/// Runs `work` in a savepoint of its own; after an item's refusal nothing of it is left and the transaction goes on.
fn savepoint<'a>(
    around: &mut Surroundings<'a>,
    work: impl FnOnce(&mut Surroundings<'a>) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let name = super::writer::savepoint_name(around.savepoints);
    let conn = around.conn;
    let control = |sql: String| conn.execute_batch(&sql).or_fail(conn, "set a savepoint").map_err(Stop::Group);
    control(level::set_savepoint(&name))?;
    match work(around) {
        Ok(()) => control(level::release(&name)),
        Err(Stop::Item(problem)) => {
            control(level::roll_back_to(&name))?;
            Err(Stop::Item(problem))
        }
        Err(stop) => Err(stop),
    }
}

/// Completes one batch: dead letters, history, checkpoint, retried letters.
fn record(
    conn: &Connection,
    run: &RunHandle,
    id: i64,
    write: &BatchWrite,
    mut tally: Tally,
    share_us: u64,
) -> Result<Receipt> {
    let started = Instant::now();
    tally.refused.sort_by_key(|(record, _)| *record);
    let decided = write
        .decisions
        .iter()
        .enumerate()
        .filter_map(|(i, d)| if let Decision::Refuse(r) = d { Some((i, &**r)) } else { None });
    let mut letters: Vec<(usize, &Refusal)> = decided.chain(tally.refused.iter().map(|(i, r)| (*i, r))).collect();
    letters.sort_by_key(|(record, _)| *record);
    tally.counts.read = write.batch.len() as u64;
    tally.counts.retries = write.retries;
    if !tally.counts.balance() || letters.len() as u64 != tally.counts.failed() {
        return Err(bug(
            write,
            format!("the books do not balance: {:?} with {} dead letters", tally.counts, letters.len()),
        ));
    }
    dead_letter::record(conn, run, id, write, &letters)?;
    dead_letter::mark_retried(conn, run.run, write.batch.first_ordinal, &write.retried)?;
    let write_us = share_us + micros(started.elapsed());
    // But for the others of its group that are still to come.
    let wait_us = micros(write.computed_at.elapsed()).saturating_sub(write_us);
    let metrics = BatchMetrics { bytes_out: tally.bytes_out, write_us, wait_us, ..write.metrics };
    history::record_batch(conn, run, id, write, &tally.counts, &metrics)?;
    Ok(Receipt { counts: tally.counts, refused: tally.refused, bytes_out: tally.bytes_out, write_us })
}

fn check_time(around: &Surroundings<'_>) -> Result<()> {
    let (took, most) = (around.since.elapsed(), around.time_max);
    if took > most {
        return Err(Error::new(
            Code::TransactionTimeout,
            format!("a write transaction has taken {} ms; {} ms are allowed", took.as_millis(), most.as_millis()),
        ));
    }
    Ok(())
}

fn bug(write: &BatchWrite, what: String) -> Error {
    Error::new(Code::Internal, format!("BUG: batch {}: {what}", write.number))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
