//! Which collections and indexes are declared, their names in SQL, and declaring them.
//!
//! A collection NAME is a table NAME (`id`, `body`, `batch`, `ordinal`); an index on it is a virtual generated column of the index's name
//! over `body ->> path`, with a real SQLite index `idx_<collection>_<name>` on it. SQLite keeps both in the row's transaction.
//! Invariant: only [`Name`]s and escaped pointers become SQL text; everything else is bound.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};

use super::failure::OrFail;
use crate::error::{Code, Error, Result};
use crate::limits;
use crate::model::{IndexSpec, Name, Pointer, now_ms};

/// A declared index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Index {
    pub name: Name,
    pub pointer: Pointer,
    pub unique: bool,
    /// False while its entries are put off: see [`put_off`].
    pub built: bool,
}

/// Every declared collection with its indexes, both sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Catalog(BTreeMap<Name, Vec<Index>>);

/// Names that a collection or an index may not have, beside those beginning with [`RESERVED_PREFIXES`].
const RESERVED_COLLECTIONS: &[&str] = &["dbstat", "json_each", "json_tree"];
const RESERVED_INDEXES: &[&str] = &["id", "body", "batch", "ordinal", "rowid", "oid", "_rowid_"];
const RESERVED_PREFIXES: &[&str] = &["atlas_", "sqlite_", "pragma_"];

impl Catalog {
    /// Reads what is declared.
    pub fn load(conn: &Connection) -> Result<Self> {
        let doing = "read the declared collections";
        let mut collections = BTreeMap::new();
        let mut names = conn.prepare_cached("SELECT name FROM atlas_collections").or_fail(conn, doing)?;
        let names = names.query_map([], |row| row.get::<_, String>(0)).or_fail(conn, doing)?;
        for name in names {
            collections.insert(stored_name(name.or_fail(conn, doing)?)?, Vec::new());
        }
        let mut indexes = conn
            .prepare_cached(
                "SELECT collection, name, pointer, is_unique, built FROM atlas_indexes ORDER BY collection, name",
            )
            .or_fail(conn, doing)?;
        let mut rows = indexes.query([]).or_fail(conn, doing)?;
        while let Some(row) = rows.next().or_fail(conn, doing)? {
            let text = |i| row.get::<_, String>(i).or_fail(conn, doing);
            let (collection, name, pointer) = (stored_name(text(0)?)?, stored_name(text(1)?)?, text(2)?);
            let pointer = Pointer::parse(&pointer).ok_or_else(|| {
                Error::new(Code::StorageGeneral, format!("index `{name}` has the pointer {pointer:?}, which is none"))
            })?;
            let flag = |i| row.get::<_, bool>(i).or_fail(conn, doing);
            let (unique, built) = (flag(3)?, flag(4)?);
            collections.entry(collection).or_default().push(Index { name, pointer, unique, built });
        }
        Ok(Self(collections))
    }

    /// The collections' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.0.keys()
    }

    /// Indexes of a collection; none if it is not declared.
    pub fn indexes(&self, collection: &Name) -> Option<&[Index]> {
        self.0.get(collection).map(Vec::as_slice)
    }

    /// Indexes of a collection. Errors: CONFIG_3001 naming the nearest declared one.
    pub fn collection(&self, collection: &Name) -> Result<&[Index]> {
        self.indexes(collection).ok_or_else(|| {
            let error = Error::new(Code::ConfigInvalid, format!("there is no collection `{collection}` in this store"));
            error.hint(hint("collections", collection.as_str(), self.0.keys().map(Name::as_str)))
        })
    }

    /// One index. Errors: CONFIG_3001 or INDEX_7001 naming the nearest declared one.
    pub fn index(&self, collection: &Name, name: &Name) -> Result<&Index> {
        let indexes = self.collection(collection)?;
        indexes.iter().find(|i| i.name == *name).ok_or_else(|| {
            let error = Error::new(Code::IndexNotFound, format!("collection `{collection}` has no index `{name}`"));
            error.hint(hint("indexes", name.as_str(), indexes.iter().map(|i| i.name.as_str())))
        })
    }

    /// Every declared index, with its collection.
    pub fn all(&self) -> impl Iterator<Item = (Name, Name)> {
        self.0
            .iter()
            .flat_map(|(collection, indexes)| indexes.iter().map(move |index| (collection.clone(), index.name.clone())))
    }

    /// Indexes of a collection whose entries are put off.
    pub fn put_off(&self, collection: &Name) -> Vec<Name> {
        let indexes = self.indexes(collection).unwrap_or_default();
        indexes.iter().filter(|index| !index.built).map(|index| index.name.clone()).collect()
    }

    fn set_built(&mut self, collection: &Name, name: &Name, built: bool) {
        let indexes = self.0.get_mut(collection).into_iter().flatten();
        for index in indexes.filter(|index| index.name == *name) {
            index.built = built;
        }
    }

    /// The declared names in one line, for messages.
    pub fn listed(&self) -> String {
        self.0.keys().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")
    }
}

/// Creates what is missing of these collections and indexes, and builds what an execution that was killed has put off in
/// them. Must run inside a transaction.
/// Errors: CONFIG_3001 for a reserved name, for two names that differ only in case, for an index that is there over another
/// pointer or uniqueness; INDEX_7004 where the stored rows do not allow the index.
pub(super) fn declare(
    conn: &Connection,
    collections: &[Name],
    indexes: &[IndexSpec],
    target: &Name,
) -> Result<Catalog> {
    let mut catalog = Catalog::load(conn)?;
    let of_indexes = indexes.iter().filter_map(|i| i.collection.as_ref());
    for name in collections.iter().chain([target]).chain(of_indexes) {
        if catalog.indexes(name).is_none() {
            create_collection(conn, &catalog, name)?;
            catalog.0.insert(name.clone(), Vec::new());
        }
    }
    for spec in indexes {
        let collection = spec.collection.as_ref().unwrap_or(target);
        add_index(conn, &mut catalog, collection, spec)?;
    }
    for collection in collections.iter().chain([target]) {
        for name in catalog.put_off(collection) {
            build(conn, &mut catalog, collection, &name)?;
        }
    }
    Ok(catalog)
}

/// Takes the SQLite indexes of an empty collection away until [`build`] makes them: a million entries in no order are sorted
/// at once in less time than they are put in their places one by one. Unique ones stay, since they judge each row.
/// Gives how many were put off. Must run inside a transaction.
pub(super) fn put_off(conn: &Connection, catalog: &mut Catalog, collection: &Name) -> Result<usize> {
    let doing = format!("put off the indexes of `{collection}`");
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {})", quoted(collection));
    if conn.query_row(&sql, [], |row| row.get::<_, bool>(0)).or_fail(conn, &doing)? {
        return Ok(0);
    }
    let indexes = catalog.collection(collection)?.iter().filter(|index| index.built && !index.unique);
    let names: Vec<Name> = indexes.map(|index| index.name.clone()).collect();
    for name in &names {
        conn.execute_batch(&format!("DROP INDEX IF EXISTS \"{}\"", index_name(collection, name)))
            .or_fail(conn, &doing)?;
        note_built(conn, catalog, collection, name, false)?;
    }
    Ok(names.len())
}

/// Makes an index that was put off, from the rows. Must run inside a transaction.
/// Errors: INDEX_7004 where a body cannot be read.
pub(super) fn build(conn: &Connection, catalog: &mut Catalog, collection: &Name, name: &Name) -> Result<()> {
    recreate_index(conn, collection, catalog.index(collection, name)?)?;
    note_built(conn, catalog, collection, name, true)
}

pub(super) fn note_built(
    conn: &Connection,
    catalog: &mut Catalog,
    collection: &Name,
    name: &Name,
    built: bool,
) -> Result<()> {
    conn.execute(
        "UPDATE atlas_indexes SET built = ?3 WHERE collection = ?1 AND name = ?2",
        (collection.as_str(), name.as_str(), built),
    )
    .or_fail(conn, "note that an index is built")?;
    catalog.set_built(collection, name, built);
    Ok(())
}

fn create_collection(conn: &Connection, catalog: &Catalog, name: &Name) -> Result<()> {
    refuse_reserved("collection", name, RESERVED_COLLECTIONS)?;
    refuse_other_case("collection", name, catalog.names())?;
    refuse_taken(conn, catalog, name.as_str())?;
    let doing = format!("create collection `{name}`");
    conn.execute_batch(&format!(
        "CREATE TABLE {} (id TEXT PRIMARY KEY NOT NULL, body TEXT NOT NULL, batch INTEGER, ordinal INTEGER) STRICT;",
        quoted(name)
    ))
    .or_fail(conn, &doing)?;
    conn.execute("INSERT INTO atlas_collections (name, created_ms) VALUES (?1, ?2)", (name.as_str(), now_ms()))
        .or_fail(conn, &doing)?;
    Ok(())
}

/// Adds one index and says whether it was missing. Must run inside a transaction.
pub(super) fn add_index(conn: &Connection, catalog: &mut Catalog, collection: &Name, spec: &IndexSpec) -> Result<bool> {
    let there = catalog.collection(collection)?;
    let name = &spec.name;
    if let Some(old) = there.iter().find(|i| i.name == *name) {
        if old.pointer == spec.pointer && old.unique == spec.unique {
            let put_off = !old.built;
            if put_off {
                build(conn, catalog, collection, name)?;
            }
            return Ok(put_off);
        }
        let of = |unique: bool, pointer: &Pointer| {
            format!("{} over {pointer}", if unique { "unique" } else { "not unique" })
        };
        return Err(Error::new(
            Code::ConfigInvalid,
            format!(
                "index `{name}` of collection `{collection}` is {}; wanted {}",
                of(old.unique, &old.pointer),
                of(spec.unique, &spec.pointer)
            ),
        )
        .hint("choose another name, or `index drop` the old one first"));
    }
    if there.len() >= limits::INDEXES_MAX {
        return Err(Error::new(
            Code::ConfigInvalid,
            format!(
                "collection `{collection}` has {} indexes, which is the most it can have; `{name}` is one more",
                there.len()
            ),
        )
        .hint("drop an index that no query uses"));
    }
    refuse_reserved("index", name, RESERVED_INDEXES)?;
    refuse_other_case("index", name, there.iter().map(|i| &i.name))?;
    refuse_taken(conn, catalog, &index_name(collection, name))?;
    create_index(conn, collection, spec)?;
    let mut indexes = there.to_vec();
    indexes.push(Index { name: name.clone(), pointer: spec.pointer.clone(), unique: spec.unique, built: true });
    indexes.sort_by(|a, b| a.name.cmp(&b.name));
    catalog.0.insert(collection.clone(), indexes);
    Ok(true)
}

fn create_index(conn: &Connection, collection: &Name, spec: &IndexSpec) -> Result<()> {
    let (column, index) = column_and_index(collection, &spec.name, &spec.pointer, spec.unique);
    conn.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {column}; {index};", quoted(collection)))
        .or_code(conn, &format!("index the rows of `{collection}` as `{}`", spec.name), Code::IndexOperation)
        .map_err(|e| match (e.code(), spec.unique) {
            (Code::IndexOperation, true) => {
                e.hint("two rows share a value, or a body is not JSON: mend the rows first")
            }
            (Code::IndexOperation, false) => e.hint("a body is not JSON: mend the row first"),
            _ => e,
        })?;
    conn.execute(
        "INSERT INTO atlas_indexes (collection, name, pointer, is_unique, built, created_ms) VALUES (?1, ?2, ?3, ?4, 1, ?5)",
        (collection.as_str(), spec.name.as_str(), spec.pointer.as_str(), spec.unique, now_ms()),
    )
    .or_fail(conn, "note the index")?;
    Ok(())
}

/// Makes the SQLite index behind a declared one anew, also where it is gone or is another.
pub(super) fn recreate_index(conn: &Connection, collection: &Name, index: &Index) -> Result<()> {
    let (_, create) = column_and_index(collection, &index.name, &index.pointer, index.unique);
    conn.execute_batch(&format!("DROP INDEX IF EXISTS \"{}\"; {create};", index_name(collection, &index.name))).or_code(
        conn,
        &format!("rebuild index `{}` of `{collection}`", index.name),
        Code::IndexOperation,
    )
}

/// Takes the SQLite index behind a declared one out of the schema without a look at its pages, which may be damaged. They
/// belong to nothing then, until a VACUUM gives them back. Must run inside a transaction; where that is rolled back, the
/// schema has to be read again: see [`read_schema_again`].
pub(super) fn forget_index(conn: &Connection, collection: &Name, name: &Name) -> Result<()> {
    let doing = format!("forget index `{name}` of `{collection}`");
    // Nobody may write to the schema, but here.
    let guard = |on: bool| {
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, on).map(|_| ()).or_fail(conn, "guard the schema")
    };
    guard(false)?;
    let forgotten = conn.execute_batch("PRAGMA writable_schema = ON").and_then(|()| {
        conn.execute("DELETE FROM sqlite_schema WHERE type = 'index' AND name = ?1", [index_name(collection, name)])
    });
    let read_again = read_schema_again(conn);
    guard(true)?;
    forgotten.or_code(conn, &doing, Code::IndexOperation)?;
    read_again
}

/// Forgets what is known of the schema, so that the next statement reads what is there.
pub(super) fn read_schema_again(conn: &Connection) -> Result<()> {
    conn.execute_batch("PRAGMA writable_schema = RESET").or_fail(conn, "read the schema again")
}

/// Removes one index with its column; rows stay untouched. Must run inside a transaction.
pub(super) fn drop_index(conn: &Connection, catalog: &mut Catalog, collection: &Name, name: &Name) -> Result<()> {
    catalog.index(collection, name)?;
    conn.execute_batch(&format!(
        "DROP INDEX IF EXISTS \"{}\"; ALTER TABLE {} DROP COLUMN {};",
        index_name(collection, name),
        quoted(collection),
        quoted(name)
    ))
    .or_code(conn, &format!("drop index `{name}` of `{collection}`"), Code::IndexOperation)?;
    conn.execute("DELETE FROM atlas_indexes WHERE collection = ?1 AND name = ?2", (collection.as_str(), name.as_str()))
        .or_fail(conn, "forget the index")?;
    if let Some(indexes) = catalog.0.get_mut(collection) {
        indexes.retain(|i| i.name != *name);
    }
    Ok(())
}

/// What differs between a declared index and the database's own objects behind it, in words; none if they agree.
pub(super) fn definition(conn: &Connection, collection: &Name, index: &Index) -> Result<Option<String>> {
    let (column, real) = column_and_index(collection, &index.name, &index.pointer, index.unique);
    let sql = |kind: &str, name: &str| -> Result<Option<String>> {
        conn.query_row("SELECT sql FROM sqlite_schema WHERE type = ?1 AND name = ?2", [kind, name], |row| row.get(0))
            .optional()
            .or_fail(conn, "read the schema")
    };
    let differs = |what: &str| Some(format!("index `{}` of `{collection}` is declared, but {what}", index.name));
    let has_column = sql("table", collection.as_str())?.is_some_and(|sql| sql.contains(&column));
    Ok(match sql("index", &index_name(collection, &index.name))? {
        _ if !has_column => differs("its column is missing or computes something else"),
        None if !index.built => None,
        None => differs("the index behind it is missing"),
        Some(found) if found != real => differs("the index behind it has another definition"),
        Some(_) => None,
    })
}

/// True if somebody has added to a collection whose declared indexes are all put off what SQLite computes from its rows when
/// they are written: an index, a column, a check. Triggers cannot: this program's connections run none.
pub(super) fn has_additions(conn: &Connection, collection: &Name, indexes: &[Index]) -> Result<bool> {
    // Four columns are the collection's own, and the index of its key is the one without a text.
    let sql = "SELECT (SELECT count(*) FROM pragma_table_xinfo(?1)) <> 4 + ?2
         OR EXISTS (SELECT 1 FROM sqlite_schema WHERE tbl_name = ?1 AND type = 'index' AND sql IS NOT NULL)
         OR EXISTS (SELECT 1 FROM sqlite_schema WHERE tbl_name = ?1 AND type = 'table' AND sql LIKE '%check%')";
    let declared = indexes.len() as i64;
    conn.prepare_cached(sql)
        .and_then(|mut s| s.query_row((collection.as_str(), declared), |row| row.get(0)))
        .or_fail(conn, "read the schema")
}

/// True if somebody has added to a collection what may refuse a row though the host knows no reason to: a unique index, one of
/// some rows or of an expression, a column, a check.
pub(super) fn has_rules_of_others(conn: &Connection, collection: &Name, indexes: &[Index]) -> Result<bool> {
    let sql = "SELECT t.sql, (SELECT count(*) FROM pragma_table_xinfo(?1)), EXISTS (
             SELECT 1 FROM pragma_index_list(?1) AS l
             WHERE l.origin = 'c' AND l.name NOT IN (SELECT value FROM json_each(?2)) AND (l.\"unique\" OR l.partial
                 OR EXISTS (SELECT 1 FROM pragma_index_xinfo(l.name) WHERE cid = -2)))
         FROM sqlite_schema AS t WHERE t.name = ?1 AND t.type = 'table'";
    let declared: Vec<String> = indexes.iter().map(|index| index_name(collection, &index.name)).collect();
    let declared = serde_json::Value::from(declared).to_string();
    let (table, columns, others): (String, i64, bool) = conn
        .prepare_cached(sql)
        .and_then(|mut s| {
            s.query_row((collection.as_str(), declared), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        })
        .or_fail(conn, "read the schema")?;
    // What is declared may be called so.
    let columns_of_ours = indexes.iter().map(|i| column_and_index(collection, &i.name, &i.pointer, i.unique).0);
    let rest = columns_of_ours.chain([quoted(collection)]).fold(table, |rest, ours| rest.replace(&ours, ""));
    // Four columns are the collection's own.
    Ok(others || columns != 4 + indexes.len() as i64 || rest.to_ascii_lowercase().contains("check"))
}

/// The SQL of the generated column and of the index on it.
fn column_and_index(collection: &Name, name: &Name, pointer: &Pointer, unique: bool) -> (String, String) {
    let (table, column) = (quoted(collection), quoted(name));
    let unique = if unique { "UNIQUE " } else { "" };
    (
        format!("{column} ANY GENERATED ALWAYS AS ({}) VIRTUAL", expression("body", pointer)),
        format!("CREATE {unique}INDEX \"{}\" ON {table} ({column})", index_name(collection, name)),
    )
}

/// A name as an SQL identifier. Its alphabet has no quote.
pub(super) fn quoted(name: &Name) -> String {
    format!("\"{name}\"")
}

/// The SQLite index behind a declared one.
pub(super) fn index_name(collection: &Name, name: &Name) -> String {
    format!("idx_{collection}_{name}")
}

/// SQL that reads the value at `pointer` in `json`. Tokens are quoted member names; a token of digits only (without a leading
/// zero) is taken as a position in an array, since a JSON pointer does not say which it means.
pub(super) fn expression(json: &str, pointer: &Pointer) -> String {
    let mut path = String::from("$");
    for token in pointer.tokens() {
        let position =
            token == "0" || (!token.starts_with('0') && !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit()));
        if position {
            let _ = write!(path, "[{token}]");
        } else {
            path.push('.');
            path.push_str(&serde_json::Value::from(token.as_str()).to_string());
        }
    }
    format!("{json} ->> '{}'", path.replace('\'', "''"))
}

fn stored_name(text: String) -> Result<Name> {
    Name::parse(&text)
        .ok_or_else(|| Error::new(Code::StorageGeneral, format!("the store declares the name {text:?}, which is none")))
}

fn refuse_reserved(what: &str, name: &Name, reserved: &[&str]) -> Result<()> {
    let text = name.as_str().to_ascii_lowercase();
    if reserved.contains(&text.as_str()) || RESERVED_PREFIXES.iter().any(|p| text.starts_with(p)) {
        return Err(Error::new(
            Code::ConfigInvalid,
            format!("{what} `{name}` cannot be: the store uses this name itself"),
        )
        .hint("choose another name; `atlas_`, `sqlite_` and `pragma_` are reserved beginnings"));
    }
    Ok(())
}

fn refuse_other_case<'a>(what: &str, name: &Name, mut there: impl Iterator<Item = &'a Name>) -> Result<()> {
    match there.find(|n| n.as_str().eq_ignore_ascii_case(name.as_str())) {
        Some(other) => Err(Error::new(
            Code::ConfigInvalid,
            format!("{what} `{name}` differs from `{other}`, which is there, only in upper and lower case; SQL takes them for the same"),
        )
        .hint(format!("use `{other}`, or another name"))),
        None => Ok(()),
    }
}

/// An index that is put off has no object, and keeps its name all the same.
fn refuse_taken(conn: &Connection, catalog: &Catalog, object: &str) -> Result<()> {
    let declared =
        catalog.0.iter().flat_map(|(collection, indexes)| indexes.iter().map(move |index| (collection, index)));
    for (collection, index) in declared {
        if index_name(collection, &index.name).eq_ignore_ascii_case(object) {
            let text = format!("the object `{object}` is kept for index `{}` of collection `{collection}`", index.name);
            return Err(Error::new(Code::ConfigInvalid, text).hint("choose another name"));
        }
    }
    let taken: bool = conn
        .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE)", [object], |row| {
            row.get(0)
        })
        .or_fail(conn, "read the schema")?;
    if taken {
        return Err(Error::new(
            Code::ConfigInvalid,
            format!("the database has an object `{object}` already, which is no part of the store's catalog"),
        )
        .hint("choose another name"));
    }
    Ok(())
}

fn hint<'a>(what: &str, wanted: &str, there: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = there.clone().map(|n| (crate::model::edit_distance(wanted, n), n)).min();
    match near {
        None => format!("the store has no {what} yet"),
        Some((d, name)) if d <= 1 + wanted.len() / 3 => format!("did you mean `{name}`?"),
        Some(_) => format!("there are: {}", there.collect::<Vec<_>>().join(", ")),
    }
}
