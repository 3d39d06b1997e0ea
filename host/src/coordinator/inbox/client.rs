//! The other end: a process that wants a run to change.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::files::{COMMAND, COMPONENT, answer_name, put_bytes};
use super::{Letter, STANDING, SwapAnswer, SwapLetter, TUNE_SCHEMA, Tuned, Tuning, alive, folder_of, put};
use crate::coordinator::swap::{SwapRequest, SwapSource};
use crate::error::{Code, Error, Result};
use crate::model::Digest;

/// How often the answer is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Of the name of a plugin's file, what is handed over.
const NAME_BYTES_MAX: usize = 1024;
/// An answer follows its command's removal at once.
const ANSWER_FOLLOWS: Duration = Duration::from_secs(2);

/// Asks the run with this UUID, at work in another process, to change its bounds, and waits for its answer.
///
/// Errors: STORAGE_2006 if no run of that UUID takes commands at this store, STORAGE_2007 if it gives no answer in time
/// (then nothing is changed), STORAGE_2002 if the command cannot be written.
pub fn tune(store: &Path, uuid: &str, tuning: &Tuning, wait: Duration) -> Result<Tuned> {
    let until = Instant::now() + wait;
    let folder = open(store, uuid, until)?;
    let id = uuid::Uuid::now_v7().to_string();
    let letter = Letter { schema: TUNE_SCHEMA, run: uuid.to_owned(), tuning: tuning.clone(), swap: None };
    let name = format!("{id}.{COMMAND}");
    put(&folder, &name, &letter).map_err(|error| unwritten(&folder, error))?;
    answer(&folder, &id, &name, until)
}

/// Asks the run with this UUID, at work in another process, for another plugin in a slot, and follows the candidate until
/// its outcome is known or the time is over; gives the last that the run has told.
///
/// Errors: as [`tune`]; CONFIG_3001 if the run cannot read the request.
pub fn swap(store: &Path, uuid: &str, request: &SwapRequest, wait: Duration) -> Result<SwapAnswer> {
    let until = Instant::now() + wait;
    let folder = open(store, uuid, until)?;
    let id = uuid::Uuid::now_v7().to_string();
    let mut name = request.name.clone();
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    let swap = SwapLetter {
        slot: request.slot.to_string(),
        name,
        digest: Digest::of(&request.bytes).to_string(),
        rollback: request.source == SwapSource::Rollback,
    };
    let letter = Letter { schema: TUNE_SCHEMA, run: uuid.to_owned(), tuning: Tuning::default(), swap: Some(swap) };
    let (component, command) = (format!("{id}.{COMPONENT}"), format!("{id}.{COMMAND}"));
    put_bytes(&folder, &component, &request.bytes)
        .and_then(|()| put(&folder, &command, &letter))
        .map_err(|error| unwritten(&folder, error))?;
    follow(&folder, &id, until)
}

/// The name, in place of a run's UUID, by which [`swap`] reaches a process that stays up and has no run of this store at work
/// just now (`run --watch-input`); none if there is no such process. Its next run obeys.
pub fn waiting(store: &Path) -> Option<String> {
    let entries = std::fs::read_dir(folder_of(store)).ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut standing: Vec<String> = names.filter(|name| name.starts_with(STANDING)).collect();
    standing.retain(|name| alive(&folder_of(store).join(name)));
    standing.sort();
    standing.pop()
}

/// What the run tells of the candidate, until nothing more comes.
fn follow(folder: &Path, id: &str, until: Instant) -> Result<SwapAnswer> {
    let place = folder.join(answer_name(id));
    let mut last: Option<SwapAnswer> = None;
    loop {
        if let Ok(text) = std::fs::read(&place) {
            let told = serde_json::from_slice::<SwapAnswer>(&text);
            match told {
                Ok(answer) if answer.ended => {
                    let _ = std::fs::remove_file(&place);
                    return Ok(answer);
                }
                Ok(answer) => last = Some(answer),
                // A refusal of the request itself comes in the form of the answer to `runs tune`.
                Err(_) => {
                    let _ = std::fs::remove_file(&place);
                    let tuned: Tuned = serde_json::from_slice(&text).map_err(unreadable)?;
                    let error = tuned.error.unwrap_or_else(|| crate::event::ErrorReport::from(&ended()));
                    return Err(Error::new(Code::ConfigInvalid, error.message).hint(error.hint));
                }
            }
        }
        if !alive(folder) {
            return last.map_or_else(|| Err(ended()), Ok);
        }
        if Instant::now() >= until {
            if let Some(last) = last {
                return Ok(last);
            }
            // Whoever removes the command has it: either it is taken back now, or it was obeyed.
            if std::fs::remove_file(folder.join(format!("{id}.{COMMAND}"))).is_ok() {
                let _ = std::fs::remove_file(folder.join(format!("{id}.{COMPONENT}")));
                return Err(Error::new(Code::StorageLocked, "the run did not take the request in time")
                    .hint("nothing was changed; a longer --wait may help"));
            }
            return Err(Error::new(Code::StorageLocked, "the run took the request and has not answered yet")
                .hint("see `atlas-host plugins history`"));
        }
        std::thread::sleep(LOOK);
    }
}

fn ended() -> Error {
    Error::new(Code::StoragePrerequisite, "the run ended before it answered").hint("see `atlas-host runs list`")
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::new(Code::StorageRead, format!("the run's answer cannot be read: {error}"))
        .hint("use the same version of atlas-host for both")
}

fn unwritten(folder: &Path, error: std::io::Error) -> Error {
    Error::new(Code::StorageWrite, format!("the command cannot be written into {}", folder.display()))
        .hint("only the user who runs it can change a run")
        .because(error)
}

/// The folder of a run that takes commands.
fn open(store: &Path, uuid: &str, until: Instant) -> Result<PathBuf> {
    let folder = folder_of(store).join(uuid);
    // A run that has just begun may still be opening its inputs.
    while !alive(&folder) {
        if Instant::now() >= until {
            return Err(Error::new(Code::StoragePrerequisite, format!("run {uuid} takes no commands"))
                .hint("it has ended, has not yet begun to read, or is a dry run"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(folder)
}

fn answer(folder: &Path, id: &str, command: &str, until: Instant) -> Result<Tuned> {
    let (command, answer) = (folder.join(command), folder.join(answer_name(id)));
    let mut until = until;
    let mut taken = false;
    loop {
        if let Ok(text) = std::fs::read(&answer) {
            // The run removes what is left here.
            let _ = std::fs::remove_file(&answer);
            return serde_json::from_slice(&text).map_err(unreadable);
        }
        if !alive(folder) {
            return Err(ended());
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
