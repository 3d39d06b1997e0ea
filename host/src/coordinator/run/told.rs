//! What a run is told while it is under way: by its program, by its configuration file, by other processes; and what the
//! sensors say.

use std::time::{Duration, Instant};

use super::Run;
use crate::coordinator::control::Command;
use crate::coordinator::inbox::Applied;
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::monitor::Thresholds;
use crate::strategy::Interval;

impl Run<'_> {
    /// Obeys a command, in force from the next plan on, and tells it. Gives what it changed.
    pub(super) fn told(&mut self, command: &Command) -> Vec<Applied> {
        let bounds = &mut self.parts.signals.bounds;
        let applied = match command {
            Command::Stop => Vec::new(),
            Command::BatchSize(size) => {
                vec![Applied::new("batch-size", range(std::mem::replace(&mut bounds.batch_size, *size)), range(*size))]
            }
            Command::Lanes(lanes) => {
                vec![Applied::new("lanes", range(std::mem::replace(&mut bounds.lanes, *lanes)), range(*lanes))]
            }
            Command::Attempts(attempts) => {
                let was = std::mem::replace(&mut self.parts.attempts, *attempts);
                vec![Applied::new("attempts", was.to_string(), attempts.to_string())]
            }
            Command::BatchBytes(bytes) => {
                let was = std::mem::replace(&mut self.parts.batch_bytes, *bytes);
                vec![Applied::new("batch-bytes", was.to_string(), bytes.to_string())]
            }
            Command::BatchWait(wait) => {
                let was = std::mem::replace(&mut self.parts.batch_wait, *wait);
                vec![Applied::new("batch-wait", time(was), time(*wait))]
            }
            Command::SlowItem(slow_item) => {
                let was = self.parts.teller.slow_item(*slow_item);
                vec![Applied::new("slow-item", time(was), time(*slow_item))]
            }
            Command::Thresholds(thresholds) => {
                let was = self.parts.teller.thresholds(*thresholds);
                in_words(&was).into_iter().zip(in_words(thresholds)).filter(|(a, b)| a != b).map(differing).collect()
            }
        };
        for Applied { setting, value, .. } in &applied {
            self.parts.teller.emit(Event::BoundsChanged { setting: setting.clone(), value: value.clone() });
        }
        applied
    }

    /// Commands that come from outside of the program are judged first, all of them before the first is obeyed.
    fn told_from_outside(&mut self, commands: &[Command]) -> Result<Vec<Applied>> {
        for command in commands {
            command.check()?;
            let most = self.parts.lanes.count();
            if let Command::Lanes(lanes) = command
                && lanes.max() > most
            {
                let message = format!("lanes is {}, and this run began with {most}", range(*lanes));
                return Err(Error::new(Code::ConfigInvalid, message)
                    .hint(format!("up to {most} can be had now; more need a new start with --lanes")));
            }
        }
        Ok(commands.iter().flat_map(|command| self.told(command)).collect())
    }

    /// Reads the sensors and looks for what others want, now and then.
    pub(super) fn sample(&mut self) {
        if Instant::now() < self.next_sample {
            return;
        }
        self.next_sample = Instant::now() + self.parts.sample_interval;
        let sample = self.parts.sensor.sample().usable();
        let signals = &mut self.parts.signals;
        signals.cpu_share = sample.cpu_share;
        signals.memory_share = sample.memory_share;
        signals.process_bytes = sample.process_bytes;
        signals.wal_bytes = sample.wal_bytes;
        signals.unhealthy = self.parts.teller.sampled(sample);
        let changed = self.parts.live.as_mut().map(|live| live()).unwrap_or_default();
        for command in &changed {
            if let Err(error) = self.told_from_outside(std::slice::from_ref(command)) {
                let (code, hint) = (error.code().as_str(), error.hint_text());
                tracing::warn!(code, hint, "A changed setting does not act: {error}.");
            }
        }
        let requests = self.parts.inbox.as_ref().map(|inbox| inbox.requests()).unwrap_or_default();
        for request in requests {
            let answer = request.commands().and_then(|commands| self.told_from_outside(&commands));
            if let Some(inbox) = &self.parts.inbox {
                inbox.answer(request, answer);
            }
        }
    }
}

fn range(interval: Interval) -> String {
    format!("{}..{}", interval.min(), interval.max())
}

fn time(time: Duration) -> String {
    match time.as_micros() {
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us => format!("{}ms", us as f64 / 1e3),
    }
}

/// Thresholds by their flags.
fn in_words(thresholds: &Thresholds) -> [(&'static str, String); 6] {
    let share = |share: f64| format!("{}%", (share * 1e6).round() / 1e4);
    [
        ("max-memory-share", share(thresholds.memory_share)),
        ("max-error-share", share(thresholds.error_share)),
        ("max-cpu-share", share(thresholds.cpu_share)),
        ("max-response", time(thresholds.response)),
        ("max-wal", thresholds.wal_bytes.to_string()),
        ("min-disk-free", thresholds.disk_free_bytes.to_string()),
    ]
}

fn differing(((setting, was), (_, value)): ((&'static str, String), (&'static str, String))) -> Applied {
    Applied::new(setting, was, value)
}
