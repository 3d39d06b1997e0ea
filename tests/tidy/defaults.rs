//! One table of bounds: what `run` does without flags, and what a job of a program does, is what `limits.rs` says.

use std::num::NonZeroUsize;
use std::time::Duration;

use atlas_host::cli::Cli;
use atlas_host::coordinator::{HostOptions, Input, Job};
use atlas_host::limits;
use atlas_host::strategy::{Bounds, Interval, WAL_BYTES_MAX};
use clap::{ArgMatches, CommandFactory};

/// `run` without a flag, as the command line is parsed.
fn run_without_flags() -> ArgMatches {
    let matches = Cli::command().try_get_matches_from(["atlas-host", "run"]).expect("flags have defaults");
    matches.subcommand_matches("run").expect("the command run").clone()
}

fn default<T: Clone + Send + Sync + 'static>(run: &ArgMatches, flag: &str) -> T {
    run.get_one::<T>(flag).unwrap_or_else(|| panic!("{flag} has no default")).clone()
}

#[test]
fn flags_default_to_the_limits_and_so_does_a_job() {
    let run = run_without_flags();
    let job = Job::new(Input::Files(Vec::new()), None);

    let duration = |flag: &str| default::<Duration>(&run, flag);
    assert_eq!((duration("deadline"), job.deadline), (limits::DEADLINE, limits::DEADLINE));
    assert_eq!((duration("batch_wait"), job.batch_wait), (limits::BATCH_WAIT, limits::BATCH_WAIT));
    assert_eq!((duration("slow_item"), job.slow_item), (limits::SLOW_ITEM, limits::SLOW_ITEM));

    let (t, share) = (job.thresholds, |flag: &str| default::<f64>(&run, flag));
    assert_eq!(
        (t.memory_share, t.error_share, t.cpu_share, t.response),
        (share("max_memory_share"), share("max_error_share"), share("max_cpu_share"), duration("max_response"))
    );

    let bytes = |flag: &str| default::<usize>(&run, flag);
    assert_eq!((bytes("max_wal") as u64, t.wal_bytes), (WAL_BYTES_MAX, WAL_BYTES_MAX));
    let space = limits::DISK_FREE_BYTES_MIN;
    assert_eq!((bytes("min_disk_free") as u64, t.disk_free_bytes), (space, space));
    let memory = HostOptions::default().memory_bytes;
    assert_eq!((bytes("memory"), memory), (limits::MEMORY_BYTES_MAX, limits::MEMORY_BYTES_MAX));
    let line = job.read.line_bytes_max;
    assert_eq!((bytes("max_line_bytes"), line), (limits::LINE_BYTES_MAX, limits::LINE_BYTES_MAX));
    assert_eq!((bytes("batch_bytes"), job.batch_bytes), (limits::BATCH_BYTES_MAX, limits::BATCH_BYTES_MAX));

    assert_eq!((default::<u32>(&run, "attempts"), job.attempts), (limits::ATTEMPTS, limits::ATTEMPTS));
    let sizes = Interval::new(limits::BATCH_SIZE_MIN, limits::BATCH_SIZE_MAX).expect("in order");
    assert_eq!((default::<Interval>(&run, "batch_size"), job.bounds.batch_size), (sizes, sizes));
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    assert_eq!((run.get_one::<Interval>("lanes"), job.bounds), (None, Bounds::of_cores(cores)));
}

#[test]
fn words_default_to_the_same_for_flags_and_jobs() {
    let run = run_without_flags();
    let job = Job::new(Input::Files(Vec::new()), Some("atlas.db".into()));
    let text = |flag: &str| -> String {
        let raw = run.get_raw(flag).and_then(|mut values| values.next());
        raw.and_then(|value| value.to_str()).unwrap_or_else(|| panic!("{flag} has no default")).to_owned()
    };
    assert_eq!((text("strategy"), job.strategy.as_str()), (job.strategy.clone(), "adaptive"));
    assert_eq!(text("aim"), format!("{:?}", job.aim).to_lowercase());
    assert_eq!(text("into"), job.collection.to_string());
    assert_eq!(text("atomic"), job.atomic.as_str());
    assert_eq!(text("processor"), format!("{:?}", job.processor).to_lowercase());
    assert_eq!(text("on_existing"), format!("{:?}", job.on_existing).to_lowercase());
    assert_eq!(text("missing_id"), format!("{:?}", job.missing_id).to_lowercase());
    assert_eq!(text("durability"), format!("{:?}", job.durability).to_lowercase());
    assert_eq!((text("isolation").as_str(), job.fresh_sandboxes), ("run", false));
    assert_eq!((run.get_raw("max_batch_time").is_none(), job.batch_time_max), (true, None));
    assert_eq!((run.get_raw("memory_budget").is_none(), job.memory_budget), (true, None));
    let unset = ["limit", "seed", "max_rejects", "id"].into_iter().all(|flag| run.get_raw(flag).is_none());
    let none = job.limit.is_none() && job.seed.is_none() && job.max_rejects.is_none() && job.id.is_none();
    assert!(unset && none, "what has no default has none for both");
}
