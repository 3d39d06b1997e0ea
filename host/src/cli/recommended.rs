//! `run --recommended`: what the history suggests takes the place of defaults, and of nothing that was given.

use super::Layers;
use super::history::past_runs;
use super::job_args::JobArgs;
use super::layers::Origin;
use super::plan::{self, cores};
use super::spec::counted;
use crate::coordinator::Job;
use crate::error::{Code, Result};
use crate::monitor::{Recommendations, recommend};
use crate::store::Reader;
use crate::strategy::{Interval, Start};

/// The strategy that takes a recommendation as the place to begin at; the others take it as the size.
const ADAPTIVE: &str = "adaptive";

/// What was found, and what of it is used.
pub struct Advice {
    start: Option<Start>,
    note: String,
}

/// Puts recommended values in the place of defaults, in the flags and in what is told of their origins.
///
/// Errors: a plugin or the store cannot be read.
pub fn apply(args: &mut JobArgs, layers: &mut Layers) -> Result<Advice> {
    let chain = plan::chain(args, layers)?;
    let history = match Reader::open(&args.store.store) {
        Ok(mut reader) => past_runs(&mut reader, &args.into, &chain)?,
        // No store yet, or one that the run itself will refuse.
        Err(error) if error.code() == Code::StorageOpen => Vec::new(),
        Err(error) => return Err(error),
    };
    let found = recommend(&history, cores());
    let from = format!("recommended from {}", counted(found.runs.len() as u64, "run"));
    let adaptive = args.strategy == ADAPTIVE;
    let mut used = Vec::new();
    let (mut size, mut lanes) = (None, None);
    for one in found.all().into_iter().filter(|one| !one.default) {
        let Some(origin) = open(&mut layers.origins, one.setting) else { continue };
        // The history may be that of a larger machine.
        let value = if one.setting == "lanes" { one.value.min(cores() as u64) } else { one.value };
        let number = usize::try_from(value).unwrap_or(usize::MAX);
        let fixed = Interval::new(number, number);
        match (one.setting, fixed) {
            ("batch-size", Some(fixed)) => {
                size = Some(number);
                if !adaptive {
                    args.batch_size = fixed;
                }
            }
            ("lanes", Some(fixed)) => {
                lanes = Some(number);
                if !adaptive {
                    args.lanes = Some(fixed);
                }
            }
            ("attempts", _) => args.attempts = u32::try_from(value).unwrap_or(args.attempts),
            _ => continue,
        }
        let starts = adaptive && one.setting != "attempts";
        let bounds = origin.value.join(", ");
        origin.value = vec![match (starts, bounds.as_str()) {
            (false, _) => value.to_string(),
            (true, "") => format!("from {value} on"),
            (true, bounds) => format!("{bounds}, from {value} on"),
        }];
        origin.origin.clone_from(&from);
        used.push(format!("{} {value}", one.setting));
    }
    // Either alone leaves the other where it would begin anyway.
    let start = (adaptive && (size.is_some() || lanes.is_some())).then(|| Start {
        batch_size: size.unwrap_or(args.batch_size.max()),
        lanes: lanes.or(args.lanes.map(Interval::max)).unwrap_or_else(cores),
        source: "what is recommended".to_owned(),
        costs: None,
    });
    Ok(Advice { start, note: note(&found, &from, &used) })
}

fn note(found: &Recommendations, from: &str, used: &[String]) -> String {
    match (found.runs.is_empty(), used.is_empty()) {
        (true, _) => "nothing is recommended: no earlier run of these plugins and this collection".to_owned(),
        (false, true) => format!("{from}: what is set already"),
        (false, false) => format!("{from}: {}", used.join(", ")),
    }
}

/// The setting, if nobody gave it a value.
fn open<'a>(origins: &'a mut [Origin], setting: &str) -> Option<&'a mut Origin> {
    let origin = origins.iter_mut().find(|origin| origin.key == setting)?;
    ["default", "not set"].contains(&origin.origin.as_str()).then_some(origin)
}

impl Advice {
    /// The job begins where it says, and its first plan tells so.
    pub fn tell(self, job: &mut Job) {
        if self.start.is_some() {
            job.bounds.start = self.start;
        }
        job.plan_note = Some(self.note);
    }
}
