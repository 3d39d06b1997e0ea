//! Who takes part: where their programs are, and the command with which each does its job.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::hardware::{hardware, today};
use super::measure::TIME;

/// The folder of this program's scripts.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bench");
/// What the main job has indexes on.
pub const INDEXES: [&str; 3] = ["status", "path", "priority"];

/// The programs, and the folder to work in.
pub struct Peers {
    /// `target` of the checkout, or what stands for it.
    target: PathBuf,
    /// Everything that is written lies in here.
    pub work: PathBuf,
    /// The loaders in other languages take part.
    others: bool,
}

/// What the figures were taken on and with.
pub struct Machine {
    /// Processor, system, and how busy others keep it.
    pub hardware: String,
    /// Versions of the contestants.
    pub software: String,
    /// UTC.
    pub date: String,
}

impl Peers {
    /// `others`: the loaders in other languages take part.
    ///
    /// Errors: this program lies in no target folder, or something is missing that `examples/bench/run` sets up.
    pub fn find(others: bool) -> Result<Self> {
        let program = std::env::current_exe()?;
        // TARGET/release/examples/bench.
        let target = program.ancestors().nth(3).context("this program lies in no target folder")?.to_owned();
        let peers = Self { work: target.join("bench"), target, others };
        fs::create_dir_all(&peers.work)?;
        let of_others = [peers.sqlite_utils(), peers.work.join("node/node_modules/better-sqlite3")];
        let needed = [
            PathBuf::from(TIME),
            peers.program("atlas-host"),
            peers.program("examples/native_loader"),
            peers.program("examples/generate"),
            peers.guest("ticket-rules"),
            peers.guest("ticket-tidy"),
            peers.guest("identity"),
            peers.guest("faulty"),
        ];
        for path in needed.into_iter().chain(of_others.into_iter().filter(|_| others)) {
            ensure!(path.exists(), "there is no {}. hint: run examples/bench/run, which sets it up", path.display());
        }
        Ok(peers)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// The component of a sample guest.
    pub fn guest(&self, name: &str) -> PathBuf {
        self.target.join("guests").join(name).with_extension("wasm")
    }

    fn sqlite_utils(&self) -> PathBuf {
        self.work.join("venv/bin/sqlite-utils")
    }

    /// An empty folder for one run.
    pub fn fresh_folder(&self) -> Result<PathBuf> {
        let folder = self.work.join("store");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// So many tickets, all of them good; made once.
    pub fn tickets(&self, count: u64) -> Result<PathBuf> {
        let path = self.work.join(format!("tickets-{count}.ndjson"));
        if !path.exists() {
            let part = path.with_extension("part");
            self.generate_tickets(count, &part)?;
            fs::rename(part, &path)?;
        }
        Ok(path)
    }

    /// So many good tickets into this file.
    pub fn generate_tickets(&self, count: u64, path: &Path) -> Result<()> {
        let mut generate = Command::new(self.program("examples/generate"));
        let status = generate.args(["tickets", "--count", &count.to_string(), "--out"]).arg(path).status()?;
        ensure!(status.success(), "{status}: {generate:?}");
        Ok(())
    }

    /// An item that keeps the guest `faulty` busy for about so many quarters of a millisecond, on a core of today: it counts
    /// rounds, since a sandbox has no clock.
    pub fn busy_item(id: u64, quarters: u32) -> String {
        format!(r#"{{"id":"{id}","fault":"slow({quarters})"}}"#)
    }

    /// So many items of a millisecond each.
    pub fn busy_items(&self, count: u64) -> Result<PathBuf> {
        let path = self.work.join(format!("busy-{count}.ndjson"));
        let mut out = BufWriter::new(File::create(&path)?);
        for id in 0..count {
            writeln!(out, "{}", Self::busy_item(id, 4))?;
        }
        out.flush()?;
        Ok(path)
    }

    /// The loader by hand; `more` is how many rows a transaction has, and what else it is told.
    pub fn native(&self, input: &Path, store: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(self.program("examples/native_loader"));
        command.arg(input).arg(store).args(more);
        command
    }

    pub fn node(&self, input: &Path, store: &Path) -> Command {
        let mut command = Command::new("node");
        command.env("NODE_PATH", self.work.join("node/node_modules"));
        command.arg(Path::new(SCRIPTS).join("node_loader.cjs")).arg(input).arg(store).arg("1000");
        command
    }

    /// Its documentation's way: insert, converting each row, then one `create-index` after the other.
    pub fn sqlite_utils_converting(&self, input: &Path, store: &Path) -> Command {
        let convert = Path::new(SCRIPTS).join("sqlite_utils_convert.py");
        let script = r#"set -e; su=$1 input=$2 store=$3 convert=$4; shift 4
            "$su" insert "$store" items "$input" --nl --pk id --batch-size 1000 --import re --convert "$(<"$convert")"
            for column in "$@"; do "$su" create-index "$store" items "$column"; done"#;
        let mut command = Command::new("bash");
        command.args(["-c", script, "bash"]).arg(self.sqlite_utils()).arg(input).arg(store).arg(convert).args(INDEXES);
        command
    }

    pub fn sqlite_utils_plain(&self, input: &Path, store: &Path) -> Command {
        let mut command = Command::new(self.sqlite_utils());
        command.arg("insert").arg(store).args(["items"]).arg(input);
        command.args(["--nl", "--pk", "id", "--batch-size", "1000"]);
        command
    }

    /// The command-line shell of SQLite, with one row.
    pub fn sqlite_shell(&self, store: &Path, id: &str, body: &str) -> Command {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let statements = format!(
            "CREATE TABLE items (id TEXT PRIMARY KEY, body TEXT); INSERT INTO items VALUES ({}, {})",
            quoted(id),
            quoted(body)
        );
        let mut command = Command::new("sqlite3");
        command.arg(store).arg(statements);
        command
    }

    /// The host without plugin.
    pub fn atlas(&self, input: &Path, more: &[&str]) -> Command {
        let mut command = Command::new(self.program("atlas-host"));
        command.env("ATLAS_CACHE_DIR", self.work.join("cache")).current_dir(&self.work);
        command.args(["-q", "run", "--id", "id", "--input"]).arg(input).args(more);
        command
    }

    /// The host with the guest `name` as its operation.
    pub fn atlas_with(&self, name: &str, input: &Path, more: &[&str]) -> Command {
        let mut command = self.atlas(input, more);
        command.arg("--plugin").arg(self.guest(name));
        command
    }

    /// The host as it judges and tidies tickets.
    pub fn atlas_tickets(&self, input: &Path, store: &Path) -> Command {
        let mut command = self.atlas_with("ticket-tidy", input, &[]);
        command.arg("--validator").arg(self.guest("ticket-rules")).arg("--store").arg(store);
        command
    }

    /// The main job.
    pub fn atlas_main_job(&self, input: &Path, store: &Path) -> Command {
        let mut command = self.atlas_tickets(input, store);
        command.args(INDEXES.iter().flat_map(|index| ["--index", *index]));
        command
    }

    /// Compiles the plugins into the cache: that belongs to the set-up, as the compiler does for the others.
    pub fn warm(&self) -> Result<()> {
        let one = self.tickets(1)?;
        let store = self.fresh_folder()?.join("warm.db");
        let unstored = |guest| self.atlas_with(guest, &one, &["--processor", "memory"]);
        for mut command in [self.atlas_tickets(&one, &store), unstored("identity"), unstored("faulty")] {
            let output = command.output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}: {command:?}\n{said}", output.status);
        }
        Ok(())
    }

    pub fn machine(&self) -> Result<Machine> {
        let answer = |command: &mut Command| -> Result<String> {
            let output = command.output().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
            let Some(line) = std::str::from_utf8(&output.stdout)?.lines().next() else {
                bail!("{command:?} said nothing");
            };
            Ok(line.trim().to_owned())
        };
        let version = "const D = require('better-sqlite3'); console.log(process.version, 'with better-sqlite3', \
            require('better-sqlite3/package.json').version, 'on SQLite', \
            new D(':memory:').prepare('SELECT sqlite_version()').pluck().get())";
        let modules = self.work.join("node/node_modules");
        let mut software =
            vec![format!("atlas-host {} and native on SQLite {}", env!("CARGO_PKG_VERSION"), rusqlite::version())];
        if self.others {
            software.push(format!(
                "Node.js {}",
                answer(Command::new("node").env("NODE_PATH", modules).args(["-e", version]))?
            ));
            software.push(format!(
                "{} on SQLite {}",
                answer(Command::new(self.sqlite_utils()).arg("--version"))?.replace(", version", ""),
                answer(
                    Command::new(self.work.join("venv/bin/python3"))
                        .args(["-c", "import sqlite3; print(sqlite3.sqlite_version)"])
                )?
            ));
        }
        Ok(Machine { hardware: hardware(), software: software.join("; "), date: today() })
    }
}
