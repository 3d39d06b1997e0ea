//! SQLite's operator `->>`, which fills the columns of indexes, in less time.
//!
//! SQLite makes a tree of a whole body before it looks for one member, and does so once for each index when indexes are built
//! from the rows: a fifth of the writer's time. The connection that writes has a function of its own in that place.
//! It reads over a body once, and answers for what indexes are mostly made of: texts without escapes, whole numbers, `true`,
//! `false`, null, nothing. All else, also what is no JSON, it hands to SQLite's own.
//! Invariant: both give the same value for every body and path, since other tools use SQLite's. Verifying uses SQLite's too.

use std::cell::Cell;
use std::sync::{Mutex, PoisonError};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use crate::source::{Scanned, scan};

const NAME: &str = "->>";
/// Digits that surely fit 64 bits.
const SAFE_DIGITS: usize = 18;

/// Puts the function into a connection.
pub(super) fn install(conn: &Connection) -> Result<()> {
    let slow = Mutex::new(None);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    conn.create_scalar_function(NAME, 2, flags, move |context| {
        let answers = ANSWERS.get();
        if answers == Answers::Nothing {
            return Ok(Value::Null);
        }
        let path = context.get_or_create_aux(1, |path| Ok::<_, rusqlite::Error>(Path::parse(path)))?;
        if let (Path(Some(token)), ValueRef::Text(body)) = (&*path, context.get_raw(0))
            && answers == Answers::Quickly
            && let Some(value) = quick(body, token)
        {
            return Ok(value);
        }
        // A thread that panics in SQLite's code leaves a connection like any other.
        let mut slow = slow.lock().unwrap_or_else(PoisonError::into_inner);
        let conn = match &mut *slow {
            Some(conn) => conn,
            none => none.insert(Connection::open_in_memory()?),
        };
        let (body, path) = (context.get_raw(0), context.get_raw(1));
        let mut statement = conn.prepare_cached("SELECT ?1 ->> ?2")?;
        statement.query_row((owned(body), owned(path)), |row| row.get::<_, Value>(0))
    })
}

/// Who answers. A function that was put into a connection can be changed, but what it hides does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// Ours, and where it has doubts SQLite's.
    Quickly,
    /// SQLite's alone.
    AsSqlite,
    /// Null to everything.
    Nothing,
}

thread_local! {
    static ANSWERS: Cell<Answers> = const { Cell::new(Answers::Quickly) };
}

/// Runs `work` with SQLite's own operator in the place of ours.
pub(super) fn with_sqlites_own<T>(work: impl FnOnce() -> T) -> T {
    answering(Answers::AsSqlite, work)
}

/// Runs `work`, which writes rows that no index is kept for, the host's or somebody else's (`catalog::has_additions`): SQLite
/// computes the columns of a row that is written whether or not anything is made of them.
pub(super) fn with_none<T>(work: impl FnOnce() -> T) -> T {
    answering(Answers::Nothing, work)
}

fn answering<T>(answers: Answers, work: impl FnOnce() -> T) -> T {
    /// Puts back who answered before, also after a panic: the thread may go on with another run.
    struct Before(Answers);

    impl Drop for Before {
        fn drop(&mut self) {
            ANSWERS.set(self.0);
        }
    }

    let _before = Before(ANSWERS.replace(answers));
    work()
}

fn owned(value: ValueRef<'_>) -> Value {
    Value::try_from(value).unwrap_or(Value::Null)
}

/// The one member's name that a path leads over, as `catalog::expression` writes it; none where it is more than that.
struct Path(Option<[String; 1]>);

impl Path {
    fn parse(path: ValueRef<'_>) -> Self {
        let token = || {
            let name = path.as_str().ok()?.strip_prefix("$.\"")?.strip_suffix('"')?;
            // Escapes are SQLite's affair.
            (!name.contains(['"', '\\'])).then(|| [name.to_owned()])
        };
        Self(token())
    }
}

/// The value of a member of an object, if it is of a kind that is told quickly.
fn quick(body: &[u8], token: &[String; 1]) -> Option<Value> {
    let Scanned { found, .. } = scan(std::str::from_utf8(body).ok()?, token)?;
    let Some(found) = found else { return Some(Value::Null) };
    match found.as_bytes() {
        [b'"', text @ .., b'"'] if memchr::memchr(b'\\', text).is_none() => {
            Some(Value::Text(found[1..found.len() - 1].to_owned()))
        }
        b"true" => Some(Value::Integer(1)),
        b"false" => Some(Value::Integer(0)),
        b"null" => Some(Value::Null),
        [b'-' | b'0'..=b'9', ..] if found.len() <= SAFE_DIGITS => found.parse().ok().map(Value::Integer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Pointer;
    use crate::store::catalog::expression;
    use proptest::prelude::*;

    /// What a connection says of a body at a pointer; an error as its text.
    fn said(conn: &Connection, body: &str, pointer: &str) -> std::result::Result<Value, String> {
        let sql = format!("SELECT {}", expression("?1", &Pointer::parse(pointer).expect("a pointer")));
        let text = |error: rusqlite::Error| match error {
            rusqlite::Error::SqliteFailure(_, Some(text)) => text,
            other => other.to_string(),
        };
        let mut statement = conn.prepare_cached(&sql).map_err(text)?;
        statement.query_row([body], |row| row.get(0)).map_err(text)
    }

    fn pair() -> (Connection, Connection) {
        let (own, sqlites) = (Connection::open_in_memory().unwrap(), Connection::open_in_memory().unwrap());
        install(&own).unwrap();
        (own, sqlites)
    }

    const POINTERS: [&str; 9] = ["/a", "/b", "/", "/a/b", "/0", "/é", "/a\"b", "/a\\b", "/x.y"];

    #[test]
    fn every_kind_of_value_is_what_sqlite_says() {
        let (own, sqlites) = pair();
        for value in [
            "1",
            "-0",
            "0",
            "-7",
            "999999999999999999",
            "-99999999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808",
            "18446744073709551617",
            "1.5",
            "-0.0",
            "1e3",
            "1E400",
            "1e-400",
            "123456789012345678",
            "true",
            "false",
            "null",
            "\"\"",
            "\"x\"",
            "\"é\u{1f980}\"",
            "\"a\\nb\"",
            "\"\\u0000\"",
            "\"\\ud83e\\udd80\"",
            "\"1\"",
            "\"true\"",
            "[]",
            "[1, 2]",
            "{}",
            "{ \"b\" : 1 }",
            "[[\"a\"]]",
        ] {
            for body in [
                format!("{{\"a\":{value}}}"),
                format!(" {{ \"z\" : 0 , \"a\" :\t{value} }} "),
                format!("{{\"a\":{value},\"a\":2}}"),
                format!("{{\"A\":3,\"aa\":4,\"a\":{value}}}"),
                format!("{{\"\\u0061\":{value},\"a\":5}}"),
                format!("{{\"a\":{{\"b\":{value}}},\"b\":{value}}}"),
                format!("{{\"\":{value},\"é\":{value},\"x.y\":{value},\"a\\\"b\":{value},\"a\\\\b\":{value}}}"),
                format!("[{value}]"),
                value.to_owned(),
            ] {
                for pointer in POINTERS {
                    assert_eq!(said(&own, &body, pointer), said(&sqlites, &body, pointer), "{body} at {pointer}");
                }
            }
        }
        for body in
            ["", "{", "nul", "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":1,}", "{\"a\":1} x", "{\"a\":NaN}"]
        {
            let mended =
                |said: std::result::Result<Value, String>| said.map_err(|text| text.contains("malformed JSON"));
            assert_eq!(mended(said(&own, body, "/a")), mended(said(&sqlites, body, "/a")), "{body}");
        }
        assert_eq!(own.query_row("SELECT NULL ->> '$.\"a\"'", [], |row| row.get::<_, Value>(0)), Ok(Value::Null));
        assert_eq!(own.query_row("SELECT '{\"a\":7}' ->> 'a'", [], |row| row.get::<_, i64>(0)), Ok(7));
        assert_eq!(own.query_row("SELECT jsonb('{\"a\":7}') ->> '$.\"a\"'", [], |row| row.get::<_, i64>(0)), Ok(7));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            "[a-z\"\\\\\n é]{0,6}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec(("a|b||é|x.y|[a-c]{2}", inner), 0..5)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_body_has_the_value_that_sqlite_says(body in json(), pretty in any::<bool>(), pointer in prop::sample::select(&POINTERS[..])) {
            let (own, sqlites) = pair();
            let body = if pretty { serde_json::to_string_pretty(&body).unwrap() } else { body.to_string() };
            prop_assert_eq!(said(&own, &body, pointer), said(&sqlites, &body, pointer), "{} at {}", body, pointer);
        }
    }

    #[test]
    fn sqlites_own_is_asked_where_it_is_wanted() {
        let conn = Connection::open_in_memory().unwrap();
        install(&conn).unwrap();
        let ask = || conn.query_row("SELECT '{\"a\":1}' ->> '$.\"a\"'", [], |row| row.get::<_, i64>(0));
        assert_eq!(with_sqlites_own(|| (ANSWERS.get(), ask())), (Answers::AsSqlite, Ok(1)));
        assert_eq!((ANSWERS.get(), ask()), (Answers::Quickly, Ok(1)));
        let none = || conn.query_row("SELECT '{\"a\":1}' ->> '$.\"a\"'", [], |row| row.get::<_, Option<i64>>(0));
        assert_eq!((with_none(none), none()), (Ok(None), Ok(Some(1))));
        let panicked = std::panic::catch_unwind(|| with_none(|| panic!("on purpose")));
        assert_eq!((panicked.is_err(), none()), (true, Ok(Some(1))), "after a panic as before");
    }
}
