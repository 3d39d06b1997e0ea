//! Arbitrary SQL, reading only: three locks on the same door (a read-only connection, `query_only`, and an authorizer).

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::failure::{OrFail, code_of, text_of};
use super::read::Reader;
use crate::error::{Code, Error, Result};

/// A value of a result.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    Null,
    Integer(i64),
    Real(f64),
    /// Bytes that are not UTF-8 have become U+FFFD.
    Text(String),
    Blob(Vec<u8>),
}

/// What a query came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlDone {
    /// Names of the columns, there also where no row is.
    pub columns: Vec<String>,
    /// Rows handed out.
    pub rows: u64,
    /// True if there are more than were asked for.
    pub cut: bool,
}

/// Pragmas that tell something and change nothing.
const PRAGMAS: &[&str] = &[
    "application_id",
    "collation_list",
    "compile_options",
    "database_list",
    "foreign_key_list",
    "freelist_count",
    "function_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "page_count",
    "page_size",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

impl Reader {
    /// Runs one statement and calls `each` with the columns' names and the values of every row, at most `limit` rows.
    /// Errors: CONFIG_3001 for anything but reading and for SQL that does not compile, what `each` returns.
    pub fn sql<E: From<Error>>(
        &mut self,
        sql: &str,
        limit: Option<u64>,
        each: impl FnMut(&[String], &[SqlValue]) -> Result<(), E>,
    ) -> Result<SqlDone, E> {
        self.conn.authorizer(Some(allow)).or_fail(&self.conn, "guard the query")?;
        let done = run(&self.conn, sql, limit, each).map_err(|failed| match failed {
            Failed::Sql(error) => self.refusal(error).into(),
            Failed::Each(error) => error,
        });
        self.conn
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
            .or_fail(&self.conn, "free the connection")?;
        done
    }

    fn refusal(&self, error: rusqlite::Error) -> Error {
        // VACUUM passes the authorizer, and is stopped by the read-only connection.
        let writes = [ErrorCode::AuthorizationForStatementDenied, ErrorCode::ReadOnly];
        if error.sqlite_error_code().is_some_and(|code| writes.contains(&code)) {
            return Error::new(Code::ConfigInvalid, format!("the query does more than read: {}", text_of(&error)))
                .hint("a query is one SELECT; use `atlas-host run` to write");
        }
        if let Some(code) = code_of(&error) {
            return Error::new(code, format!("cannot run the query on store {}", self.path().display())).because(error);
        }
        let text = match &error {
            rusqlite::Error::SqlInputError { msg, offset, .. } => format!("{msg}, at byte {offset}"),
            rusqlite::Error::MultipleStatement => "there is more than one statement".to_owned(),
            other => text_of(other),
        };
        Error::new(Code::ConfigInvalid, format!("the query cannot be run: {text}"))
            .hint(format!("collections are {}", self.catalog.borrow().listed()))
    }
}

enum Failed<E> {
    Sql(rusqlite::Error),
    Each(E),
}

impl<E> From<rusqlite::Error> for Failed<E> {
    fn from(error: rusqlite::Error) -> Self {
        Failed::Sql(error)
    }
}

fn run<E>(
    conn: &Connection,
    sql: &str,
    limit: Option<u64>,
    mut each: impl FnMut(&[String], &[SqlValue]) -> Result<(), E>,
) -> Result<SqlDone, Failed<E>> {
    let mut statement = conn.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut done = SqlDone { columns, rows: 0, cut: false };
    let mut rows = statement.query([])?;
    let mut values = Vec::with_capacity(done.columns.len());
    while let Some(row) = rows.next()? {
        if Some(done.rows) == limit {
            done.cut = true;
            break;
        }
        values.clear();
        for i in 0..done.columns.len() {
            values.push(match row.get_ref(i)? {
                ValueRef::Null => SqlValue::Null,
                ValueRef::Integer(n) => SqlValue::Integer(n),
                ValueRef::Real(n) => SqlValue::Real(n),
                ValueRef::Text(text) => SqlValue::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
            });
        }
        each(&done.columns, &values).map_err(Failed::Each)?;
        done.rows += 1;
    }
    Ok(done)
}

fn allow(context: AuthContext<'_>) -> Authorization {
    let allowed = match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => !function_name.eq_ignore_ascii_case("load_extension"),
        AuthAction::Pragma { pragma_name, .. } => PRAGMAS.iter().any(|p| p.eq_ignore_ascii_case(pragma_name)),
        _ => false,
    };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}
