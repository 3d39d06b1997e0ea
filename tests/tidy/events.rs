//! `host/EVENTS.md` is made from `event.rs` and `event/`, and real events have the members it lists.

use std::collections::BTreeMap;

use super::documents::{assert_part, table};
use super::read;
use super::text::kebab;
use crate::harness::{Folder, guest_arg, tickets};

/// A member of an event or of a type within one.
struct Member {
    name: String,
    kind: String,
    meaning: String,
    /// The members of its type stand here instead of itself.
    flattened: bool,
}

/// An event, or a type within events.
struct Shape {
    name: String,
    meaning: String,
    members: Vec<Member>,
}

/// The types that events hold, in the order in which they are described.
const WITHIN: [&str; 9] = [
    "PlanInputs",
    "PluginUsed",
    "Counts",
    "BatchMetrics",
    "ChunkSpan",
    "PluginMetrics",
    "SwapFigures",
    "SwapDiffering",
    "ErrorReport",
];

#[test]
fn every_event_and_every_member_is_documented() {
    let structs = structs();
    let mut text = String::from("## Members of every event\n\n");
    let envelope = structs["Envelope"].members.iter().filter(|member| !member.flattened);
    text.push_str(&table(
        ["member", "type", "meaning"],
        [["`event`".to_owned(), "text".to_owned(), "Which event it is; its members follow.".to_owned()]]
            .into_iter()
            .chain(envelope.map(row)),
    ));
    text.push_str("\n## Events\n");
    for event in events(&structs) {
        text.push_str(&format!("\n### {}\n{}\n", event.name, event.meaning));
        if !event.members.is_empty() {
            text.push_str(&format!("\n{}", table(["member", "type", "meaning"], event.members.iter().map(row))));
        }
    }
    text.push_str("\n## Types within them\n");
    for name in WITHIN {
        let shape = &structs[name];
        let meaning = shape.meaning.replace("[`", "`").replace("`]", "`");
        text.push_str(&format!("\n### {name}\n{meaning}\n\n"));
        text.push_str(&table(["member", "type", "meaning"], shape.members.iter().map(row)));
    }
    assert_part("host/EVENTS.md", "events", &text);
}

/// Members that mean the same wherever they stand; the sources say nothing of them.
const EVERYWHERE: [(&str, &str); 25] = [
    ("collection", "Name of the collection."),
    ("index", "Name of the index."),
    ("batch", "Number of the batch within the run, from 0."),
    ("batches", "Batches committed."),
    ("batch_size", "Items at the most, as the plan has it."),
    ("lanes", "Chunks computed at the same time."),
    ("old_lanes", "What the plan before said; absent for the first."),
    ("first_ordinal", "Position of its first record in the input, from 0."),
    ("last_ordinal", "Position of its last record."),
    ("first_batch", "The first of them."),
    ("last_batch", "The last of them."),
    ("group", "Number of the transaction within the run, from 0."),
    ("ordinal", "Position of the item in the input, from 0."),
    ("id", "Id of the item."),
    ("items", "How many items."),
    ("attempt", "The attempt that failed, from 1."),
    ("attempts", "Attempts made."),
    ("delay_ms", "Wait before the next attempt, in milliseconds."),
    ("duration_us", "How long it took, in microseconds."),
    ("duration_ms", "How long it took, in milliseconds."),
    ("code", "Code of the problem, the plugin's own or one of CODES.md."),
    ("slot", "Slot of the plugin."),
    ("fate", "What became of it."),
    ("phase", "How far it came."),
    ("message", "In words."),
];

fn row(member: &Member) -> [String; 3] {
    // Links of the sources lead nowhere here.
    let everywhere = EVERYWHERE.iter().find(|(name, _)| *name == member.name && member.meaning.is_empty());
    let meaning = everywhere.map_or(member.meaning.as_str(), |(_, meaning)| meaning);
    assert!(!meaning.is_empty(), "host/src/event.rs does not say what {} is", member.name);
    [format!("`{}`", member.name), kind(&member.kind), meaning.replace("[`", "`").replace("`]", "`")]
}

/// A type of Rust in the words of JSON.
fn kind(rust: &str) -> String {
    if let Some(inner) = rust.strip_prefix("Option<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("{}, or null or absent", kind(inner));
    }
    if let Some(inner) = rust.strip_prefix("Vec<").and_then(|rest| rest.strip_suffix('>')) {
        return format!("list of {}", kind(inner));
    }
    if let Some(inner) = rust.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        return format!("[{}]", inner.split(", ").map(kind).collect::<Vec<_>>().join(", "));
    }
    match rust {
        "u64" | "u32" | "i64" => "integer".to_owned(),
        "f64" => "number".to_owned(),
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "Fate" => "text: `stored`, `dropped`, `rejected`, `dead-lettered`".to_owned(),
        "Phase" => "text: `decode`, `validate`, `operate`, `store`".to_owned(),
        "RunStatus" => "text: `succeeded`, `partial`, `failed`, `rolled-back`, `interrupted`".to_owned(),
        "HealthStatus" => "text: `healthy`, `degraded`, `unhealthy`".to_owned(),
        other => format!("[{other}](#{})", other.to_lowercase()),
    }
}

/// The variants of `Event`, with the members of their structs.
fn events(structs: &BTreeMap<String, Shape>) -> Vec<Shape> {
    let source = read("host/src/event.rs");
    let body = block(&source, "pub enum Event {");
    let mut events = Vec::new();
    let mut meaning = Vec::new();
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text.to_owned());
            continue;
        }
        let Some(name) =
            line.split(['(', ' ', ',']).next().filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
        else {
            continue;
        };
        let members = if let Some(inner) = line.split_once("(Box<").and_then(|(_, rest)| rest.strip_suffix(">),")) {
            inlined(&structs[inner], structs)
        } else if let Some(inner) = line.split_once("{ ").and_then(|(_, rest)| rest.strip_suffix(" },")) {
            members(&inner.replace(", ", ",\n").replace("String, u64", "String,u64"))
        } else {
            members(&lines.by_ref().take_while(|line| line.trim() != "},").collect::<Vec<_>>().join("\n"))
        };
        events.push(Shape { name: kebab(name), meaning: meaning.join(" "), members });
        meaning.clear();
    }
    assert!(events.len() > 15, "event.rs is laid out as rustfmt does");
    events
}

/// The structs of events, and those of the model that they hold.
fn structs() -> BTreeMap<String, Shape> {
    let mut structs = BTreeMap::new();
    for path in ["host/src/event.rs", "host/src/event/swap.rs", "host/src/model.rs", "host/src/model/figures.rs"] {
        let source = read(path);
        for (at, _) in source.match_indices("\npub struct ") {
            let head = source[at + 1..].lines().next().unwrap_or_default();
            let Some(name) = head.strip_prefix("pub struct ").and_then(|rest| rest.strip_suffix(" {")) else {
                continue;
            };
            let lines: Vec<&str> =
                source[..at + 1].lines().rev().take_while(|line| line.starts_with(['#', '/'])).collect();
            let meaning = lines
                .iter()
                .rev()
                .filter_map(|line| line.strip_prefix("///"))
                .map(str::trim)
                .filter(|line| !line.is_empty());
            let meaning = meaning.collect::<Vec<_>>().join(" ");
            structs.insert(
                name.to_owned(),
                Shape { name: name.to_owned(), meaning, members: members(block(&source, head)) },
            );
        }
    }
    structs
}

/// The members of a struct's or variant's body.
fn members(body: &str) -> Vec<Member> {
    let mut members = Vec::new();
    let (mut meaning, mut flattened) = (Vec::new(), false);
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("/// ") {
            meaning.push(text.to_owned());
        } else if line.starts_with("#[serde(flatten)]") {
            flattened = true;
        } else if let Some((name, kind)) = line.trim_start_matches("pub ").trim_end_matches(',').split_once(": ") {
            let (name, kind) = (name.to_owned(), kind.to_owned());
            members.push(Member {
                name,
                kind,
                meaning: std::mem::take(&mut meaning).join(" "),
                flattened: std::mem::take(&mut flattened),
            });
        }
    }
    members
}

/// A struct's members, with those of flattened ones in their place.
fn inlined(shape: &Shape, structs: &BTreeMap<String, Shape>) -> Vec<Member> {
    let copy = |member: &Member| Member {
        name: member.name.clone(),
        kind: member.kind.clone(),
        meaning: member.meaning.clone(),
        flattened: false,
    };
    let own = |member: &Member| match member.flattened {
        true => structs[&member.kind].members.iter().map(copy).collect(),
        false => vec![copy(member)],
    };
    shape.members.iter().flat_map(own).collect()
}

/// What stands between a head and the brace that closes it in the same column.
fn block<'a>(source: &'a str, head: &str) -> &'a str {
    let begin = source.find(head).unwrap_or_else(|| panic!("no {head}")) + head.len();
    let end = source[begin..].find("\n}").expect("a closing brace");
    &source[begin..begin + end]
}

#[test]
fn real_events_have_the_members_that_are_documented() {
    let structs = structs();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events(&structs) {
        known.insert(event.name, event.members.into_iter().map(|member| member.name).collect());
    }
    let common: Vec<&str> =
        structs["Envelope"].members.iter().map(|member| member.name.as_str()).chain(["event"]).collect();

    let folder = Folder::new();
    folder.write("tickets.ndjson", tickets(2000, 5));
    let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let arguments = [
        "run",
        "--input",
        "tickets.ndjson",
        "--id",
        "id",
        "--events",
        "-",
        "--index",
        "status",
        "--validator",
        &rules,
        "--plugin",
        &tidy,
    ];
    let lines = folder.atlas(arguments).run().exits(3).json_lines();
    assert!(lines.len() > 20);
    for line in lines {
        let object = line.as_object().expect("an event is an object");
        let name = object["event"].as_str().expect("an event has a name");
        let members = known.get(name).unwrap_or_else(|| panic!("the event {name} is not documented"));
        let strange: Vec<&String> =
            object.keys().filter(|key| !members.contains(key) && !common.contains(&key.as_str())).collect();
        assert!(strange.is_empty(), "{name} has members that are not documented: {strange:?}");
        let missing: Vec<&str> = common
            .iter()
            .filter(|key| **key != "event" && **key != "kind" && !object.contains_key(**key))
            .copied()
            .collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
}
