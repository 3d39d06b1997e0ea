//! What a run is told while it is under way: by its program, by its configuration file, by other processes; and what the
//! sensors say.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::Run;
use crate::coordinator::control::Command;
use crate::coordinator::inbox::{Applied, Inbox, Request};
use crate::error::{Code, Error, Result};
use crate::event::Event;
use crate::monitor::Thresholds;
use crate::strategy::{Interval, told_share};

impl Run<'_> {
    /// Obeys a command, in force from the next plan on, and tells it. Gives what it changed.
    pub(super) fn told(&mut self, command: &Command) -> Vec<Applied> {
        let bounds = &mut self.parts.signals.bounds;
        let applied = match command {
            Command::Stop => Vec::new(),
            Command::Swap(request) => {
                self.swap_asked(request.clone().into(), None);
                Vec::new()
            }
            Command::BatchSize(size) => {
                vec![Applied::new("batch-size", range(std::mem::replace(&mut bounds.batch_size, *size)), range(*size))]
            }
            Command::Lanes(lanes) => {
                vec![Applied::new("lanes", range(std::mem::replace(&mut bounds.lanes, *lanes)), range(*lanes))]
            }
            Command::Aim(aim) => {
                let was = std::mem::replace(&mut self.parts.signals.aim, *aim);
                vec![Applied::new("aim", was.as_str().to_owned(), aim.as_str().to_owned())]
            }
            Command::BatchTimeMax(bound) => {
                let us = bound.map(|time| time.as_micros() as u64);
                let was = std::mem::replace(&mut self.parts.signals.batch_time_max_us, us);
                let was = was.map(Duration::from_micros);
                vec![Applied::new("max-batch-time", or_none(was.map(time)), or_none(bound.map(time)))]
            }
            Command::MemoryBudget(budget) => {
                let was = std::mem::replace(&mut self.parts.signals.memory_budget_bytes, *budget);
                let bytes = |bytes: u64| bytes.to_string();
                vec![Applied::new("memory-budget", or_none(was.map(bytes)), or_none(budget.map(bytes)))]
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
                self.parts.signals.tolerance = thresholds.tolerance();
                in_words(&was).into_iter().zip(in_words(thresholds)).filter(|(a, b)| a != b).map(differing).collect()
            }
        };
        for Applied { setting, value, .. } in &applied {
            self.parts.teller.emit(Event::BoundsChanged { setting: setting.clone(), value: value.clone() });
        }
        if !applied.is_empty() {
            self.keep_settings(&applied);
        }
        applied
    }

    /// Whoever asks the store for the settings of the run is to hear what is in force.
    fn keep_settings(&mut self, applied: &[Applied]) {
        self.parts.settings_json = changed(&self.parts.settings_json, applied);
        let (handle, settings) = (Arc::clone(&self.parts.handle), self.parts.settings_json.clone());
        self.parts.writer.leave(self.parts.key, move |processor| {
            if let Err(error) = processor.note_settings(&handle, &settings) {
                tracing::warn!(code = error.code().as_str(), "Settings that were changed cannot be kept: {error}.");
            }
        });
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

    /// Reads the sensors and the configuration file, now and then.
    pub(super) fn sample(&mut self) {
        if Instant::now() < self.next_sample {
            return;
        }
        self.next_sample = Instant::now() + self.parts.sample_interval;
        let mut sample = self.parts.sensor.sample().usable();
        // Here, so that events, health and metrics have what strategies have, and a recording gives all of it again.
        sample.cpu_share = sample.cpu_share.map(told_share);
        sample.memory_share = sample.memory_share.map(told_share);
        let signals = &mut self.parts.signals;
        signals.cpu_share = sample.cpu_share;
        signals.memory_share = sample.memory_share;
        signals.process_bytes = sample.process_bytes;
        signals.wal_bytes = self.parts.teller.wal_of_plans(sample);
        signals.unhealthy = self.parts.teller.sampled(sample);
        self.look_at_settings();
    }

    /// Obeys what has changed in the configuration file.
    pub(super) fn look_at_settings(&mut self) {
        let changed = self.parts.live.as_mut().map(|live| live()).unwrap_or_default();
        for command in &changed {
            if let Err(error) = self.told_from_outside(std::slice::from_ref(command)) {
                let (code, hint) = (error.code().as_str(), error.hint_text());
                tracing::warn!(code, hint, "A changed setting does not act: {error}.");
            }
        }
    }

    /// A command has come by an inbox.
    pub(super) fn told_by(&mut self, inbox: &Arc<Inbox>, request: Request) {
        if let Some(wanted) = request.swap() {
            if let Some(ticket) = inbox.take(request, &wanted)
                && let Ok(wanted) = wanted
            {
                self.swap_asked(wanted, Some(ticket));
            }
            return;
        }
        let answer = request.commands().and_then(|commands| self.told_from_outside(&commands));
        inbox.answer(request, answer);
    }
}

/// The settings with these values; what the run began with stands in the member `changed`.
fn changed(settings_json: &str, applied: &[Applied]) -> String {
    let mut settings: Map<String, Value> = serde_json::from_str(settings_json).unwrap_or_default();
    let mut began: Map<String, Value> =
        settings.remove("changed").and_then(|began| serde_json::from_value(began).ok()).unwrap_or_default();
    for Applied { setting, was, value } in applied {
        began.entry(setting.clone()).or_insert_with(|| was.clone().into());
        settings.insert(setting.clone(), vec![value.clone()].into());
    }
    settings.insert("changed".to_owned(), began.into());
    Value::from(settings).to_string()
}

fn range(interval: Interval) -> String {
    format!("{}..{}", interval.min(), interval.max())
}

fn or_none(value: Option<String>) -> String {
    value.unwrap_or_else(|| "none".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_settings_are_those_in_force_and_what_a_run_began_with_stays() {
        let applied = |was: &str, value: &str| [Applied::new("lanes", was.to_owned(), value.to_owned())];
        let once = changed(r#"{"lanes":["2"],"seed":["7"]}"#, &applied("1..2", "1..1"));
        assert_eq!(once, r#"{"changed":{"lanes":"1..2"},"lanes":["1..1"],"seed":["7"]}"#);
        let twice = changed(&once, &applied("1..1", "2..2"));
        assert_eq!(twice, r#"{"changed":{"lanes":"1..2"},"lanes":["2..2"],"seed":["7"]}"#);
    }
}
