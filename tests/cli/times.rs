//! Times in a store: whole milliseconds since 1970 in UTC, whatever place and language the machine has.

use rusqlite::Connection;

use super::{MIXED, mixed_arguments};
use crate::harness::{Folder, tickets};

/// January 2020 and January 2100 in milliseconds: seconds and microseconds are far outside.
const PLAUSIBLE_MS: (i64, i64) = (1_577_836_800_000, 4_102_444_800_000);

/// A store in which every kind of time was written, by commands that run at this place.
fn written_in(locale: &str, zone: &str) -> Folder {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    let at_home = |arguments: &[&str], exit| {
        let ran = folder.atlas(arguments).env("LC_ALL", locale).env("LANG", locale).env("TZ", zone).run();
        ran.exits(exit);
    };
    let run: Vec<String> = mixed_arguments();
    at_home(&run.iter().map(String::as_str).collect::<Vec<_>>(), 3);
    // Runs, until the tuner has found something to keep.
    folder.write("more.ndjson", tickets(4000, 0));
    let more = ["run", "--again", "--input", "more.ndjson", "--id", "id", "--into", "more", "--batch-size", "10..40"];
    for _ in 0..20 {
        at_home(&more, 0);
        let store = Connection::open(folder.at("atlas.db")).expect("a store");
        if count(&store, "atlas_tuning", "true") > 0 {
            break;
        }
    }
    at_home(&["dead-letters", "discard", "--phase", "decode"], 0);
    at_home(&["dead-letters", "retry", "--phase", "operate"], 3);
    at_home(&["index", "verify"], 0);
    folder
}

/// Every column of the store's own tables: table, column, declared type.
fn columns(store: &Connection) -> Vec<(String, String, String)> {
    let select = "SELECT m.name, c.name, c.type FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c
        WHERE m.type = 'table' AND m.name GLOB 'atlas_*'";
    let mut statement = store.prepare(select).expect("a schema");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("columns");
    rows.collect::<Result<_, _>>().expect("columns")
}

fn count(store: &Connection, table: &str, condition: &str) -> i64 {
    let select = format!("SELECT count(*) FROM \"{table}\" WHERE {condition}");
    store.query_row(&select, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{select}: {error}"))
}

#[test]
fn times_are_whole_milliseconds_in_every_place_and_language() {
    for (locale, zone) in [("C", "UTC"), ("de_DE.UTF-8", "Asia/Kolkata"), ("ar_EG.UTF-8", "America/St_Johns")] {
        let folder = written_in(locale, zone);
        let store = Connection::open(folder.at("atlas.db")).expect("a store");
        let columns = columns(&store);
        assert!(columns.len() > 80, "{columns:?}");
        let mut moments = 0;
        for (table, column, kind) in columns {
            assert!(["INTEGER", "TEXT", "BLOB"].contains(&kind.as_str()), "{table}.{column} is {kind}");
            let place = format!("{locale}, {zone}: {table}.{column}");
            // A time under another name would be a text with a date, or a number that is none.
            let dated = format!(
                "typeof(\"{column}\") = 'text' AND \"{column}\" GLOB '*[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]*'"
            );
            assert_eq!(count(&store, &table, &dated), 0, "{place} holds a date as text");
            if !column.ends_with("_ms") || column == "duration_ms" {
                continue;
            }
            moments += 1;
            // A swap needs a run that goes on: the area `swap` looks at its rows.
            if table == "atlas_swaps" {
                continue;
            }
            assert!(count(&store, &table, &format!("\"{column}\" IS NOT NULL")) > 0, "{place} was never written");
            let (from, to) = PLAUSIBLE_MS;
            let odd = format!(
                "\"{column}\" IS NOT NULL AND NOT (typeof(\"{column}\") = 'integer' AND \"{column}\" BETWEEN {from} AND {to})"
            );
            assert_eq!(count(&store, &table, &odd), 0, "{place} is no time in milliseconds");
        }
        assert!(moments >= 10, "{moments} columns of times");
        let late = "ended_ms < started_ms OR duration_ms > ended_ms - started_ms + 1000";
        assert_eq!(count(&store, "atlas_runs", late), 0, "{locale}, {zone}");
    }
}
