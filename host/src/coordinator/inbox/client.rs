//! The other end: a process that wants a run to change.

use std::path::Path;
use std::time::{Duration, Instant};

use super::files::{COMMAND, answer_name};
use super::{Letter, TUNE_SCHEMA, Tuned, Tuning, alive, folder_of, put};
use crate::error::{Code, Error, Result};

/// How often the answer is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// An answer follows its command's removal at once.
const ANSWER_FOLLOWS: Duration = Duration::from_secs(2);

/// Asks the run with this UUID, at work in another process, to change its bounds, and waits for its answer.
///
/// Errors: STORAGE_2006 if no run of that UUID takes commands at this store, STORAGE_2007 if it gives no answer in time
/// (then nothing is changed), STORAGE_2002 if the command cannot be written.
pub fn tune(store: &Path, uuid: &str, tuning: &Tuning, wait: Duration) -> Result<Tuned> {
    let all = folder_of(store);
    let folder = all.join(uuid);
    let until = Instant::now() + wait;
    // A run that has just begun may still be opening its inputs.
    while !alive(&folder) {
        if Instant::now() >= until {
            return Err(Error::new(Code::StoragePrerequisite, format!("run {uuid} takes no commands"))
                .hint("it has ended, has not yet begun to read, or is a dry run"));
        }
        std::thread::sleep(LOOK);
    }
    let id = uuid::Uuid::now_v7().to_string();
    let letter = Letter { schema: TUNE_SCHEMA, run: uuid.to_owned(), tuning: tuning.clone() };
    let name = format!("{id}.{COMMAND}");
    put(&folder, &name, &letter).map_err(|error| {
        Error::new(Code::StorageWrite, format!("the command cannot be written into {}", folder.display()))
            .hint("only the user who runs it can tune a run")
            .because(error)
    })?;
    answer(&folder, &id, &name, until)
}

fn answer(folder: &Path, id: &str, command: &str, until: Instant) -> Result<Tuned> {
    let (command, answer) = (folder.join(command), folder.join(answer_name(id)));
    let mut until = until;
    let mut taken = false;
    loop {
        if let Ok(text) = std::fs::read(&answer) {
            // The run removes what is left here.
            let _ = std::fs::remove_file(&answer);
            return serde_json::from_slice(&text).map_err(|error| {
                Error::new(Code::StorageRead, format!("the run's answer cannot be read: {error}"))
                    .hint("use the same version of atlas-host for both")
            });
        }
        if !alive(folder) {
            let message = "the run ended before it answered";
            return Err(Error::new(Code::StoragePrerequisite, message).hint("see `atlas-host runs list`"));
        }
        if Instant::now() >= until {
            // Whoever removes the command has it: either it is taken back now, or it was obeyed.
            if taken || std::fs::remove_file(&command).is_ok() {
                let what = if taken { "took the command and did not answer" } else { "did not take the command" };
                let error = Error::new(Code::StorageLocked, format!("the run {what} in time"));
                return Err(error.hint(match taken {
                    true => "see `atlas-host runs show --tuning`",
                    false => {
                        "nothing was changed; a run takes commands between two batches, so a longer --wait may help"
                    }
                }));
            }
            taken = true;
            until = Instant::now() + ANSWER_FOLLOWS;
        }
        std::thread::sleep(LOOK);
    }
}
