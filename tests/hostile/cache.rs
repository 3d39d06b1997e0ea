//! The cache of compiled plugins: loaded when beyond doubt, else compiled again.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::component::Module;
use crate::harness::Folder;

/// The one artefact in a cache.
pub(super) fn artefact(cache: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(cache).expect("a cache").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

struct Cached {
    folder: Folder,
}

impl Cached {
    fn new() -> Self {
        let folder = Folder::new();
        folder.write("plugin.wasm", Module::default().component());
        Self { folder }
    }

    fn cache(&self) -> PathBuf {
        self.folder.at("cache")
    }

    /// True if the plugin came from the cache. It fits in any case.
    #[track_caller]
    fn loads(&self) -> bool {
        let inspect = self.folder.atlas(["inspect", "plugin.wasm", "--output", "json"]);
        let inspected = inspect.env("ATLAS_CACHE_DIR", self.cache()).run().exits(0).json();
        assert_eq!(inspected["operation"], true);
        inspected["cached"].as_bool().expect("yes or no")
    }

    /// The cache after a first and a second start.
    #[track_caller]
    fn warm() -> Self {
        let cached = Self::new();
        assert!(!cached.loads(), "nothing is cached at first");
        assert!(cached.loads(), "the second start loads");
        cached
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions can be set");
    }
}

#[test]
fn the_second_start_loads_what_the_first_compiled_and_nobody_else_may_read_it() {
    let cached = Cached::warm();
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&cached.cache()), 0o700);
    assert_eq!(mode(&artefact(&cached.cache())), 0o600);
}

#[test]
fn a_damaged_artefact_is_compiled_again_and_replaced() {
    let cached = Cached::warm();
    let file = artefact(&cached.cache());
    let whole = std::fs::read(&file).expect("an artefact");
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let damaged = [
        ("empty", Vec::new()),
        ("only a head", whole[..40].to_vec()),
        ("truncated", whole[..whole.len() - 1].to_vec()),
        ("longer", [&whole[..], b"x"].concat()),
        ("another magic", flipped(0)),
        ("another digest", flipped(20)),
        ("another code", flipped(whole.len() / 2)),
        ("another end", flipped(whole.len() - 1)),
    ];
    for (what, bytes) in damaged {
        std::fs::write(&file, bytes).expect("the artefact can be written");
        assert!(!cached.loads(), "{what}");
        assert!(cached.loads(), "{what} was not replaced");
        assert_eq!(std::fs::read(&file).expect("an artefact").len(), whole.len(), "{what}");
    }
}

#[test]
fn an_artefact_that_others_may_write_is_compiled_again() {
    let cached = Cached::warm();
    let file = artefact(&cached.cache());
    for mode in [0o666, 0o620, 0o602] {
        Cached::set_mode(&file, mode);
        assert!(!cached.loads(), "mode {mode:o}");
        assert!(cached.loads(), "after mode {mode:o}");
    }
}

#[test]
fn a_folder_that_others_may_write_is_not_used() {
    let cached = Cached::warm();
    for mode in [0o777, 0o770, 0o702] {
        Cached::set_mode(&cached.cache(), mode);
        assert!(!cached.loads() && !cached.loads(), "mode {mode:o}");
    }
    Cached::set_mode(&cached.cache(), 0o700);
    assert!(cached.loads());
}

#[test]
fn a_link_in_the_place_of_an_artefact_or_of_the_folder_is_not_followed() {
    let cached = Cached::warm();
    let file = artefact(&cached.cache());
    let elsewhere = cached.folder.at("elsewhere");
    std::fs::rename(&file, &elsewhere).expect("it can be moved");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    assert!(!cached.loads());

    let folder = cached.folder.at("real-cache");
    std::fs::rename(cached.cache(), &folder).expect("it can be moved");
    std::os::unix::fs::symlink(&folder, cached.cache()).expect("a link");
    assert!(!cached.loads() && !cached.loads());
}

#[test]
fn an_artefact_of_another_owner_is_compiled_again() {
    let cached = Cached::warm();
    let file = artefact(&cached.cache());
    // Only root can give files away.
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_err() {
        return;
    }
    assert!(!cached.loads());
    assert!(cached.loads(), "it was replaced by one of ours");
    std::os::unix::fs::chown(cached.cache(), Some(12_345), None).expect("root can give it away");
    assert!(!cached.loads() && !cached.loads(), "a folder of another owner is not used");
}

#[test]
fn a_cache_that_cannot_be_made_costs_only_time() {
    let cached = Cached::new();
    std::fs::write(cached.cache(), "a file in its place").expect("a file");
    assert!(!cached.loads() && !cached.loads());
}

#[test]
fn what_was_never_finished_goes_and_the_oldest_beyond_the_bound() {
    let cached = Cached::new();
    std::fs::create_dir(cached.cache()).expect("a folder");
    Cached::set_mode(&cached.cache(), 0o700);
    // More than the cache keeps, in a file that takes no space.
    for (name, bytes) in [("old-0.cwasm", 5 << 30), ("old-0.1-1.tmp", 10)] {
        let file = std::fs::File::create(cached.cache().join(name)).expect("a file");
        file.set_len(bytes).expect("a file with a hole");
        file.set_modified(SystemTime::now() - Duration::from_secs(2 * 3600)).expect("a time");
    }
    assert!(!cached.loads());
    artefact(&cached.cache());
    assert!(cached.loads(), "what came last stays");
}

#[test]
fn another_memory_bound_does_not_load_what_does_not_fit() {
    let cached = Cached::warm();
    cached.folder.write("items.ndjson", super::items(3, &[]));
    for memory in ["1MiB", "16MiB", "512MiB"] {
        let run = ["run", "-q", "--input", "items.ndjson", "--plugin", "plugin.wasm", "--memory", memory, "--store"];
        let ran = cached.folder.atlas([&run[..], &[memory]].concat()).env("ATLAS_CACHE_DIR", cached.cache()).run();
        ran.exits(0);
    }
    assert!(cached.loads());
}
