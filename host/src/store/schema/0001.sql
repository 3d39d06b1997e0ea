-- Version 1. Times are integer milliseconds since the Unix epoch (UTC); durations say their unit.
-- The rows of a collection live in a table of its own name, created when it is declared: `batch` and `ordinal` say which
-- record of which batch made the row; null where no run did.

CREATE TABLE atlas_collections (
    name       TEXT PRIMARY KEY NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE atlas_indexes (
    collection  TEXT NOT NULL REFERENCES atlas_collections (name),
    name        TEXT NOT NULL,
    pointer     TEXT NOT NULL,
    is_unique   INTEGER NOT NULL CHECK (is_unique IN (0, 1)),
    built       INTEGER NOT NULL CHECK (built IN (0, 1)), -- 0 while a run fills the collection that was empty
    created_ms  INTEGER NOT NULL,
    verified_ms INTEGER,
    PRIMARY KEY (collection, name)
) STRICT, WITHOUT ROWID;

-- One row per run; its counts are the sums over its batches and move in their transactions.
CREATE TABLE atlas_runs (
    id            INTEGER PRIMARY KEY,
    uuid          TEXT NOT NULL UNIQUE,
    job           TEXT NOT NULL,
    status        TEXT NOT NULL,
    collection    TEXT NOT NULL,
    started_ms    INTEGER NOT NULL,
    ended_ms      INTEGER,
    duration_ms   INTEGER,
    seed          TEXT NOT NULL, -- decimal: it may exceed a signed 64-bit integer
    clock_ms      INTEGER NOT NULL,
    settings      TEXT NOT NULL, -- JSON
    identity      TEXT NOT NULL, -- JSON: array of [name, value]
    inputs        TEXT NOT NULL, -- JSON
    atomic        TEXT NOT NULL,
    read          INTEGER NOT NULL DEFAULT 0,
    stored        INTEGER NOT NULL DEFAULT 0,
    rejected      INTEGER NOT NULL DEFAULT 0,
    dead_lettered INTEGER NOT NULL DEFAULT 0,
    dropped       INTEGER NOT NULL DEFAULT 0,
    inserted      INTEGER NOT NULL DEFAULT 0,
    replaced      INTEGER NOT NULL DEFAULT 0,
    unchanged     INTEGER NOT NULL DEFAULT 0,
    ignored       INTEGER NOT NULL DEFAULT 0,
    deleted       INTEGER NOT NULL DEFAULT 0,
    retries       INTEGER NOT NULL DEFAULT 0,
    blank_lines   INTEGER NOT NULL DEFAULT 0,
    batches       INTEGER NOT NULL DEFAULT 0,
    error         TEXT, -- JSON
    performance   TEXT, -- JSON: times, sizes and percentiles of its last execution; null until it ends
    alerts        TEXT, -- JSON: alerts of its last execution
    CHECK (read = stored + rejected + dead_lettered + dropped)
) STRICT;
CREATE INDEX atlas_runs_job ON atlas_runs (job);

-- Plugins by the digest of their bytes. Bytes are null where they were not kept.
CREATE TABLE atlas_plugins (
    digest        TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL,
    bytes         BLOB,
    first_seen_ms INTEGER NOT NULL
) STRICT;

-- Which plugin filled which slot, from which batch on. A null digest is a closure of an embedding program. A slot without a
-- name says that none was filled from there on.
CREATE TABLE atlas_run_plugins (
    run        INTEGER NOT NULL REFERENCES atlas_runs (id),
    position   INTEGER NOT NULL,
    slot       TEXT NOT NULL,
    role       TEXT NOT NULL,
    name       TEXT NOT NULL,
    digest     TEXT REFERENCES atlas_plugins (digest),
    from_batch INTEGER NOT NULL,
    PRIMARY KEY (run, from_batch, position)
) STRICT, WITHOUT ROWID;

-- Steps of plugins on their way into a slot while a run goes on.
CREATE TABLE atlas_swaps (
    id         INTEGER PRIMARY KEY,
    run        INTEGER NOT NULL REFERENCES atlas_runs (id),
    slot       TEXT NOT NULL,
    step       TEXT NOT NULL, -- as the events say it, without `swap-`
    source     TEXT NOT NULL, -- watch, command, rollback, library
    name       TEXT NOT NULL,
    old_digest TEXT, -- null for native code
    new_digest TEXT NOT NULL,
    batch      INTEGER, -- number of the first batch that the step is about; null where it is about none
    at_ms      INTEGER NOT NULL,
    ok         INTEGER NOT NULL CHECK (ok IN (0, 1)),
    code       TEXT,
    reason     TEXT NOT NULL,
    figures    TEXT -- JSON
) STRICT;
CREATE INDEX atlas_swaps_slot ON atlas_swaps (slot);

-- `next` is the first ordinal that is not yet accounted for. A batch moves it by compare-and-set on (epoch, next).
CREATE TABLE atlas_checkpoints (
    run          INTEGER NOT NULL REFERENCES atlas_runs (id),
    "partition"  INTEGER NOT NULL,
    lo           INTEGER NOT NULL,
    hi           INTEGER,
    next         INTEGER NOT NULL,
    epoch        INTEGER NOT NULL,
    owner        TEXT NOT NULL,
    input_digest TEXT,
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (run, "partition")
) STRICT, WITHOUT ROWID;

-- History: `id` is what the column `batch` of every stored row points to.
CREATE TABLE atlas_batches (
    id            INTEGER PRIMARY KEY,
    run           INTEGER NOT NULL REFERENCES atlas_runs (id),
    number        INTEGER NOT NULL,
    first_ordinal INTEGER NOT NULL,
    input         INTEGER NOT NULL, -- of its first record: which of the run's inputs, from 0
    line          INTEGER NOT NULL, -- and the line in it, from 1
    last_input    INTEGER NOT NULL, -- the same of its last record
    last_line     INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    read          INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    rejected      INTEGER NOT NULL,
    dead_lettered INTEGER NOT NULL,
    dropped       INTEGER NOT NULL,
    inserted      INTEGER NOT NULL,
    replaced      INTEGER NOT NULL,
    unchanged     INTEGER NOT NULL,
    ignored       INTEGER NOT NULL,
    deleted       INTEGER NOT NULL,
    retries       INTEGER NOT NULL,
    blank_lines   INTEGER NOT NULL,
    input_digest  TEXT NOT NULL,
    written_ms    INTEGER NOT NULL,
    metrics       TEXT, -- JSON; null once pruned
    commit_us     INTEGER, -- of the transaction it was in; null until known
    UNIQUE (run, number),
    CHECK (read = stored + rejected + dead_lettered + dropped)
) STRICT;

CREATE TABLE atlas_dead_letters (
    id              INTEGER PRIMARY KEY,
    run             INTEGER NOT NULL REFERENCES atlas_runs (id),
    batch           INTEGER NOT NULL REFERENCES atlas_batches (id) DEFERRABLE INITIALLY DEFERRED,
    ordinal         INTEGER NOT NULL,
    item_id         TEXT, -- null where the bytes are no item
    fate            TEXT NOT NULL CHECK (fate IN ('rejected', 'dead-lettered')),
    phase           TEXT NOT NULL,
    code            TEXT NOT NULL, -- of the first problem
    message         TEXT NOT NULL,
    problems        TEXT NOT NULL, -- JSON
    slot            TEXT,
    plugin          TEXT, -- digest
    attempts        INTEGER NOT NULL, -- with those of the letters before
    retry_of        INTEGER REFERENCES atlas_dead_letters (id), -- the letter before, where its item was tried again
    input           TEXT NOT NULL, -- as of the first letter: where the record stood that nothing came of yet
    line            INTEGER NOT NULL,
    byte_offset     INTEGER NOT NULL,
    original        BLOB, -- null once discarded
    original_digest TEXT, -- of the whole, where `original` is only its head
    total_bytes     INTEGER NOT NULL,
    created_ms      INTEGER NOT NULL,
    state           TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'retried', 'discarded')),
    resolved_ms     INTEGER,
    resolved_run    INTEGER REFERENCES atlas_runs (id),
    resolved_ordinal INTEGER, -- which record of that run tried it again
    UNIQUE (run, ordinal)
) STRICT;
CREATE INDEX atlas_dead_letters_code ON atlas_dead_letters (code);
CREATE INDEX atlas_dead_letters_phase ON atlas_dead_letters (phase);
CREATE INDEX atlas_dead_letters_plugin ON atlas_dead_letters (plugin);
CREATE INDEX atlas_dead_letters_batch ON atlas_dead_letters (batch);
CREATE INDEX atlas_dead_letters_retry_of ON atlas_dead_letters (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX atlas_dead_letters_resolved ON atlas_dead_letters (resolved_run, resolved_ordinal) WHERE resolved_run IS NOT NULL;

-- One row per plan that differs from the one before it, written with the first batch that was cut by it.
CREATE TABLE atlas_plans (
    run               INTEGER NOT NULL REFERENCES atlas_runs (id),
    batch             INTEGER NOT NULL, -- number of that batch
    batch_size        INTEGER NOT NULL,
    lanes             INTEGER NOT NULL,
    batches_in_flight INTEGER NOT NULL,
    old_batch_size    INTEGER, -- null for the first plan of an execution
    old_lanes         INTEGER,
    old_batches_in_flight INTEGER,
    reason            TEXT NOT NULL,
    signals           TEXT NOT NULL, -- JSON: all that the strategy saw
    PRIMARY KEY (run, batch)
) STRICT, WITHOUT ROWID;

-- Where an adaptive run begins: the best point found, per chain of plugins, collection and shape of the machine.
CREATE TABLE atlas_tuning (
    chain       TEXT NOT NULL, -- digests of the plugins, in the order of their work
    collection  TEXT NOT NULL,
    host        TEXT NOT NULL, -- cores and memory
    learned     TEXT NOT NULL, -- JSON
    run         INTEGER NOT NULL REFERENCES atlas_runs (id),
    updated_ms  INTEGER NOT NULL,
    PRIMARY KEY (chain, collection, host)
) STRICT, WITHOUT ROWID;
