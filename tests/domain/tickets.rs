//! Tickets and identity, byte for byte.

use serde_json::{Map, Value, json};

use crate::harness::{Folder, guest_arg, tickets};

#[test]
fn identity_gives_every_row_back_byte_for_byte() {
    let mut rows = String::from_utf8(tickets(2000, 5)).expect("text");
    // Spacing, order, doubled keys, escapes and numbers are the item's own affair.
    for (number, body) in [
        r#"  {"b": 1,   "a" : [ 1.50, -0, 1e400, 18446744073709551617 ]}"#,
        r#"{"a":1,"a":2,"\u0061":3}"#,
        r#"{"text":"\u00e4\ud83d\ude00 \/ ä😀 \u0000"}"#,
        r#""a text by itself""#,
        "12345678901234567890.12345678901234567890",
        "null",
        "[[],{},\"\"]",
    ]
    .iter()
    .enumerate()
    {
        rows.push_str(body);
        rows.push_str(if number % 2 == 0 { "\n" } else { "\r\n" });
    }
    let folder = Folder::new();
    folder.write("rows.ndjson", &rows);
    let identity = guest_arg("identity");
    let wanted: Vec<&str> = rows.lines().collect();
    for lanes in ["1", "4"] {
        let run = ["run", "-q", "--input", "rows.ndjson", "--plugin", &identity, "--lanes", lanes];
        let ran = folder.atlas([&run[..], &["--processor", "memory"]].concat()).run().exits(0);
        let found: Vec<&str> = ran.stdout.lines().collect();
        assert!(found == wanted, "{:?}", found.iter().zip(&wanted).find(|(found, wanted)| found != wanted));
    }
    let run = ["run", "-q", "--input", "rows.ndjson", "--plugin", &identity, "--id", "/id", "--missing-id", "ordinal"];
    folder.atlas(run).run().exits(0);
    let mut found: Vec<String> = folder.atlas(["export"]).run().exits(0).stdout.lines().map(str::to_owned).collect();
    let mut wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

/// What `ticket-rules` says, written anew: the code of the rule that is broken.
fn broken_rule(ticket: &Value) -> Option<&'static str> {
    const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "blocked"];
    if !(1..=200).contains(&ticket["title"].as_str()?.len()) {
        Some("TICKET_TITLE")
    } else if !STATUSES.contains(&ticket["status"].as_str()?) {
        Some("TICKET_STATUS")
    } else if ticket["priority"].as_u64()? > 9 {
        Some("TICKET_PRIORITY")
    } else if ticket["tags"].as_array()?.len() > 10 {
        Some("TICKET_TAGS")
    } else {
        None
    }
}

/// What `ticket-tidy` does, written anew.
fn tidied(ticket: &Value) -> String {
    let title = ticket["title"].as_str().expect("a title");
    let mut slug = String::new();
    for part in title.split(|char: char| !char.is_ascii_alphanumeric()) {
        slug.push_str(&part.to_ascii_lowercase());
        slug.push('-');
    }
    while slug.contains("--") {
        slug = slug.replace("--", "-");
    }
    // The last part has no separator after it; where the title ends in one, it stays.
    if title.ends_with(|char: char| char.is_ascii_alphanumeric()) {
        slug.pop();
    }
    let tags = ticket["tags"].as_array().expect("tags").iter();
    let tags: std::collections::BTreeSet<String> =
        tags.map(|tag| tag.as_str().expect("a tag").to_ascii_lowercase()).collect();
    let score = ticket["priority"].as_f64().expect("a priority") / (1.0 + tags.len() as f64);
    let mut members: Vec<(&str, Value)> =
        ["id", "path", "title", "status", "priority"].map(|name| (name, ticket[name].clone())).into();
    members.push(("tags", json!(tags)));
    members.extend(["created", "notes"].map(|name| (name, ticket[name].clone())));
    members.extend([("slug", json!(slug)), ("score", json!(score))]);
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    format!("{{{}}}", members.join(","))
}

#[test]
fn ten_thousand_tickets_come_out_as_native_code_makes_them() {
    let input = tickets(10_000, 5);
    let folder = Folder::new();
    folder.write("tickets.ndjson", &input);
    let (rules, tidy) = (guest_arg("ticket-rules"), guest_arg("ticket-tidy"));
    let run = ["run", "-q", "--input", "tickets.ndjson", "--id", "id", "--validator", &rules, "--plugin", &tidy];
    folder.atlas([&run[..], &["--output", "json"]].concat()).run().exits(3);

    let (mut wanted, mut wanted_letters) = (Vec::new(), Map::new());
    for line in input.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let ticket: Value = serde_json::from_slice(line).expect("JSON");
        let id = ticket["id"].as_str().expect("an id").to_owned();
        match broken_rule(&ticket) {
            Some(code) => {
                wanted_letters.insert(id, code.into());
            }
            None => wanted.push((id, tidied(&ticket))),
        }
    }
    assert!((400..600).contains(&wanted_letters.len()), "5 % of 10,000 are invalid: {}", wanted_letters.len());
    wanted.sort();
    let exported = folder.atlas(["export"]).run().exits(0).stdout;
    let found: Vec<&str> = exported.lines().collect();
    let wanted: Vec<&str> = wanted.iter().map(|(_, body)| body.as_str()).collect();
    assert!(found == wanted, "{:?}", found.iter().zip(&wanted).find(|(found, wanted)| found != wanted));

    let letters = folder.atlas(["dead-letters", "list", "--limit", "0", "--output", "json"]).run().exits(0);
    let found: Map<String, Value> = letters
        .json_lines()
        .into_iter()
        .map(|letter| (letter["item"].as_str().expect("an id").to_owned(), letter["code"].clone()))
        .collect();
    assert_eq!(found, wanted_letters);
}
