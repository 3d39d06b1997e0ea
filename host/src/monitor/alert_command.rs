//! Alerts handed to a program of the user's.
//!
//! Started without a shell, once per alert and one at a time, with the alert as JSON on its standard input and in
//! `ATLAS_ALERT_…` variables. Bounded in every way: what waits, how long one takes, what the end of the run waits for. What
//! goes wrong with it is one warning, and never stops a run or changes what it comes to.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Monitor;
use crate::event::{Envelope, Event};
use crate::limits::{ALERT_COMMAND_TIME_MAX, ALERT_COMMANDS_MAX};

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// What the program is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertState {
    /// Such as `HIGH_MEMORY`.
    pub alert: String,
    /// `raised` or `cleared`.
    pub state: String,
    pub batch: u64,
    pub value: f64,
    pub threshold: f64,
    /// Empty where it was cleared.
    pub message: String,
    /// Number of the run within its store.
    pub run: u64,
    pub uuid: String,
    pub store: String,
    /// Wall clock, milliseconds since the Unix epoch.
    pub time_ms: i64,
}

/// See the module.
pub struct AlertCommand {
    uuid: String,
    store: String,
    queue: Option<SyncSender<AlertState>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    time_max: Duration,
}

/// What monitor and thread both see.
struct Shared {
    program: PathBuf,
    /// The run is over and its wait is, too.
    give_up: AtomicBool,
    warned: AtomicBool,
}

impl Shared {
    /// The first failure is told, the others are like it.
    fn warn(&self, why: &str) {
        if !self.warned.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                program = %self.program.display(),
                "The program of --on-alert: {why}. The run goes on; no further failure of it is told."
            );
        }
    }
}

impl AlertCommand {
    /// Nothing is started before the first alert.
    pub fn new(program: PathBuf) -> Self {
        Self::within(program, ALERT_COMMAND_TIME_MAX)
    }

    fn within(program: PathBuf, time_max: Duration) -> Self {
        let shared = Shared { program, give_up: AtomicBool::new(false), warned: AtomicBool::new(false) };
        let (uuid, store) = (String::new(), String::new());
        Self { uuid, store, queue: None, thread: None, shared: Arc::new(shared), time_max }
    }

    fn hand_over(&mut self, alert: AlertState) {
        if self.thread.is_none() {
            let (sender, receiver) = sync_channel(ALERT_COMMANDS_MAX);
            let (shared, time_max) = (Arc::clone(&self.shared), self.time_max);
            let work = move || work(&shared, &receiver, time_max);
            match std::thread::Builder::new().name("atlas-alerts".to_owned()).spawn(work) {
                Ok(thread) => (self.queue, self.thread) = (Some(sender), Some(thread)),
                Err(error) => return self.shared.warn(&format!("no thread can be started for it: {error}")),
            }
        }
        if self.queue.as_ref().is_some_and(|queue| queue.try_send(alert).is_err()) {
            self.shared.warn(&format!("{ALERT_COMMANDS_MAX} alerts wait for it already, a further one is left out"));
        }
    }
}

impl Monitor for AlertCommand {
    fn name(&self) -> &'static str {
        "alert-command"
    }

    fn observe(&mut self, envelope: &Envelope) {
        let (alert, state, batch, value, threshold, message) = match &envelope.event {
            Event::RunStarted(started) => {
                self.uuid.clone_from(&started.uuid);
                self.store.clone_from(&started.store);
                return;
            }
            Event::AlertRaised { alert, batch, value, threshold, message } => {
                (alert, "raised", *batch, *value, *threshold, message.clone())
            }
            Event::AlertCleared { alert, batch, value, threshold } => {
                (alert, "cleared", *batch, *value, *threshold, String::new())
            }
            _ => return,
        };
        self.hand_over(AlertState {
            alert: alert.clone(),
            state: state.to_owned(),
            batch,
            value,
            threshold,
            message,
            run: envelope.run,
            uuid: self.uuid.clone(),
            store: self.store.clone(),
            time_ms: envelope.time_ms,
        });
    }

    fn finish(&mut self) {
        self.queue = None;
        let Some(thread) = self.thread.take() else { return };
        let until = Instant::now() + self.time_max;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK);
        }
        self.shared.give_up.store(true, Ordering::SeqCst);
        if thread.join().is_err() {
            self.shared.warn("its thread has panicked");
        }
    }
}

fn work(shared: &Shared, alerts: &Receiver<AlertState>, time_max: Duration) {
    for alert in alerts {
        if shared.give_up.load(Ordering::SeqCst) {
            return shared.warn("the run is over, and alerts were still waiting for it");
        }
        match start(shared, &alert) {
            Ok(child) => attend(shared, child, time_max),
            Err(error) => shared.warn(&format!("it cannot be started: {error}")),
        }
    }
}

fn start(shared: &Shared, alert: &AlertState) -> std::io::Result<Child> {
    let mut command = Command::new(&shared.program);
    // Standard output is the run's own data, standard error its talk. A group of its own, to be killed as a whole.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let text = serde_json::to_string(alert).map_err(std::io::Error::other)?;
    for (name, value) in [
        ("NAME", alert.alert.clone()),
        ("STATE", alert.state.clone()),
        ("BATCH", alert.batch.to_string()),
        ("VALUE", alert.value.to_string()),
        ("THRESHOLD", alert.threshold.to_string()),
        // No variable can hold a zero byte.
        ("MESSAGE", alert.message.replace('\0', " ")),
        ("RUN", alert.run.to_string()),
        ("UUID", alert.uuid.clone()),
        ("STORE", alert.store.replace('\0', " ")),
    ] {
        command.env(format!("ATLAS_ALERT_{name}"), value);
    }
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It fits the pipe, so that this never waits; a program that does not read it has closed it.
        let _ = stdin.write_all(text.as_bytes());
    }
    Ok(child)
}

/// Waits for it, and kills it where it takes too long.
fn attend(shared: &Shared, mut child: Child, time_max: Duration) {
    let until = Instant::now() + time_max;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return,
            Ok(Some(status)) => return shared.warn(&format!("it ended with {status}")),
            Ok(None) if Instant::now() < until && !shared.give_up.load(Ordering::SeqCst) => std::thread::sleep(LOOK),
            Ok(None) => {
                let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
                if let Some(group) = group {
                    // Its own children too; that it has just ended is no failure.
                    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                }
                let _ = child.kill();
                let _ = child.wait();
                return shared.warn(&format!("it took longer than {} s and was killed", time_max.as_secs_f64()));
            }
            Err(error) => return shared.warn(&format!("it cannot be waited for: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::testing;

    /// Written by a process of its own: a file that a thread of this one still has open for writing cannot be started.
    fn script(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("hook");
        let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod 700 \"$0\"";
        let written = Command::new("sh").args(["-c", write]).arg(&path).arg(text).status().unwrap();
        assert!(written.success());
        path
    }

    fn alert(number: u64) -> Event {
        Event::AlertRaised {
            alert: "HIGH_MEMORY".to_owned(),
            batch: number,
            value: 0.95,
            threshold: 0.9,
            message: "it's \"full\" $(of) memory".to_owned(),
        }
    }

    fn told(command: &mut AlertCommand, alerts: u64) {
        testing::stream((0..alerts).map(alert)).iter().for_each(|envelope| command.observe(envelope));
        command.finish();
    }

    #[test]
    fn the_alert_comes_on_standard_input_and_in_variables_and_no_shell_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let path = script(
            &folder,
            &format!("cat > '{0}.json'; printf '%s' \"$ATLAS_ALERT_NAME $ATLAS_ALERT_MESSAGE\" > '{0}'", out.display()),
        );
        let mut command = AlertCommand::new(path);
        told(&mut command, 1);
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "HIGH_MEMORY it's \"full\" $(of) memory");
        let given: AlertState = serde_json::from_slice(&std::fs::read(out.with_extension("json")).unwrap()).unwrap();
        assert_eq!((given.state.as_str(), given.value, given.run), ("raised", 0.95, 3));
        assert!(!command.shared.warned.load(Ordering::SeqCst));
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children_and_the_end_waits_no_longer_than_that() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(&folder, "sleep 1000 & wait");
        let mut command = AlertCommand::within(path, Duration::from_millis(50));
        let begun = Instant::now();
        told(&mut command, 5);
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert!(command.shared.warned.load(Ordering::SeqCst) && command.thread.is_none());
    }

    #[test]
    fn alerts_beyond_the_queue_are_left_out_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = script(&folder, "exec sleep 1000");
        let mut command = AlertCommand::within(path, Duration::from_millis(50));
        told(&mut command, 1000);
        assert!(command.shared.warned.load(Ordering::SeqCst));
    }

    #[test]
    fn a_program_that_fails_or_is_not_there_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        for program in [script(&folder, "exit 7"), folder.path().join("nothing")] {
            let mut command = AlertCommand::new(program);
            told(&mut command, 3);
            assert!(command.shared.warned.load(Ordering::SeqCst));
        }
    }
}
