//! `kill -9` at random moments.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use atlas_host::event::{Envelope, Event};
use atlas_host::model::{BatchNumber, RunNumber};
use atlas_host::store::Reader;

use super::Job;
use crate::harness::Folder;
use crate::library::random::{Random, number, seed};

/// What the killed processes said of committed batches: by run and number, first ordinal and items stored.
pub type Told = BTreeMap<(u64, u64), (u64, u64)>;

/// When to kill: after so many events, and then so long.
pub struct Moment {
    pub events: u64,
    pub pause: Duration,
}

/// Starts the command and kills it at a moment. True if it was killed, false if it had come to its end before.
pub fn killed(folder: &Folder, mut arguments: Vec<String>, moment: &Moment, told: &mut Told) -> bool {
    arguments.extend(["--events".to_owned(), "-".to_owned()]);
    let mut command = folder.atlas(arguments).command;
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut events = BufReader::new(child.stdout.take().expect("a pipe")).split(b'\n');
    let mut note = |line: &[u8]| {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(line) else { return };
        if let Event::BatchCommitted(done) = envelope.event {
            told.insert((envelope.run, done.batch), (done.first_ordinal, done.counts.stored));
        }
    };
    for line in events.by_ref().take(moment.events as usize) {
        note(&line.expect("a readable pipe"));
    }
    std::thread::sleep(moment.pause);
    // Fails where the process has ended.
    let _ = child.kill();
    // What it had said before it died counts too.
    events.for_each(|line| note(&line.expect("a readable pipe")));
    child.wait().expect("it ends").signal() == Some(9)
}

/// Asserts that every batch that was told as committed is in the store.
#[track_caller]
fn all_told_is_there(store: &Path, told: &Told) {
    let Some(&(run, _)) = told.keys().next() else { return };
    let reader = Reader::open(store).expect("a store, since it was told of");
    let rows = reader.batches(RunNumber(run), BatchNumber(0), usize::MAX >> 1).expect("a history");
    let there: Told = rows.iter().map(|row| ((run, row.number.0), (row.first_ordinal, row.counts.stored))).collect();
    for (batch, wanted) in told {
        assert_eq!(there.get(batch), Some(wanted), "run and batch {batch:?} were told as committed");
    }
}

#[test]
fn a_job_killed_at_any_moment_and_repeated_comes_out_as_if_it_had_never_been_disturbed() {
    let seed = seed(u64::from(std::process::id()));
    let wanted = number("ATLAS_KILLS", 200);
    let (mut kills, mut chained) = (0, 0);
    for (place, strategy) in (0..).zip(["sequential", "concurrent", "adaptive"]) {
        let job = Job::new(1500, strategy, 20);
        let events = job.events();
        let mut random = Random::new(seed, place);
        let mut rounds = 0;
        while kills < wanted * (place + 1) / 3 {
            rounds += 1;
            assert!(rounds <= 10 * wanted, "{strategy}: hardly any process is killed before its end");
            let folder = Folder::new();
            let store = folder.at("atlas.db");
            let mut told = Told::new();
            let lives = random.between(1, 3);
            for life in 0..lives {
                // Later lives are shorter. One in eight is killed while it starts.
                let events = if random.below(8) == 0 { 0 } else { random.below(events / lives + 1) };
                let moment = Moment { events, pause: Duration::from_micros(random.below(4000)) };
                if !killed(&folder, job.arguments(&store), &moment, &mut told) {
                    break;
                }
                kills += 1;
                chained += u64::from(life > 0);
                job.is_sound(&folder, &store);
                all_told_is_there(&store, &told);
            }
            if random.below(4) == 0 {
                job.indexes_agree(&folder, &store);
            }
            job.comes_out_the_same(&folder, &store);
            all_told_is_there(&store, &told);
        }
    }
    println!("{kills} kills, {chained} of them while a killed run was continued");
    assert!(kills >= wanted && (chained > 0 || wanted < 20));
}

#[test]
fn jobs_of_other_shapes_killed_and_repeated_come_out_the_same() {
    let seed = seed(u64::from(std::process::id()));
    let wanted = number("ATLAS_KILLS", 200) / 10;
    for (place, job) in (0..).zip([Job::of_tasks(600), Job::of_one_transaction(2000)]) {
        let events = job.events();
        let mut random = Random::new(seed, place);
        let (mut kills, mut rounds) = (0, 0);
        while kills < wanted {
            rounds += 1;
            assert!(rounds <= 10 * wanted, "hardly any process is killed before its end");
            let folder = Folder::new();
            let store = folder.at("atlas.db");
            let lives = random.between(1, 3);
            for _ in 0..lives {
                let moment = Moment {
                    events: random.below(events / lives + 1),
                    pause: Duration::from_micros(random.below(4000)),
                };
                if !killed(&folder, job.arguments(&store), &moment, &mut Told::new()) {
                    break;
                }
                kills += 1;
                job.is_sound(&folder, &store);
            }
            job.comes_out_the_same(&folder, &store);
        }
        println!("{kills} kills");
    }
}

impl Job {
    /// Events of an undisturbed run.
    fn events(&self) -> u64 {
        let folder = Folder::new();
        let mut arguments = self.arguments(&folder.at("atlas.db"));
        arguments.extend(["--events".to_owned(), "-".to_owned()]);
        folder.atlas(arguments).run().stdout.lines().count() as u64
    }
}
