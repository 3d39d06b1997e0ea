//! The command line: what every verb prints, and how it exits.

mod alert_command;
mod alerts;
mod authoring;
mod continuing;
mod events;
mod filling;
mod folders;
mod following;
mod golden;
mod health;
mod help;
mod inert;
mod large;
mod looking;
mod measured;
mod mending;
mod metrics;
mod parity;
mod processors;
mod quotas;
mod recommend;
mod reload;
mod reports;
mod resuming;
mod retrying;
mod revalidating;
mod run;
mod settings;
pub mod sharing;
mod stored_input;
mod strategies;
mod summary;
mod switches;
mod talk;
mod terminal;
mod times;
mod tuning;
mod top;
mod unusual;
mod validating;
mod whole_run;

pub use golden::{Redact, golden};

use crate::harness::{Atlas, Folder, Ran, guest_arg};

/// Eight items with one of each fate, refused in each phase by the guest `faulty`: five stored, one dropped, two
/// rejected, and dead letters of decoding and of a unique index.
pub const MIXED: &str = r#"{"id":"a","status":"open","number":1}
{"id":"b","status":"open","number":2,"fault":"validator-reject(2)"}
{"id":"c","status":"done","number":3,"fault":"reject"}
{"id":"d","status":"done","number":4,"fault":"drop"}
{"id":"e","status":
{"id":"f","status":"done","number":1}
{"id":"g","status":"open","number":7}
{"id":"h","status":"open","number":8,"text":"ärger 😀"}
"#;

/// Arguments of `run` for [`MIXED`].
pub fn mixed_arguments() -> Vec<String> {
    let faulty = guest_arg("faulty");
    let fixed =
        "run --input mixed.ndjson --id id --index status --unique number --strategy sequential --lanes 1 --seed 7";
    let mut arguments: Vec<String> = fixed.split(' ').map(str::to_owned).collect();
    arguments.extend(["--validator".to_owned(), format!("rules={faulty}")]);
    arguments.extend(["--plugin".to_owned(), format!("work={faulty}")]);
    arguments
}

/// A folder with the input, and a store that one run of it has filled.
pub fn with_store() -> Folder {
    let folder = Folder::new();
    folder.write("mixed.ndjson", MIXED);
    folder.atlas(mixed_arguments()).run().exits(3);
    folder
}

/// Runs words in a folder.
pub fn words(folder: &Folder, line: &str) -> Ran {
    folder.atlas(line.split_whitespace()).run()
}

/// The first column of what a query gives.
#[track_caller]
pub fn sql(folder: &Folder, select: &str) -> Vec<String> {
    let ran = folder.atlas(["query", "--sql", select, "--limit", "0", "--output", "csv"]).run().exits(0);
    ran.stdout.lines().skip(1).map(str::to_owned).collect()
}

/// `run` over a file with further words, nothing asked of plugins.
pub fn plain_run(folder: &Folder, further: &str) -> Atlas {
    folder.atlas(format!("run --input in.ndjson --id id {further}").split_whitespace())
}

/// Items `{"id":"i-000000","n":0}` and so on.
pub fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("{{\"id\":\"i-{n:06}\",\"n\":{n}}}\n")).collect()
}
