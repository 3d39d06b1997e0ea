//! `dead-letters retry`, killed at random moments and repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use atlas_host::store::{LetterFilter, LetterState, Reader};

use super::kills::{Moment, Told, killed};
use crate::harness::{Folder, guest_arg};
use crate::library::random::{Random, number, seed};
use crate::library::{rows, sound};

const ITEMS: usize = 600;

/// A store with four hundred letters: half of them fail again.
fn with_letters() -> (Folder, Vec<u8>) {
    let folder = Folder::new();
    let demands = ["", ",\"fault\":\"reject\"", ",\"fault\":\"validator-reject\""];
    let items: String =
        (0..ITEMS).map(|n| format!("{{\"id\":\"i-{n:04}\",\"n\":{n}{}}}\n", demands[n % demands.len()])).collect();
    folder.write("in.ndjson", items);
    let faulty = guest_arg("faulty");
    let (rules, work) = (format!("rules={faulty}"), format!("work={faulty}"));
    let flags = ["run", "-q", "--input", "in.ndjson", "--id", "id", "--validator", &rules, "--plugin", &work];
    folder.atlas(flags).run().exits(3);
    let store = std::fs::read(folder.at("atlas.db")).expect("a store");
    (folder, store)
}

/// Refuses what the rules refused, and keeps what the operation did.
fn arguments() -> Vec<String> {
    let (rules, work) = (format!("rules={}", guest_arg("faulty")), format!("work={}", guest_arg("identity")));
    let flags = ["dead-letters", "retry", "--quiet", "--batch-size", "10", "--validator", &rules, "--plugin", &work];
    flags.map(str::to_owned).into()
}

/// Ids of the open letters with their attempts. Asserts that no item is in both places nor in neither, and that every letter
/// counts those before it.
#[track_caller]
fn open_letters(store: &Path) -> BTreeMap<String, u32> {
    let reader = Reader::open(store).expect("a store");
    let all = reader.dead_letters(&LetterFilter::default(), 0, usize::MAX >> 1).expect("letters");
    let mut chain: BTreeMap<String, u32> = BTreeMap::new();
    let mut open = BTreeMap::new();
    for letter in all {
        let id = letter.item_id.expect("every record is an item");
        let attempts = chain.entry(id.clone()).or_default();
        *attempts += 1;
        assert_eq!(letter.attempts, *attempts, "{id}: each life tried it once");
        assert_eq!(letter.retry_of.is_some(), *attempts > 1, "{id}");
        assert_eq!(format!("i-{:04}", letter.line - 1), id, "the line of the first letter is kept");
        if letter.state == LetterState::Open {
            assert_eq!(open.insert(id, *attempts), None, "one letter of an item is open");
        }
    }
    let stored: BTreeSet<String> = rows(store, "items").into_iter().map(|(id, _)| id).collect();
    assert_eq!(stored.len() + open.len(), ITEMS, "every item is somewhere");
    assert!(open.keys().all(|id| !stored.contains(id)), "and nowhere twice");
    open
}

#[test]
fn a_retry_killed_at_any_moment_leaves_each_item_in_one_place_and_repeated_ends_the_job() {
    let seed = seed(u64::from(std::process::id()));
    let (start, store) = with_letters();
    let wanted_kills = number("ATLAS_KILLS", 90) / 3;
    let mut undisturbed = arguments();
    undisturbed.extend(["--events".to_owned(), "-".to_owned()]);
    let ran = start.atlas(undisturbed).run().exits(3);
    let events = ran.stdout.lines().count() as u64;
    let wanted = rows(&start.at("atlas.db"), "items");
    assert_eq!(open_letters(&start.at("atlas.db")).len(), ITEMS / 3);

    let mut random = Random::new(seed, 7);
    let (mut kills, mut rounds) = (0, 0);
    while kills < wanted_kills {
        rounds += 1;
        assert!(rounds <= 10 * wanted_kills, "hardly any process is killed before its end");
        let folder = Folder::new();
        let path = folder.write("atlas.db", &store);
        for _ in 0..random.between(1, 3) {
            let moment = Moment { events: random.below(events), pause: Duration::from_micros(random.below(3000)) };
            let mut told = Told::new();
            if !killed(&folder, arguments(), &moment, &mut told) {
                break;
            }
            kills += 1;
            sound(&path);
            open_letters(&path);
        }
        folder.atlas(arguments()).run().exits(3);
        sound(&path);
        assert_eq!(open_letters(&path).len(), ITEMS / 3);
        assert!(rows(&path, "items") == wanted, "the rows differ from those of an undisturbed retry");
    }
    println!("{kills} kills in {rounds} retries");
}
