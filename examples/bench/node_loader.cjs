// node_loader.cjs INPUT STORE ROWS: the job of ticket-rules and ticket-tidy on Node.js with better-sqlite3, with the
// settings of native_loader.rs: the same table, three indexes, every transaction synced, ROWS to a transaction.
'use strict';
const fs = require('node:fs');
const readline = require('node:readline');
const Database = require('better-sqlite3');

const [input, store, rows] = process.argv.slice(2);
const rowsPerTransaction = Number(rows);
const statuses = new Set(['pending', 'in_progress', 'completed', 'failed', 'blocked']);

const database = new Database(store);
database.pragma('journal_mode = WAL');
database.pragma('synchronous = FULL');
database.pragma('cache_size = -65536');
database.exec(`
    CREATE TABLE items (
        id TEXT PRIMARY KEY NOT NULL,
        body TEXT NOT NULL,
        status AS (body ->> '$.status'),
        path AS (body ->> '$.path'),
        priority AS (body ->> '$.priority')
    );
    CREATE INDEX items_status ON items (status);
    CREATE INDEX items_path ON items (path);
    CREATE INDEX items_priority ON items (priority);
    CREATE TABLE refused (line TEXT, reason TEXT)`);
const put = database.prepare(
    'INSERT INTO items (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body');
const refuse = database.prepare('INSERT INTO refused VALUES (?, ?)');

function brokenRule(ticket) {
    const titleBytes = Buffer.byteLength(ticket.title);
    if (titleBytes < 1 || titleBytes > 200) return 'title';
    if (!statuses.has(ticket.status)) return 'status';
    if (!(ticket.priority <= 9)) return 'priority';
    if (ticket.tags.length > 10) return 'tags';
    return null;
}

function tidy(ticket) {
    ticket.slug = ticket.title.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase();
    ticket.tags = Array.from(new Set(ticket.tags.map((tag) => tag.toLowerCase()))).sort();
    ticket.score = ticket.priority / (1 + ticket.tags.length);
}

function load(line) {
    let ticket, reason;
    try {
        ticket = JSON.parse(line);
        reason = brokenRule(ticket);
    } catch (error) {
        reason = String(error);
    }
    if (reason !== null) {
        refuse.run(line, reason);
        return;
    }
    tidy(ticket);
    put.run(ticket.id, JSON.stringify(ticket));
}

const write = database.transaction((lines) => lines.forEach(load));

async function main() {
    let lines = [];
    for await (const line of readline.createInterface({ input: fs.createReadStream(input) })) {
        lines.push(line);
        if (lines.length === rowsPerTransaction) {
            write(lines);
            lines = [];
        }
    }
    if (lines.length > 0) write(lines);
    database.close();
}

main();
