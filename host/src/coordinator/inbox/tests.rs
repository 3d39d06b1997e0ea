use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

const RUN: &str = "01990000-0000-7000-8000-000000000000";
const LONG: Duration = Duration::from_secs(600);
const NOW: Duration = Duration::ZERO;

fn attempts(attempts: u32) -> Tuning {
    Tuning { attempts: Some(attempts), ..Tuning::default() }
}

struct Place {
    _folder: tempfile::TempDir,
    store: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("atlas.db");
        Self { _folder: folder, store }
    }

    fn open(&self) -> Inbox {
        Inbox::open(&self.store, RUN).expect("a folder")
    }

    fn all(&self) -> PathBuf {
        folder_of(&self.store)
    }
}

/// Answers whatever comes until one command was there.
fn serve(inbox: &Inbox, answer: impl Fn(Result<Vec<Command>>) -> Result<Vec<Applied>>) {
    loop {
        let requests = inbox.requests(&mut HashSet::new());
        let served = !requests.is_empty();
        for request in requests {
            let result = answer(request.commands());
            inbox.answer(request, result);
        }
        if served {
            return;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_command_is_obeyed_and_answered_and_the_folder_goes_with_the_run() {
    let place = Place::new();
    let inbox = place.open();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode(&place.all()), mode(&inbox.folder), mode(&inbox.folder.join("lock"))], [0o700, 0o700, 0o600]);
    let store = place.store.clone();
    let tuned = std::thread::scope(|scope| {
        let client = scope.spawn(move || tune(&store, RUN, &attempts(7), LONG));
        serve(&inbox, |commands| {
            assert_eq!(commands?, [Command::Attempts(7)]);
            Ok(vec![Applied::new("attempts", "3".to_owned(), "7".to_owned())])
        });
        client.join().unwrap().unwrap()
    });
    assert_eq!(tuned.applied, [Applied::new("attempts", "3".to_owned(), "7".to_owned())]);
    assert_eq!((tuned.schema, tuned.error), (TUNE_SCHEMA, None));
    assert_eq!(std::fs::read_dir(&inbox.folder).unwrap().count(), 1, "only the lock is left");
    drop(inbox);
    assert!(!place.all().exists());
}

#[test]
fn a_command_for_another_run_or_of_no_sense_is_refused_by_name_and_removed() {
    let place = Place::new();
    let inbox = place.open();
    let put = |name: &str, text: &str| std::fs::write(inbox.folder.join(name), text).unwrap();
    put("1.command", r#"{"schema":1,"run":"another","attempts":3}"#);
    put("2.command", r#"{"schema":2,"run":"01990000-0000-7000-8000-000000000000","attempts":3}"#);
    put("3.command", r#"{"schema":1,"run":"01990000-0000-7000-8000-000000000000"}"#);
    put("4.command", r#"{"schema":1,"run":"01990000-0000-7000-8000-000000000000","lanes":[3,2]}"#);
    put("5.command", "{");
    put("6.command", &format!("{:5000}", 1));
    std::fs::create_dir(inbox.folder.join("7.command")).unwrap();
    put("8.command.unfinished", "");
    let requests = inbox.requests(&mut HashSet::new());
    let told: Vec<String> = requests.iter().map(|request| request.commands().unwrap_err().to_string()).collect();
    for (text, wanted) in told.iter().zip([
        "for run \"another\"",
        "schema 2",
        "changes nothing",
        "cannot be read",
        "cannot be read",
        "at most 4096 bytes",
        "no file",
    ]) {
        assert!(text.contains(wanted), "{wanted}: {told:?}");
    }
    assert_eq!(told.len(), 7);
    for request in requests.into_iter().take(6) {
        let refused = request.commands().map(|_| Vec::new());
        inbox.answer(request, refused);
    }
    assert!(!inbox.folder.join("1.command").exists());
    let answer: Tuned = serde_json::from_slice(&std::fs::read(inbox.folder.join("1.answer")).unwrap()).unwrap();
    assert_eq!(answer.error.unwrap().code, "CONFIG_3001");
}

#[test]
fn no_more_than_the_bound_is_taken_at_a_time() {
    let place = Place::new();
    let inbox = place.open();
    for number in 0..100 {
        std::fs::write(inbox.folder.join(format!("{number:03}.command")), "{}").unwrap();
    }
    assert_eq!(inbox.requests(&mut HashSet::new()).len(), crate::limits::TUNE_COMMANDS_MAX);
}

#[test]
fn what_a_killed_run_left_takes_no_commands_and_the_next_run_removes_it() {
    let place = Place::new();
    let mut dead = place.open();
    // A process that is killed frees its locks and removes nothing.
    dead.lock = None;
    std::mem::forget(dead);
    let left = place.all().join(RUN);
    assert!(left.is_dir());
    let error = tune(&place.store, RUN, &attempts(2), NOW).unwrap_err();
    assert_eq!(error.code(), Code::StoragePrerequisite);
    let next = Inbox::open(&place.store, "0200").unwrap();
    assert!(!left.exists());
    let beside = Inbox::open(&place.store, "0201").unwrap();
    assert!(next.folder.exists(), "one that lives is left alone");
    drop(next);
    assert!(beside.folder.exists(), "and by the end of another, too");
}

/// A folder that this user alone can look into.
fn private(path: &Path) {
    std::fs::create_dir(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn only_what_the_host_has_made_is_removed() {
    let place = Place::new();
    private(&place.all());
    let folder = |name: &str, file: &str| {
        std::fs::create_dir(place.all().join(name)).unwrap();
        std::fs::write(place.all().join(name).join(file), "").unwrap();
        place.all().join(name)
    };
    let standing = format!("{STANDING}01990000-0000-7000-8000-000000000002");
    let dead = [folder("01990000-0000-7000-8000-000000000001", "lock"), folder(&standing, "lock")];
    let own = [folder("photos", "lock"), folder("01990000-0000-7000-8000-000000000003", "photo")];
    drop(place.open());
    assert!(dead.iter().all(|path| !path.exists()));
    assert!(own.iter().all(|path| path.is_dir()));
}

#[test]
fn a_link_in_the_place_of_the_folder_is_not_followed() {
    let place = Place::new();
    let elsewhere = place.store.with_file_name("elsewhere");
    private(&elsewhere);
    let theirs = elsewhere.join(RUN);
    private(&theirs);
    std::fs::write(theirs.join("lock"), "").unwrap();
    std::os::unix::fs::symlink(&elsewhere, place.all()).unwrap();
    assert!(Inbox::open(&place.store, "01990000-0000-7000-8000-000000000001").is_none());
    assert!(theirs.join("lock").exists());
}

#[test]
fn a_run_that_does_not_answer_is_told_and_the_command_taken_back() {
    let place = Place::new();
    let inbox = place.open();
    let error = tune(&place.store, RUN, &attempts(2), NOW).unwrap_err();
    assert_eq!(error.code(), Code::StorageLocked);
    assert!(error.hint_text().contains("nothing was changed"));
    assert!(inbox.requests(&mut HashSet::new()).is_empty());
}

#[test]
fn a_run_that_ends_before_it_answers_is_told() {
    let place = Place::new();
    let inbox = place.open();
    let store = place.store.clone();
    std::thread::scope(|scope| {
        let client = scope.spawn(move || tune(&store, RUN, &attempts(2), LONG));
        while inbox.requests(&mut HashSet::new()).is_empty() {
            std::thread::yield_now();
        }
        drop(inbox);
        let error = client.join().unwrap().unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (Code::StoragePrerequisite, "the run ended before it answered")
        );
    });
}

#[test]
fn a_folder_that_others_can_look_into_is_not_used() {
    let place = Place::new();
    std::fs::create_dir(place.all()).unwrap();
    std::fs::set_permissions(place.all(), std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Inbox::open(&place.store, RUN).is_none());
    std::fs::remove_dir(place.all()).unwrap();
    std::fs::write(place.all(), "").unwrap();
    assert!(Inbox::open(&place.store, RUN).is_none());
}
