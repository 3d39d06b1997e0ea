//! What the ticket plugins do not use: changes of other collections, retries, and the interfaces that a plugin may import.
//! The plugin `probe` does what its items say, in every language, and says what it learned in the problem it refuses with.

use serde_json::Value;

use crate::harness::{Folder, guest_arg, guest_of};

/// Every word that the plugin knows, with answers of every kind.
const WORDS: &[&str] = &[
    // What becomes of an item.
    "keep",
    "drop",
    "replace",
    "emit",
    "nothing",
    "retry 0",
    "retry 3",
    "never",
    "reject",
    "bare",
    "refuse 0",
    "refuse 1",
    "refuse 3",
    // Lines of the log.
    "log trace t",
    "log debug d d",
    "log info i",
    "log warn w  w",
    "log error e",
    "log info",
    // Settings and surroundings.
    "config greeting",
    "config empty",
    "config none",
    "configs",
    "context",
    // Rows by their key.
    "get other a",
    "get other none",
    "get other gone",
    "get - 0",
    "get - 3-own",
    "get - gone",
    "get secret a",
    "get nowhere a",
    "get-many other a none b a",
    "get-many other",
    "get-many secret a",
    "get-many - 0 1 2",
    // Rows by an index, with every kind of key.
    "find other n integer:1 - 10",
    "find other n integer:1 a 10",
    "find other n integer:1 z 10",
    "find other n integer:1 - 1",
    "find other n integer:-9223372036854775808 - 10",
    "find other n integer:9223372036854775807 - 10",
    "find other n real:1.0 - 10",
    "find other n real:2.5 - 10",
    "find other n real:-1e300 - 10",
    "find other n text:x - 10",
    "find other n text: - 10",
    "find other n text:1 - 10",
    "find other n null - 10",
    "find - emitted integer:1 - 10",
    "find other m null - 10",
    "find secret n null - 10",
    "find nowhere n null - 10",
    "find other n null - 0",
    "find other n null - 1001",
    "count other n integer:1 10",
    "count other n integer:1 1",
    "count other n text:x 10",
    "count - emitted integer:1 10",
    "count other m null 10",
    "count secret n null 10",
    "count other n null 0",
    "count other n null 1001",
    "context",
];

const OTHER: &str = r#"{"id":"a","n":1}
{"id":"b","n":1.0,"text":"ä \"😀\" \\ \u0001"}
{"id":"c","n":2.5}
{"id":"d","n":"x"}
{"id":"e","n":null}
{"id":"f"}
{"id":"g","n":-9223372036854775808}
{"id":"h","n":9223372036854775807}
{"id":"i","n":-1e300}
{"id":"j","n":""}
{"id":"gone","n":7}
"#;

/// What a run left: both collections, all that dead letters say, and the lines of the log.
#[derive(Debug, PartialEq)]
struct Left {
    own: Vec<String>,
    other: Vec<String>,
    letters: Vec<Value>,
    log: Vec<(Value, Value)>,
}

fn left(plugin: &str, call: usize) -> Left {
    let folder = Folder::new();
    folder.write("other.ndjson", OTHER);
    folder.write("own.ndjson", "{\"id\":\"gone\",\"n\":1}\n");
    let quoted: Vec<String> = WORDS.iter().map(|words| format!("\"{words}\"")).collect();
    folder.write("words.json", format!("[{}]", quoted.join(",")));
    for (file, collection) in [("other", "other"), ("other", "secret"), ("own", "items")] {
        let file = format!("{file}.ndjson");
        let flags = ["run", "-q", "--input", &file, "--id", "id", "--into", collection, "--index", "n"];
        folder.atlas(flags).run().exits(0);
    }
    let (operation, validator, call) = (format!("work={plugin}"), format!("rules={plugin}"), call.to_string());
    let fixed = "run -q --input words.json --lanes 1 --seed 7 --attempts 3 --index emitted --collection other \
                 --grant-collection other --plugin-config empty= --log-format json --batch-size";
    let mut flags: Vec<&str> = fixed.split_whitespace().collect();
    flags.extend([&call, "--plugin", &operation, "--validator", &validator]);
    flags.extend(["--plugin-config", "greeting=ä \"quoted\" = text"]);
    let ran = folder.atlas(flags).env("ATLAS_LOG", "off,guest=trace").run().exits(3);
    let rows = |collection: &str| -> Vec<String> {
        let ran = folder.atlas(["export", "--with-id", "--into", collection]).run().exits(0);
        ran.stdout.lines().map(str::to_owned).collect()
    };
    let letters = folder.atlas(["dead-letters", "list", "--limit", "0", "--output", "json"]).run().exits(0);
    let mut letters = letters.json_lines();
    for letter in &mut letters {
        let letter = letter.as_object_mut().expect("an object");
        // These are of the run and of the component, not of the answer.
        for field in ["created_ms", "plugin", "input"] {
            letter.remove(field).expect("a dead letter has it");
        }
    }
    let lines = ran.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines = lines.filter(|line| line["target"] == "guest");
    let log = lines.map(|line| (line["level"].clone(), line["message"].clone())).collect();
    Left { own: rows("items"), other: rows("other"), letters, log }
}

/// What the Rust plugin did is known by heart, so that a mistake of both is seen too.
#[track_caller]
fn is_as_the_contract_says(left: &Left) {
    let told = |words: &str| {
        let ordinal = WORDS.iter().position(|known| *known == words).expect("a known word") as u64;
        let letter = left.letters.iter().find(|letter| letter["ordinal"] == ordinal);
        letter.unwrap_or_else(|| panic!("{words} has a letter")).clone()
    };
    let message = |words: &str| told(words)["message"].as_str().expect("a text").to_owned();
    let details = |words: &str| told(words)["problems"][0]["details"].to_string();
    assert_eq!(message("get other none"), "none");
    assert_eq!(details("get other a"), r#"[["a","{\"id\":\"a\",\"n\":1}"]]"#);
    assert_eq!(message("get other gone"), "none", "it was deleted by an earlier item");
    assert_eq!(message("get secret a"), "not-granted");
    assert_eq!(message("find other m null - 10"), "no-such-index");
    assert_eq!(message("find other n null - 1001"), "over-limit");
    assert_eq!(message("count other n integer:1 10"), "2");
    assert_eq!(message("count - emitted integer:1 10"), "1");
    assert_eq!(details("configs"), r#"[["empty",""],["greeting","ä \"quoted\" = text"]]"#);
    assert_eq!(told("never")["attempts"], 3);
    assert_eq!(told("refuse 3")["problems"].as_array().expect("a list").len(), 3);
    assert!(left.own.iter().any(|row| row.contains("attempt") && row.contains('2')), "{:?}", left.own);
    assert!(left.other.iter().any(|row| row.contains("3-other")), "{:?}", left.other);
    assert!(left.log.len() >= 5, "{:?}", left.log);
}

/// The one tool that passes numbers of 64 bits as doubles: componentize-qjs, whatever the plugin does.
const ROUNDS: &str = "javascript";
/// A key that no double is.
const BEYOND_DOUBLES: &str = "find other n integer:9223372036854775807 - 10";

/// The one tool that hands over no negative key of an index: its code for a variant of whole numbers and fractions aborts.
const LACKS_NEGATIVE_KEYS: &str = "javascript-spidermonkey";
const NEGATIVE_KEYS: [&str; 2] = ["find other n integer:-9223372036854775808 - 10", "find other n real:-1e300 - 10"];

/// Takes one answer away.
fn without(left: &mut Left, words: &str) {
    let is_it = |letter: &Value| letter["ordinal"].as_u64().map(|ordinal| WORDS[ordinal as usize]) == Some(words);
    left.letters.iter_mut().filter(|letter| is_it(letter)).for_each(|letter| *letter = Value::Null);
}

/// Takes away what such numbers cannot tell, and nothing else: the last digits of seeds, and a key beyond them.
fn rounded(left: &mut Left) {
    without(left, BEYOND_DOUBLES);
    for letter in &mut left.letters {
        // By a pointer: an answer that was taken away has none.
        let Some(Value::Array(details)) = letter.pointer_mut("/problems/0/details") else { continue };
        for detail in details.iter_mut().filter(|detail| detail[0].as_str().is_some_and(|name| name.ends_with("seed")))
        {
            detail[1] = detail[1].as_str().and_then(|text| text.parse::<f64>().ok()).into();
        }
    }
}

pub fn all_of_the_contract_is_as_from_rust(language: &str) {
    let theirs = guest_of(language, "probe");
    let theirs = theirs.to_str().expect("a path in UTF-8");
    for call in [1, 1000] {
        let mut wanted = left(&guest_arg("probe"), call);
        is_as_the_contract_says(&wanted);
        let mut found = left(theirs, call);
        if language == ROUNDS {
            rounded(&mut wanted);
            rounded(&mut found);
        }
        if language == LACKS_NEGATIVE_KEYS {
            for words in NEGATIVE_KEYS {
                without(&mut wanted, words);
                without(&mut found, words);
            }
            // The tool's own last words.
            found
                .log
                .retain(|(_, message)| !message.as_str().is_some_and(|text| text.contains("coreabi_from_bigint64")));
        }
        for (found, wanted) in found.letters.iter().zip(&wanted.letters) {
            let words = wanted["ordinal"].as_u64().map(|ordinal| WORDS[ordinal as usize]);
            assert_eq!(found, wanted, "{language}, {call} items a batch: {words:?}");
        }
        assert_eq!(found, wanted, "{language}, {call} items a batch");
    }
}
