//! Opening the file: which files are refused, the lock, the pragmas, and the checks before anything is written.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::failure::{OrFail, code_of};
use super::schema::{self, Identity};
use super::{extract, hurry};
use crate::error::{Code, Error, Result};
use crate::limits;

/// How much a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Every commit is synced: it survives power loss.
    #[default]
    Full,
    /// Power loss may take the last commits, never a part of one. The end of a process takes nothing.
    Normal,
}

/// How a store is opened for writing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    pub path: PathBuf,
    pub durability: Durability,
    /// True if a missing file may be created.
    pub create: bool,
}

/// What is at a path.
pub(super) enum There {
    /// Nothing, or an empty file.
    Nothing,
    /// A file with bytes in it.
    File,
}

/// SQLite before 3.51.3 can corrupt a WAL database when one connection checkpoints while another commits (sqlite.org/wal.html).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// Statements kept prepared per connection: a dozen per collection and the fixed ones.
const STATEMENTS_KEPT: usize = 256;

/// Makes the path absolute and says what is there. Errors: STORAGE_2005 for what can never be a store.
pub(super) fn examine(path: &Path, create: bool) -> Result<(PathBuf, There)> {
    let refuse = |why: String, hint: &str| Err(Error::new(Code::StorageOpen, why).hint(hint));
    let shown = path.display();
    if path.as_os_str().is_empty()
        || path.as_os_str() == ":memory:"
        || path.as_os_str().as_encoded_bytes().starts_with(b"file:")
    {
        return refuse(
            format!("{:?} is not the path of a store: a plain file path is wanted", path.as_os_str()),
            "leave out `file:`",
        );
    }
    match std::fs::metadata(path) {
        Ok(m) if m.is_dir() => refuse(format!("{shown} is a directory; a file is wanted"), "name a file inside it"),
        Ok(m) if !m.is_file() => refuse(format!("{shown} is not a regular file"), "name a regular file"),
        Ok(m) => {
            let absolute = std::fs::canonicalize(path).map_err(|e| unreadable(path, e))?;
            Ok((absolute, if m.len() == 0 { There::Nothing } else { There::File }))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {
            let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let parent = std::fs::canonicalize(parent).map_err(|e| {
                Error::new(
                    Code::StorageOpen,
                    format!("store {shown} cannot be created: its directory cannot be opened"),
                )
                .because(e)
                .hint("create the directory first")
            })?;
            match path.file_name() {
                Some(name) => Ok((parent.join(name), There::Nothing)),
                None => refuse(format!("{shown} does not name a file"), "name a file"),
            }
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            refuse(format!("there is no store {shown}"), "check the path; `atlas-host run` creates a store")
        }
        Err(e) => Err(unreadable(path, e)),
    }
}

fn unreadable(path: &Path, e: std::io::Error) -> Error {
    Error::new(Code::StorageOpen, format!("store {} cannot be opened", path.display())).because(e)
}

/// Opens for reading only and checks the identity; nothing is written to the database file.
pub(super) fn open_reading(path: &Path) -> Result<(Connection, Identity)> {
    refuse_old_library()?;
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    harden(&conn)?;
    conn.pragma_update(None, "query_only", true).or_fail(&conn, "forbid writing")?;
    let identity = schema::identify(&conn)?;
    Ok((conn, identity))
}

/// Opens for writing. The identity must have been checked; the schema is the caller's to migrate.
pub(super) fn open_writing(path: &Path, durability: Durability) -> Result<Connection> {
    writing(path, durability, OpenFlags::SQLITE_OPEN_CREATE)
}

/// As [`open_writing`], a file that was open for writing before: one that is gone is not made anew.
pub(super) fn open_writing_again(path: &Path, durability: Durability) -> Result<Connection> {
    writing(path, durability, OpenFlags::empty())
}

fn writing(path: &Path, durability: Durability, create: OpenFlags) -> Result<Connection> {
    refuse_old_library()?;
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | create)?;
    if conn.is_readonly(rusqlite::MAIN_DB).or_fail(&conn, "ask for the access mode")? {
        return Err(Error::new(Code::StorageOpen, format!("store {} is read-only", path.display()))
            .hint("check the permissions of the file and of its directory"));
    }
    // Heeded while the file is empty, and by no statement after that.
    conn.pragma(None, "page_size", limits::STORE_PAGE_BYTES, |_| Ok(())).or_fail(&conn, "set a pragma")?;
    harden(&conn)?;
    extract::install(&conn).or_fail(&conn, "put a function into the connection")?;
    schema::identify(&conn)?;
    let page: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).or_fail(&conn, "read a pragma")?;
    let mode: String = conn
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .or_fail(&conn, "turn on the write-ahead log")?;
    set_durability(&conn, durability)?;
    for (name, value) in [
        ("wal_autocheckpoint", limits::WAL_CHECKPOINT_BYTES as i64 / page.max(1)),
        // What a reader of long ago made the log grow to is given back once it begins anew, so that its size says how far
        // the checkpoints lag behind now.
        ("journal_size_limit", limits::WAL_CHECKPOINT_BYTES as i64),
        ("cache_size", -i64::from(limits::WRITER_CACHE_KIB)),
        // Sorts the entries of an index that is built while the next ones are gathered.
        ("threads", 1),
    ] {
        // Some of these answer with a row and some do not.
        conn.pragma(None, name, value, |_| Ok(())).or_fail(&conn, "set a pragma")?;
    }
    let level = synchronous_of(durability);
    let synchronous: i64 =
        conn.pragma_query_value(None, "synchronous", |row| row.get(0)).or_fail(&conn, "read a pragma")?;
    if mode != "wal" || synchronous != level {
        return Err(Error::new(
            Code::StoragePrerequisite,
            format!(
                "store {} runs with journal mode {mode} and synchronous {synchronous}; wanted wal and {level}",
                path.display()
            ),
        )
        .hint("put the store on a local disk: the write-ahead log needs shared memory"));
    }
    Ok(conn)
}

/// From the next transaction on; SQLite refuses it inside of one.
pub(super) fn set_durability(conn: &Connection, durability: Durability) -> Result<()> {
    conn.pragma_update(None, "synchronous", synchronous_of(durability)).or_fail(conn, "set a pragma")
}

fn synchronous_of(durability: Durability) -> i64 {
    match durability {
        Durability::Full => 2,
        Durability::Normal => 1,
    }
}

/// Says so where the file system cannot keep what the durability promises; the store works all the same.
pub(super) fn warn_of_file_system(path: &Path) {
    if let Some(what) = flaw_of_file_system(path) {
        tracing::warn!(store = %path.display(), "the store is on {what}");
    }
}

/// What kind of file system a store is on, or would be, and what it cannot keep of what the durability promises; none where
/// nothing is known against it.
pub fn flaw_of_file_system(store: &Path) -> Option<&'static str> {
    // Numbers from statfs(2).
    const KINDS: &[(u64, &str)] = &[
        (0x0102_1994, "tmpfs, which nothing survives a restart of the machine on"),
        (0x6969, "NFS, whose locks and shared memory a write-ahead log cannot rely on"),
        (0xFF53_4D42, "CIFS, whose locks and shared memory a write-ahead log cannot rely on"),
        (0xFE53_4D42, "SMB, whose locks and shared memory a write-ahead log cannot rely on"),
    ];
    let store = std::fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let found = rustix::fs::statfs(folder).ok()?;
    // The field's type differs between platforms; the numbers fit 32 bits.
    let kind = found.f_type as u64 & 0xFFFF_FFFF;
    KINDS.iter().find(|(number, _)| *number == kind).map(|(_, what)| *what)
}

/// The version of SQLite that is in this program.
pub fn library_version() -> &'static str {
    rusqlite::version()
}

fn refuse_old_library() -> Result<()> {
    let found = rusqlite::version_number();
    if found < SQLITE_VERSION_MIN {
        return Err(Error::new(
            Code::StoragePrerequisite,
            format!("SQLite {} can corrupt a write-ahead log; 3.51.3 or later is wanted", rusqlite::version()),
        )
        .hint("build with the bundled SQLite"));
    }
    Ok(())
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    // Without SQLITE_OPEN_URI; the path is absolute as well, so that no name can begin with "file:".
    let mut conn = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(|e| {
        Error::new(code_of(&e).unwrap_or(Code::StorageOpen), format!("store {} cannot be opened", path.display()))
            .because(e)
    })?;
    conn.busy_timeout(limits::BUSY_TIMEOUT).or_fail(&conn, "set the busy time-out")?;
    hurry::install(&mut conn).or_fail(&conn, "bound the time of reads")?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(conn)
}

fn harden(conn: &Connection) -> Result<()> {
    for (switch, on) in [
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    ] {
        conn.set_db_config(switch, on).or_fail(conn, "harden the connection")?;
    }
    for (limit, most) in [(Limit::SQLITE_LIMIT_ATTACHED, 1), (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1)] {
        conn.set_limit(limit, most).or_fail(conn, "lower a limit")?;
    }
    for (name, value) in [("mmap_size", 0), ("cell_size_check", 1), ("foreign_keys", 1)] {
        conn.pragma(None, name, value, |_| Ok(())).or_fail(conn, "set a pragma")?;
    }
    Ok(())
}

/// Whoever only asks whether the lock is held holds it for an instant: such an instant is waited out.
fn patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(2)),
            other => return other,
        }
    }
    file.try_lock()
}

/// The right to write, as an OS lock on `<store>.lock`: the system frees it however the process ends.
/// The file stays; removing it could free a name that another process has locked meanwhile.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held open, never read: closing it frees the lock")] File);

impl Lock {
    /// Errors: STORAGE_2007 naming the holder, STORAGE_2005 where the lock file cannot be opened, or is a link.
    pub fn take(store: &Path) -> Result<Self> {
        let mut path = store.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |e: std::io::Error| {
            Error::new(Code::StorageOpen, format!("lock file {} cannot be used", path.display())).because(e)
        };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        // A link may lead to any file of this user, and what it leads to would be emptied.
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        let mut file = options.open(&path).map_err(|e| match path.is_symlink() {
            true => Error::new(Code::StorageOpen, format!("lock file {} is a link; a file is wanted", path.display()))
                .hint("remove the link; the lock file is made anew"),
            false => failed(e),
        })?;
        match patiently(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder's note is a courtesy: without it the refusal still stands.
                let _ = file.take(1024).read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
                return Err(Error::new(Code::StorageLocked, format!("store {} is held by {holder}", store.display())));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        // Program and verb only: flags may hold what is secret.
        let command: Vec<String> = std::env::args_os().take(2).map(|a| a.to_string_lossy().into_owned()).collect();
        let command: String = command.join(" ").chars().filter(|c| !c.is_control()).take(200).collect();
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        file.write_all(format!("process {}: {command}\n", std::process::id()).as_bytes()).map_err(failed)?;
        Ok(Self(file))
    }
}
