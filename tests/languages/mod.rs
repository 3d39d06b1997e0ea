//! The ticket plugins in every language against the Rust ones: the same items, clean and hostile, must come to the same
//! rows, byte for byte, and the same dead letters, field by field, however many items a call has.

mod bounds;
mod hostile;
mod probe;
mod projects;
mod recipe;
mod tools;

use std::path::Path;

use serde_json::Value;

use crate::harness::{Folder, guest_arg, guest_of, tickets};

/// The tests of each language: `module: "folder of guests/, and the name in plugin.toml"`. The folder holds the two plugins
/// as projects, which `guests/build` builds with `atlas-host build`.
macro_rules! languages {
    ($($module:ident: $language:literal),+ $(,)?) => { $(
        mod $module {
            #[test]
            fn clean_tickets_come_out_as_from_rust() {
                super::unless_left_out($language, super::clean_tickets_come_out_as_from_rust);
            }

            #[test]
            fn hostile_tickets_come_out_as_from_rust() {
                super::unless_left_out($language, super::hostile_tickets_come_out_as_from_rust);
            }

            #[test]
            fn hostile_tickets_near_every_bound_come_out_as_from_rust() {
                super::unless_left_out($language, super::bounds::hostile_tickets_near_every_bound_come_out_as_from_rust);
            }

            #[test]
            fn all_of_the_contract_is_as_from_rust() {
                super::unless_left_out($language, super::probe::all_of_the_contract_is_as_from_rust);
            }

            #[test]
            fn a_thousand_items_a_call_are_no_burden_however_often() {
                super::unless_left_out($language, super::a_thousand_items_a_call_are_no_burden_however_often);
            }

            #[test]
            fn projects_run_as_their_readme_says_later_ones_without_network() {
                super::unless_left_out($language, super::projects::projects_run_as_their_readme_says_later_ones_without_network);
            }

            #[test]
            fn a_mistake_in_the_source_is_shown_as_the_compiler_says_it() {
                super::unless_left_out($language, super::projects::a_mistake_in_the_source_is_shown_as_the_compiler_says_it);
            }
        }
    )+

        /// What has tests.
        const LANGUAGES: &[&str] = &[$($language),+];
    };
}

languages! {
    c: "c",
    go: "go",
    javascript: "javascript",
    python: "python",
}

/// The sources of `javascript` with another engine: folders of projects that no language of the host is named after.
const OTHER_ENGINES: &[&str] = &["javascript-spidermonkey"];

mod javascript_spidermonkey {
    #[test]
    fn a_new_project_runs_on_the_other_engine_too() {
        super::unless_left_out("javascript-spidermonkey", super::projects::a_new_project_runs_on_the_other_engine_too);
    }

    #[test]
    fn clean_tickets_come_out_as_from_rust() {
        super::unless_left_out("javascript-spidermonkey", super::clean_tickets_come_out_as_from_rust);
    }

    #[test]
    fn hostile_tickets_come_out_as_from_rust() {
        super::unless_left_out("javascript-spidermonkey", super::hostile_tickets_come_out_as_from_rust);
    }

    #[test]
    fn hostile_tickets_near_every_bound_come_out_as_from_rust() {
        super::unless_left_out(
            "javascript-spidermonkey",
            super::bounds::hostile_tickets_near_every_bound_come_out_as_from_rust,
        );
    }

    #[test]
    fn all_of_the_contract_is_as_from_rust() {
        super::unless_left_out("javascript-spidermonkey", super::probe::all_of_the_contract_is_as_from_rust);
    }

    #[test]
    fn a_thousand_items_a_call_are_no_burden_however_often() {
        super::unless_left_out("javascript-spidermonkey", super::a_thousand_items_a_call_are_no_burden_however_often);
    }
}

/// What the others are compared with has projects of its own, too.
mod rust {
    #[test]
    fn projects_run_as_their_readme_says_later_ones_without_network() {
        super::unless_left_out("rust", super::projects::projects_run_as_their_readme_says_later_ones_without_network);
    }

    #[test]
    fn a_mistake_in_the_source_is_shown_as_the_compiler_says_it() {
        super::unless_left_out("rust", super::projects::a_mistake_in_the_source_is_shown_as_the_compiler_says_it);
    }
}

/// Names the languages, with commas between them, whose tests are to pass without doing anything.
const LEFT_OUT: &str = "ATLAS_TEST_WITHOUT_LANGUAGES";

pub fn left_out() -> Vec<String> {
    let text = std::env::var(LEFT_OUT).unwrap_or_default();
    text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

fn unless_left_out(language: &str, test: fn(&str)) {
    if left_out().iter().any(|name| name == language) {
        println!("left out by {LEFT_OUT}");
        return;
    }
    test(language);
}

#[test]
fn what_is_left_out_is_a_language() {
    for name in left_out() {
        assert!(
            name == "rust" || LANGUAGES.iter().chain(OTHER_ENGINES).any(|known| *known == name),
            "{LEFT_OUT} names {name:?}, wanted some of {LANGUAGES:?}, {OTHER_ENGINES:?}"
        );
    }
}

/// Items of one call. With one lane a batch is one call of each plugin.
const CALLS: [usize; 3] = [1, 7, 1000];

/// The two plugins of one language.
struct Pair {
    rules: String,
    tidy: String,
}

impl Pair {
    fn rust() -> Self {
        Self { rules: guest_arg("ticket-rules"), tidy: guest_arg("ticket-tidy") }
    }

    fn of(language: &str) -> Self {
        let path = |name| guest_of(language, name).to_str().expect("a path in UTF-8").to_owned();
        Self { rules: path("ticket-rules"), tidy: path("ticket-tidy") }
    }

    /// Flags for both in their slots, for the validator alone, and for the operation alone.
    fn slots(&self, which: Which) -> Vec<String> {
        let rules = ["--validator".to_owned(), format!("rules={}", self.rules)];
        let tidy = ["--plugin".to_owned(), format!("tidy={}", self.tidy)];
        match which {
            Which::Both => [rules, tidy].concat(),
            Which::Rules => rules.to_vec(),
            Which::Tidy => tidy.to_vec(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Both,
    Rules,
    Tidy,
}

/// What a run left: rows as the export has them, and all that dead letters say.
#[derive(PartialEq)]
struct Left {
    rows: Vec<String>,
    letters: Vec<Value>,
}

/// Runs `input` through plugins, `call` items at a time.
fn left(input: &Path, pair: &Pair, which: Which, call: usize) -> Left {
    let folder = Folder::new();
    let mut flags: Vec<String> = ["run", "--quiet", "--lanes", "1", "--durability", "normal"].map(str::to_owned).into();
    // SpiderMonkey takes more than 64 MiB for an item of one.
    flags.extend(["--memory", "256MiB"].map(str::to_owned));
    flags.extend(["--input".to_owned(), input.to_str().expect("a path in UTF-8").to_owned()]);
    flags.extend(["--batch-size".to_owned(), call.to_string()]);
    flags.extend(pair.slots(which));
    let ran = folder.atlas(&flags).run();
    assert!(matches!(ran.code, Some(0 | 3)), "{flags:?}: {ran:?}");
    let rows = folder.atlas(["export", "--with-id"]).run().exits(0).stdout.lines().map(str::to_owned).collect();
    let letters = folder.atlas(["dead-letters", "list", "--limit", "0", "--output", "json"]).run().exits(0);
    let mut letters = letters.json_lines();
    for letter in &mut letters {
        let letter = letter.as_object_mut().expect("an object");
        // These are of the run and of the component, not of the answer.
        for field in ["created_ms", "plugin"] {
            letter.remove(field).expect("a dead letter has it");
        }
    }
    Left { rows, letters }
}

/// Compares two runs, and shows the first place where they differ.
#[track_caller]
fn compare(found: &Left, wanted: &Left, what: &str) {
    for (found, wanted) in found.rows.iter().zip(&wanted.rows) {
        assert_eq!(found, wanted, "{what}: a row");
    }
    for (found, wanted) in found.letters.iter().zip(&wanted.letters) {
        assert_eq!(found, wanted, "{what}: a dead letter");
    }
    let counts = |left: &Left| (left.rows.len(), left.letters.len());
    assert_eq!(counts(found), counts(wanted), "{what}: rows and dead letters");
}

fn clean_tickets_come_out_as_from_rust(language: &str) {
    let folder = Folder::new();
    let (wanted_of, found_of) = (Pair::rust(), Pair::of(language));
    for call in CALLS {
        let count = if call == 1 { 300 } else { 3 * call as u64 };
        let input = folder.write("tickets.ndjson", tickets(count, 5));
        let wanted = left(&input, &wanted_of, Which::Both, call);
        assert_eq!((wanted.rows.len() + wanted.letters.len()) as u64, count);
        let found = left(&input, &found_of, Which::Both, call);
        compare(&found, &wanted, &format!("{language}, {call} items a call"));
    }
}

fn hostile_tickets_come_out_as_from_rust(language: &str) {
    let folder = Folder::new();
    let (wanted_of, found_of) = (Pair::rust(), Pair::of(language));
    for (seed, (which, call)) in
        (1..).zip([(Which::Rules, 1000), (Which::Tidy, 1000), (Which::Both, 7), (Which::Tidy, 7), (Which::Rules, 1)])
    {
        let count = [200, 1000, 3000][CALLS.iter().position(|known| *known == call).expect("a known size")];
        let input = folder.write("tickets.json", hostile::tickets(seed, count));
        let wanted = left(&input, &wanted_of, which, call);
        // A good part of either kind, or nothing is shown.
        let all = wanted.rows.len() + wanted.letters.len();
        let shares = [wanted.rows.len(), wanted.letters.len()].map(|part| part * 20 >= all);
        assert_eq!(shares, [true, true], "seed {seed}: {} rows", wanted.rows.len());
        let found = left(&input, &found_of, which, call);
        compare(&found, &wanted, &format!("{language}, {which:?}, seed {seed}, {call} items a call"));
    }
}

/// A sandbox that keeps what it was given, or whose runtime cannot bear to be called, fails in one of these calls.
fn a_thousand_items_a_call_are_no_burden_however_often(language: &str) {
    // The one engine takes a millisecond for an item.
    let calls = if language == "javascript-spidermonkey" { 30 } else { 150 };
    let folder = Folder::new();
    folder.write("tickets.ndjson", tickets(calls * 1000, 5));
    let output = |pair: &Pair| {
        let mut flags = ["run", "--quiet", "--input", "tickets.ndjson", "--lanes", "1", "--batch-size", "1000"]
            .map(str::to_owned)
            .to_vec();
        flags.extend(["--processor".to_owned(), "memory".to_owned()]);
        flags.extend(pair.slots(Which::Both));
        // 5 % break a rule; a fault would be told, and would send items to the dead letters.
        folder.atlas(&flags).run().exits(3).stdout
    };
    let (found, wanted) = (output(&Pair::of(language)), output(&Pair::rust()));
    let same = found.lines().zip(wanted.lines()).take_while(|(found, wanted)| found == wanted).count();
    assert!(found == wanted, "{language}: line {} differs or is missing", same + 1);
}

#[test]
fn every_language_of_the_host_has_tests_and_ticket_plugins() {
    let mut hosts: Vec<&str> = atlas_host::author::LANGUAGES.iter().map(|language| language.name).collect();
    hosts.retain(|name| *name != "rust");
    hosts.sort_unstable();
    let mut tested = LANGUAGES.to_vec();
    tested.sort_unstable();
    assert_eq!(hosts, tested);
}

#[test]
fn every_language_with_ticket_plugins_is_in_the_table() {
    let guests = crate::harness::root().join("guests");
    let mut found: Vec<String> = std::fs::read_dir(&guests)
        .expect("the folder of guests")
        .flatten()
        .filter(|entry| entry.path().join("ticket-rules/plugin.toml").is_file())
        .map(|entry| entry.file_name().into_string().expect("a name in UTF-8"))
        .collect();
    found.sort();
    let mut known = [LANGUAGES, OTHER_ENGINES].concat();
    known.sort_unstable();
    assert_eq!(found, known);
}
