//! A run that has come to its end, beside the earlier ones of its kind. What is unusual about it is told as an alert; it changes
//! nothing else.

use super::job::Job;
use super::resume::{self, Identity};
use super::tell::Teller;
use super::writer::WriterService;
use crate::error::Result;
use crate::limits;
use crate::model::{Counts, Name, RunNumber, now_ms};
use crate::monitor::{Ended, unusual};
use crate::store::RunHandle;

/// What runs have in common that are compared.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    collection: Name,
    traits: Traits,
    followed: bool,
}

/// The same of a run that is known by its row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Traits {
    /// Slots, whatever fills them, and how much is read at the most.
    settings: Vec<(String, String)>,
    input: Option<String>,
}

impl Traits {
    fn of(identity: &[(String, String)], inputs_json: &str) -> Self {
        let setting = |(name, value): &(String, String)| match name.as_str() {
            "limit" => Some((name.clone(), value.clone())),
            slot if resume::is_slot(slot) => Some((name.clone(), String::new())),
            _ => None,
        };
        let mut settings: Vec<(String, String)> = identity.iter().filter_map(setting).collect();
        settings.sort();
        Self { settings, input: resume::unsized_input(inputs_json) }
    }
}

impl Kind {
    /// None for a run of which nothing is kept, and for one that takes up items of earlier runs: these are as many as happen to
    /// be there.
    pub fn of(job: &Job, identity: &Identity) -> Option<Self> {
        let compared = !job.dry_run && job.dead_letters.is_none() && !job.remove_rejected;
        compared.then(|| Self {
            collection: job.collection.clone(),
            traits: Traits::of(&identity.settings, &identity.inputs_json),
            followed: job.read.follow,
        })
    }

    /// Compares the run, which has ended with these counts, and tells what is unusual.
    pub fn compare(self, writer: &WriterService, run: &RunHandle, counts: &Counts, teller: &mut Teller) {
        let followed = self.followed;
        let before = match self.before(writer, run.run) {
            Ok(before) => before,
            Err(error) => {
                let code = error.code().as_str();
                return tracing::warn!(code, "The run cannot be compared with earlier ones: {error}.");
            }
        };
        let now = Ended { ended_ms: now_ms(), read: counts.read, failed: counts.failed() };
        let batch = (run.next_batch.0 + teller.batches).saturating_sub(1);
        unusual(now, &before, batch, followed).into_iter().for_each(|alert| teller.alert(alert));
    }

    /// The newest of its kind that came to their end.
    fn before(self, writer: &WriterService, besides: RunNumber) -> Result<Vec<Ended>> {
        writer.ask(move |processor| {
            let mut before = Vec::new();
            processor.ended_runs(&self.collection, besides, &mut |run| {
                if Traits::of(&run.identity, &run.inputs_json) == self.traits {
                    before.push(Ended { ended_ms: run.ended_ms, read: run.read, failed: run.failed });
                }
                before.len() == limits::USUAL_RUNS_MAX
            })?;
            Ok(before)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traits(settings: &[(&str, &str)], inputs_json: &str) -> Traits {
        let identity: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Traits::of(&identity, inputs_json)
    }

    #[test]
    fn runs_of_the_same_slots_and_the_same_kind_of_input_are_of_one_kind() {
        let file = |path: &str| format!(r#"[{{"path":"{path}","size_bytes":7,"modified_ms":1}}]"#);
        let named = |path: &str| format!(r#"[{{"path":"{path}","size_bytes":null,"modified_ms":null}}]"#);
        let one = [("id", "/id"), ("limit", "none"), ("operation tidy", "blake3:1"), ("validator rules", "blake3:2")];
        let same = [("limit", "none"), ("validator rules", "blake3:9"), ("operation tidy", "native"), ("id", "/key")];
        let kind = traits(&one, &file("/a"));
        assert_eq!(kind, traits(&same, &file("/b")), "other plugins in the slots, another file");
        let other = |from: &'static str, to: &'static str| {
            one.map(|(name, value)| match name == from {
                true if name == "limit" => (name, to),
                true => (to, value),
                false => (name, value),
            })
        };
        assert_ne!(kind, traits(&other("limit", "50"), &file("/a")));
        assert_ne!(kind, traits(&other("operation tidy", "operation other"), &file("/a")));
        assert_ne!(kind, traits(&one[..3], &file("/a")), "one slot fewer");
        assert_ne!(kind, traits(&one, &named("dead letters of run 3")), "a retry is never of the kind of its run");
        assert_ne!(traits(&one, &named("-")), traits(&one, &named("/log")));
        assert_eq!(traits(&one, &named("/log")), traits(&one, &named("/log")));
    }
}
