//! The same item more than once: one row, and one entry in each index.

use atlas_host::coordinator::Job;
use atlas_host::store::Reader;

use super::{host, items, named, planned, rows, sound};
use crate::harness::Folder;

#[test]
fn the_same_items_saved_twice_leave_one_row_and_one_entry_each() {
    for strategy in ["sequential", "concurrent", "adaptive"] {
        let folder = Folder::new();
        let store = folder.at("tasks.db");
        let host = host(2);
        let save = |bodies: Vec<String>| {
            let job = Job::of_items(bodies, &store, "tasks")
                .and_then(|job| job.id("id"))
                .and_then(|job| job.index("status"))
                .and_then(|job| job.index("n"))
                .expect("a job");
            host.run(planned(job, strategy, 30, 2)).expect("a run").counts
        };
        let entries = || -> Vec<(String, u64)> {
            let reader = Reader::open(&store).expect("a store");
            let indexes = reader.indexes(Some(&named("tasks"))).expect("indexes");
            indexes.into_iter().map(|index| (index.name.to_string(), index.entries)).collect()
        };
        let wanted = [("n".to_owned(), 100), ("status".to_owned(), 100)];

        let first = save(items(0, 100).collect());
        assert_eq!((first.stored, first.inserted), (100, 100), "{strategy}");
        assert_eq!(entries(), wanted, "{strategy}: saved once");
        let second = save(items(0, 100).collect());
        assert_eq!((second.stored, second.inserted, second.unchanged), (100, 0, 100), "{strategy}");
        assert_eq!(entries(), wanted, "{strategy}: saved twice");

        // Within one run, and with another value under the index: the entry moves, it is not added.
        let moved = |body: String| body.replace("PENDING", "DONE");
        let third = save(items(0, 100).chain(items(0, 100)).chain(items(40, 20).map(moved)).collect());
        assert_eq!((third.stored, third.inserted), (220, 0), "{strategy}");
        assert_eq!(entries(), wanted, "{strategy}: saved again and again");
        assert_eq!(rows(&store, "tasks").iter().filter(|(_, body)| body.contains("DONE")).count(), 20, "{strategy}");
        assert_eq!(rows(&store, "tasks").len(), 100, "{strategy}");
        sound(&store);
    }
}
