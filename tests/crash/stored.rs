//! `run --from` into the collection that it reads, killed at random moments and repeated.

use std::time::Duration;

use super::Left;
use super::kills::{Moment, Told, killed};
use crate::harness::{Folder, guest_arg};
use crate::library::random::{Random, number, seed};
use crate::library::sound;

const ITEMS: usize = 400;

/// A store with items of which some have others made beside them, and some are refused.
fn with_items() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let demands = [",\"fault\":\"emit(1)\"", ",\"fault\":\"reject\"", "", ",\"fault\":\"emit(2)\""];
    let item = |n: usize| format!("{{\"id\":\"i-{n:04}\",\"n\":{n}{}}}\n", demands[n % demands.len()]);
    folder.write("in.ndjson", (0..ITEMS).map(item).collect::<String>());
    folder.atlas(["run", "-q", "--input", "in.ndjson", "--id", "id"]).run().exits(0);
    let store = std::fs::read(folder.at("atlas.db")).expect("a store");
    (folder, store)
}

fn arguments() -> Vec<String> {
    let work = format!("work={}", guest_arg("faulty"));
    ["run", "-q", "--from", "items", "--into", "items", "--plugin", &work, "--batch-size", "10"]
        .map(str::to_owned)
        .into()
}

#[test]
fn stored_items_that_become_others_of_their_collection_do_so_once_whenever_the_run_is_killed() {
    let seed = seed(u64::from(std::process::id()));
    let (start, store) = with_items();
    let wanted_kills = number("ATLAS_KILLS", 90) / 3;
    let mut undisturbed = arguments();
    undisturbed.extend(["--events".to_owned(), "-".to_owned()]);
    let events = start.atlas(undisturbed).run().exits(3).stdout.lines().count() as u64;
    let wanted = Left::of(&start.at("atlas.db"), &["items"]);
    assert_eq!((wanted.export.lines().count(), wanted.letters.len()), (ITEMS / 4 * 7, ITEMS / 4));

    let mut random = Random::new(seed, 11);
    let (mut kills, mut rounds) = (0, 0);
    while kills < wanted_kills {
        rounds += 1;
        assert!(rounds <= 10 * wanted_kills, "hardly any process is killed before its end");
        let folder = Folder::new();
        let path = folder.write("atlas.db", &store);
        for _ in 0..random.between(1, 3) {
            let moment = Moment { events: random.below(events), pause: Duration::from_micros(random.below(3000)) };
            if !killed(&folder, arguments(), &moment, &mut Told::new()) {
                break;
            }
            kills += 1;
            sound(&path);
        }
        for _ in 0..2 {
            folder.atlas(arguments()).run().exits(3);
            sound(&path);
            assert!(Left::of(&path, &["items"]) == wanted, "what is left differs from that of an undisturbed run");
        }
    }
    println!("{kills} kills in {rounds} runs");
}
