//! Several operations in a row. What they make of an input is compared with a model that takes one item at a time.

use std::sync::{Arc, Mutex};

use atlas_host::coordinator::Job;
use atlas_host::model::{Change, Fate, Item, Outcome, Phase, Problem, Verdict};
use atlas_host::plugin::Call;
use atlas_host::processor::ProcessorKind;
use serde_json::{Value, json};

use super::{Live, nothing_is_mixed, stamp};
use crate::harness::{Folder, guest_arg};
use crate::library::random::Random;
use crate::library::{events, events_of, host, letters, named, planned, recorded, rows, sound};

fn problem(code: &str) -> Problem {
    Problem { code: code.to_owned(), message: format!("{code} it is"), pointer: String::new(), details: Vec::new() }
}

fn put(id: String, body: String) -> Change {
    Change::Put { collection: None, id, body }
}

fn say<'a>(item: &'a Value, stage: &str) -> &'a str {
    item[stage].as_str().unwrap_or("keep")
}

/// An operation that does what its member of the item asks for, and leaves its mark.
fn obedient(stage: &'static str) -> impl Fn(&Call, Item<'_>) -> Outcome + Send + Sync {
    move |call, item| {
        let mut body: Value = serde_json::from_str(item.body).expect("JSON");
        let asked = say(&body, stage).to_owned();
        body["marks"] = json!(format!("{}{stage}", body["marks"].as_str().unwrap_or_default()));
        let marked = body.to_string();
        match asked.as_str() {
            "keep" => Outcome::Keep,
            "replace" => Outcome::Replace(marked),
            "drop" => Outcome::Drop,
            "reject" => Outcome::Reject(problem("NO")),
            "panic" => panic!("asked to"),
            "retry" if call.attempt == 1 => Outcome::Retry(problem("LATER"), Some(0)),
            "retry" => Outcome::Replace(marked),
            "never" => Outcome::Retry(problem("NEVER"), Some(0)),
            // The second piece is one that the next stage drops, the third one it refuses where the item wants that.
            "fan" => {
                let piece = |n: usize, then: &Value| {
                    let mut piece = body.clone();
                    piece["b"] = then.clone();
                    put(format!("{}/{n}", item.id), piece.to_string())
                };
                let mut changes: Vec<Change> =
                    body["pieces"].as_array().expect("pieces").iter().enumerate().map(|(n, b)| piece(n, b)).collect();
                changes.push(Change::Put {
                    collection: Some(named("other")),
                    id: format!("o{}", item.id),
                    body: "1".into(),
                });
                changes.push(Change::Delete { collection: None, id: format!("gone{}", item.id) });
                Outcome::Emit(changes)
            }
            "only-pieces" => Outcome::Emit(vec![put(format!("{}/p", item.id), marked)]),
            "many" => {
                Outcome::Emit((0..600).map(|n| put(format!("{}/{n}", item.id), "{\"b\":\"two\"}".into())).collect())
            }
            "two" => Outcome::Emit((0..2).map(|n| put(format!("{}/{n}", item.id), "2".into())).collect()),
            other => panic!("no such demand: {other}"),
        }
    }
}

fn input(seed: u64, count: u64) -> Vec<String> {
    let mut random = Random::new(seed, 0);
    let simple = ["keep", "replace", "drop", "reject", "panic", "retry", "never"];
    let mut pick = |from: &[&str]| from[random.below(from.len() as u64) as usize].to_owned();
    (0..count)
        .map(|n| {
            let first = match n % 3 {
                0 => pick(&["fan", "only-pieces", "many"]),
                _ => pick(&simple),
            };
            let pieces: Vec<String> =
                (0..3).map(|_| pick(&["keep", "replace", "drop", "keep", "replace", "two"])).collect();
            let mut pieces = pieces;
            if n % 9 == 0 {
                pieces[2] = pick(&simple);
            }
            json!({ "id": format!("{n:05}"), "a": first, "b": pick(&simple), "pieces": pieces }).to_string()
        })
        .collect()
}

struct Left {
    rows: Vec<(String, String)>,
    others: Vec<(String, String)>,
    letters: Vec<(u64, Fate, String, Option<String>, u32)>,
    dropped: u64,
}

fn load(items: Vec<String>, strategy: &str, batch_size: usize, lanes: usize) -> Left {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let mut job = Job::of_items(items, &store, "items").and_then(|job| job.id("id")).expect("a job");
    job.collections.push(named("other"));
    job.attempts = 2;
    let job = job.operation(obedient("a")).operation(obedient("b")).validator(|_: &Call, _: Item<'_>| Verdict::Accept);
    let (job, recording) = recorded(planned(job, strategy, batch_size, lanes));
    let report = host(lanes).run(job).expect("a run");
    events::check(&events_of(&recording), lanes as u64);
    sound(&store);
    let letters = letters(&store).into_iter().map(|l| (l.ordinal, l.fate, l.code, l.slot, l.attempts)).collect();
    Left { rows: rows(&store, "items"), others: rows(&store, "other"), letters, dropped: report.counts.dropped }
}

/// What a piece becomes in the second stage: ids and bodies, or why its item is refused.
fn second(id: &str, body: &Value) -> Result<Vec<(String, String)>, &'static str> {
    let mut marked = body.clone();
    marked["marks"] = json!(format!("{}b", body["marks"].as_str().unwrap_or_default()));
    match say(body, "b") {
        "keep" => Ok(vec![(id.to_owned(), body.to_string())]),
        "replace" | "retry" => Ok(vec![(id.to_owned(), marked.to_string())]),
        "drop" => Ok(Vec::new()),
        "two" => Ok((0..2).map(|n| (format!("{id}/{n}"), "2".to_owned())).collect()),
        "reject" => Err("NO"),
        "panic" => Err("GUEST_10001"),
        "never" => Err("NEVER"),
        other => panic!("{other}"),
    }
}

/// Ids and bodies that an item becomes.
type Pieces = Vec<(String, String)>;

/// The model: one item at a time, by the words of the documentation.
fn expected(item: &str) -> Result<(Pieces, bool), (&'static str, &'static str)> {
    let body: Value = serde_json::from_str(item).expect("JSON");
    let id = body["id"].as_str().expect("an id");
    let mut marked = body.clone();
    marked["marks"] = json!("a");
    let (pieces, others) = match say(&body, "a") {
        "keep" => (vec![(id.to_owned(), body.clone())], false),
        "replace" | "retry" => (vec![(id.to_owned(), marked)], false),
        "drop" => (Vec::new(), false),
        "reject" => return Err(("NO", "operation")),
        "panic" => return Err(("GUEST_10001", "operation")),
        "never" => return Err(("NEVER", "operation")),
        "only-pieces" => (vec![(format!("{id}/p"), marked)], false),
        "many" => return Err(("GUEST_10005", "operation2")),
        "fan" => {
            let piece = |(n, then): (usize, &Value)| {
                let mut piece = marked.clone();
                piece["b"] = then.clone();
                (format!("{id}/{n}"), piece)
            };
            (body["pieces"].as_array().expect("a list").iter().enumerate().map(piece).collect(), true)
        }
        other => panic!("{other}"),
    };
    let done: Vec<_> = pieces.iter().map(|(id, body)| second(id, body)).collect();
    // What refuses for good outweighs what wants another attempt.
    let refused = done.iter().filter_map(|one| one.as_ref().err());
    if let Some(code) = refused.clone().find(|code| **code != "NEVER").or(refused.clone().next()) {
        return Err((code, "operation2"));
    }
    Ok((done.into_iter().flatten().flatten().collect(), others))
}

#[test]
fn what_a_pipeline_makes_of_an_input_is_the_same_for_every_strategy_batch_size_and_number_of_lanes() {
    let seed = 41;
    println!("seed {seed}");
    let items = input(seed, 300);
    let (mut want, mut others, mut refused, mut dropped) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (ordinal, item) in items.iter().enumerate() {
        match expected(item) {
            Ok((rows, other)) => {
                dropped += u64::from(rows.is_empty() && !other);
                want.extend(rows);
                others.extend(other.then(|| (format!("o{ordinal:05}"), "1".to_owned())));
            }
            Err((code, slot)) => refused.push((ordinal as u64, code, slot)),
        }
    }
    want.sort();
    for code in ["NO", "NEVER", "GUEST_10001", "GUEST_10005"] {
        assert!(refused.iter().any(|(_, found, _)| *found == code), "the input has no {code}");
    }
    assert!(dropped > 0 && !others.is_empty());
    for (strategy, batch_size, lanes) in
        [("sequential", 1, 1), ("sequential", 300, 1), ("concurrent", 7, 2), ("concurrent", 64, 3), ("adaptive", 50, 2)]
    {
        let left = load(items.clone(), strategy, batch_size, lanes);
        let found: Vec<(u64, &str, &str)> = left
            .letters
            .iter()
            .map(|(at, _, code, slot, _)| (*at, code.as_str(), slot.as_deref().expect("a slot")))
            .collect();
        assert_eq!(found, refused, "{strategy} {batch_size} {lanes}");
        assert_eq!(left.rows, want, "{strategy} {batch_size} {lanes}");
        assert_eq!(left.others, others);
        assert_eq!(left.dropped, dropped);
        for (_, fate, code, _, attempts) in &left.letters {
            assert_eq!(*fate, if code == "NO" { Fate::Rejected } else { Fate::DeadLettered }, "{code}");
            assert!(code != "NEVER" || *attempts == 2, "{code} after {attempts}");
        }
    }
}

#[test]
fn a_retry_in_the_second_stage_begins_again_at_the_first() {
    let folder = Folder::new();
    let store = folder.at("out.db");
    let items = vec![r#"{"id":"x","a":"replace","b":"retry"}"#.to_owned()];
    let job = Job::of_items(items, &store, "items").and_then(|job| job.id("id")).expect("a job");
    let calls = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&calls);
    let first = obedient("a");
    let job = job
        .operation(move |call: &Call, item: Item<'_>| {
            seen.lock().expect("no panic").push((call.attempt, item.body.contains("marks")));
            first(call, item)
        })
        .operation(obedient("b"));
    let report = host(1).run(job).expect("a run");
    assert_eq!((report.counts.stored, report.counts.retries), (1, 1));
    assert_eq!(
        *calls.lock().expect("no panic"),
        [(1, false), (2, false)],
        "the first stage sees the item as it was read"
    );
    assert_eq!(rows(&store, "items")[0].1, r#"{"a":"replace","b":"retry","id":"x","marks":"ab"}"#);
}

#[test]
fn a_chunk_is_one_call_per_stage_however_many_pieces_it_has() {
    let folder = Folder::new();
    let items: Vec<String> =
        (0..100).map(|n| json!({ "id": n.to_string(), "a": "fan", "pieces": ["keep", "keep"] }).to_string()).collect();
    let mut job = Job::of_items(items, folder.at("out.db"), "items").and_then(|job| job.id("id")).expect("a job");
    job.collections.push(named("other"));
    let job = planned(job.operation(obedient("a")).operation(obedient("b")), "sequential", 100, 1);
    let (job, recording) = recorded(job);
    host(1).run(job).expect("a run");
    let done = events_of(&recording);
    let plugins = done.iter().find_map(|e| match &e.event {
        atlas_host::event::Event::BatchCommitted(done) => Some(done.plugins.clone()),
        _ => None,
    });
    let calls: Vec<(String, u64, u64)> =
        plugins.expect("a batch").into_iter().map(|used| (used.slot, used.calls, used.items)).collect();
    assert_eq!(calls, [("operation".to_owned(), 1, 100), ("operation2".to_owned(), 1, 200)]);
}

/// The second stage is given two items in a call and makes 15 MB of each, so that four of them come to the bound of a chunk.
#[test]
fn items_whose_answers_find_no_room_begin_anew_in_a_further_chunk() {
    let items = (0..6).map(|n| format!("{{\"id\":\"{n}\"}}"));
    let asked: Arc<Mutex<[Vec<u64>; 2]>> = Arc::default();
    let put_out: Arc<Mutex<Vec<String>>> = Arc::default();
    let (first, second, out) = (Arc::clone(&asked), Arc::clone(&asked), Arc::clone(&put_out));
    let longer = move |_: &Call, item: Item<'_>| {
        first.lock().expect("no panic")[0].push(item.ordinal.0);
        Outcome::Replace(json!({ "id": item.id, "text": "x".repeat(700_000) }).to_string())
    };
    let many = move |_: &Call, item: Item<'_>| {
        second.lock().expect("no panic")[1].push(item.ordinal.0);
        let body = format!("{:?}", "x".repeat(1_000_000));
        Outcome::Emit((0..15).map(|n| put(format!("{}/{n}", item.id), body.clone())).collect())
    };
    let job = Job::of_items(items, "unused.db", "items").and_then(|job| job.id("id")).expect("a job");
    let (mut job, recording) = recorded(planned(job.operation(longer).operation(many), "sequential", 6, 1));
    job.processor = ProcessorKind::Memory;
    job.output = Some(Box::new(move |_, id, _| {
        out.lock().expect("no panic").push(id.to_owned());
        Ok(())
    }));
    let counts = host(1).run(job).expect("a run").counts;
    events::check(&events_of(&recording), 1);
    assert_eq!((counts.stored, counts.inserted, counts.retries), (6, 90, 0));
    let wanted = [vec![0, 1, 2, 3, 4, 5, 4, 5], vec![0, 1, 2, 3, 4, 5]];
    assert_eq!(*asked.lock().expect("no panic"), wanted, "none was answered twice");
    let in_order: Vec<String> = (0..90).map(|n| format!("{}/{}", n / 15, n % 15)).collect();
    assert_eq!(*put_out.lock().expect("no panic"), in_order);
}

#[test]
fn a_plugin_whose_outputs_a_later_stage_does_not_bear_is_put_back() {
    for (answer, reason) in
        [("reject", "plugins after it reject 10 of 10 items"), ("panic", "plugins after it fail on 10 of 10 items")]
    {
        let folder = Folder::new();
        let host = host(1);
        let (mut live, job) = Live::job(&host, &folder, stamp("v1"));
        let job = job.operation(move |_: &Call, item: Item<'_>| match (item.body.contains("\"v2\""), answer) {
            (false, _) => Outcome::Keep,
            (true, "reject") => Outcome::Reject(problem("NO")),
            (true, _) => panic!("asked to"),
        });
        live.through(&host, job, |live| {
            live.batches(5);
            live.swap(stamp("v2"));
            live.until(&["tried"]);
            let (_, back) = live.feed_until(&["put-back", "settled"]);
            assert!(back.reason.contains(reason), "{answer}: {}", back.reason);
            assert_eq!(back.batch, Some(5), "{answer}");
            live.batches(2);
        });
        // No item is lost to it.
        assert_eq!(nothing_is_mixed(&folder.at("out.db"), &live.recording, live.sent, &["v1", "v2"]), ["v1"]);
    }
}

#[test]
fn a_pipeline_of_components_works_where_a_plugin_reads_the_store_too() {
    let folder = Folder::new();
    // The second row depends on the first, and the third has a dependency that is not there.
    let tasks = [
        r#"{"path":"p","name":"root","type":"MILESTONE"}"#,
        r#"{"path":"p/a","name":"leaf","parentPath":"p"}"#,
        r#"{"path":"q/a","name":"lost","parentPath":"q"}"#,
    ];
    folder.write("tasks.ndjson", tasks.join("\n"));
    let (links, enrich, identity) = (guest_arg("task-links"), guest_arg("task-enrich"), guest_arg("identity"));
    let line = format!(
        "run --input tasks.ndjson --id path --index parent=/parentPath --validator {links} --plugin same={identity} --plugin {enrich} --plugin last={identity} --batch-size 10"
    );
    folder.atlas(line.split_whitespace()).run().exits(3);
    let stored = rows(&folder.at("atlas.db"), "items");
    assert_eq!(stored.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["p", "p/a"]);
    assert!(stored[1].1.contains("\"slug\":\"leaf\""), "{}", stored[1].1);
    assert_eq!(letters(&folder.at("atlas.db"))[0].phase, Phase::Validate);
    // The order of operations decides results, so that another one is another job's.
    let other = line.replace(
        &format!("--plugin {enrich} --plugin last={identity}"),
        &format!("--plugin last={identity} --plugin {enrich}"),
    );
    let ran = folder.atlas(other.split_whitespace()).run().exits(3);
    assert!(!ran.stderr.contains("Already complete"), "{}", ran.stderr);
}

#[test]
fn operations_of_the_configuration_file_work_in_its_order() {
    let folder = Folder::new();
    folder.write("in.ndjson", "{\"id\":\"a\"}\n");
    let (identity, faulty) = (guest_arg("identity"), guest_arg("faulty"));
    let table = |name: &str, file: &str| format!("[plugins.{name}]\nsource = {file:?}\nrole = \"operation\"\n");
    folder.write("atlas.toml", format!("id = \"id\"\n{}{}", table("zulu", &identity), table("alpha", &faulty)));
    folder.atlas(["run", "--input", "in.ndjson"]).run().exits(0);
    let shown = folder.atlas(["runs", "show", "1", "--output", "json"]).run().exits(0).json();
    let slots: Vec<&str> =
        shown["plugins"].as_array().expect("plugins").iter().filter_map(|p| p["slot"].as_str()).collect();
    assert_eq!(slots, ["zulu", "alpha"]);
}

#[test]
fn the_history_tells_of_each_batch_what_each_stage_did() {
    let folder = Folder::new();
    let lines: String = (0..30)
        .map(|n| {
            let demand = match n % 10 {
                3 => ",\"fault\":\"validator-reject\"",
                5 => ",\"fault\":\"trap\"",
                _ => "",
            };
            format!("{{\"id\":\"{n}\"{demand}}}\n")
        })
        .collect();
    folder.write("in.ndjson", lines);
    let (faulty, identity) = (guest_arg("faulty"), guest_arg("identity"));
    let (rules, first, second) = (format!("rules={faulty}"), format!("first={identity}"), format!("second={faulty}"));
    // Without --events: the store alone has it.
    let flags = ["run", "-q", "--input", "in.ndjson", "--id", "id", "--batch-size", "10", "--lanes", "1"];
    let plugins = ["--validator", &rules, "--plugin", &first, "--plugin", &second];
    folder.atlas(flags.iter().chain(&plugins)).run().exits(3);
    let shown = folder.atlas(["runs", "show", "--output", "json"]).run().exits(0).json();
    let batches = shown["batches"].as_array().expect("batches");
    assert_eq!(batches.len(), 3);
    for batch in batches {
        let stages = batch["plugins"].as_array().expect("plugins");
        let slots: Vec<_> = stages.iter().map(|stage| stage["slot"].as_str().expect("a slot")).collect();
        assert_eq!(slots, ["rules", "first", "second"]);
        // The item that a rule rejects reaches no stage; the one that traps is looked for by halving, from the first stage on.
        let [rules, first, second] = [0, 1, 2].map(|at| {
            let number = |name: &str| stages[at][name].as_u64().expect("a number");
            (number("calls"), number("items"), number("faults"))
        });
        assert_eq!(rules, (1, 10, 0), "{batch}");
        assert!(first.1 >= 9 && first.2 == 0, "{batch}");
        assert!(second.0 >= 2 && second.1 >= 9 && second.2 >= 1, "{batch}");
        assert!(stages.iter().all(|stage| stage["time_us"].is_u64()), "{batch}");
    }
}
