//! `runs report`: a page that says what `runs show` says, and is complete in itself.

use std::io::{BufRead, BufReader, Write};

use serde_json::Value;

use super::{MIXED, mixed_arguments, numbered, plain_run, with_store, words};
use crate::harness::Folder;

/// Makes the page with further words; gives its text.
#[track_caller]
fn page(folder: &Folder, further: &str) -> String {
    words(folder, &format!("runs report {further} -o report.html")).exits(0).says("report of run").says("report.html");
    folder.read("report.html")
}

#[test]
fn the_report_of_a_mixed_run_has_the_numbers_of_runs_show() {
    let folder = with_store();
    let page = page(&folder, "");
    for said in ["Run 1", "partial", "3 inserted", "3 (37.5 %)", "2 (25.0 %)", "1 (12.5 %)", "blake3:"] {
        assert!(page.contains(said), "{said}");
    }
    let show = words(&folder, "runs show --output json").exits(0).json();
    let report = words(&folder, "runs report --output json").exits(0).json();
    for name in ["uuid", "read", "stored", "rejected", "dead_lettered", "dropped", "inserted", "retries", "duration_ms"]
    {
        assert_eq!(report["run"][name], show[name], "{name}");
    }
    let codes: Vec<&str> =
        report["problems"].as_array().expect("a list").iter().filter_map(|p| p["code"].as_str()).collect();
    let letters = words(&folder, "dead-letters list --output json").exits(0).json_lines();
    assert_eq!(codes.len(), letters.len());
    assert!(codes.iter().all(|code| page.contains(code)), "{codes:?}");
    let slots: Vec<&Value> = report["plugins"].as_array().expect("a list").iter().map(|p| &p["did"]["slot"]).collect();
    assert_eq!(slots, ["rules", "work"]);
}

#[test]
fn the_page_is_complete_in_itself() {
    let folder = with_store();
    let page = page(&folder, "1");
    for never in ["http", "src=", "url(", "<script", "@import", "<link"] {
        assert!(!page.contains(never), "{never}");
    }
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
}

#[test]
fn hostile_input_is_shown_as_text() {
    let folder = Folder::new();
    let line = r#"<script>alert("x")</script>"#;
    let item = r#"{"id":"<img src=x onerror='alert(1)'>","fault":"reject","text":"</td></table><script>"}"#;
    folder.write("a<b>&\"c\".ndjson", format!("{line}\n{item}\n{MIXED}"));
    let mut arguments = mixed_arguments();
    let input = arguments.iter().position(|word| word == "mixed.ndjson").expect("the input");
    arguments[input] = "a<b>&\"c\".ndjson".to_owned();
    folder.atlas(&arguments).run().exits(3);
    let page = page(&folder, "");
    assert!(!page.contains("<script") && !page.contains("<img") && !page.contains("a<b>"), "markup of the input");
    assert!(page.contains("&lt;script&gt;") && page.contains("a&lt;b&gt;&amp;&quot;c&quot;.ndjson"));
}

#[test]
fn a_run_of_no_items_has_a_report() {
    let folder = Folder::new();
    folder.write("in.ndjson", "");
    plain_run(&folder, "-q").run().exits(0);
    let page = page(&folder, "");
    assert!(page.contains("No item was read") && page.contains("✓ succeeded"));
    assert!(!page.contains("id=\"throughput\""), "nothing to draw");
}

#[test]
fn the_report_of_a_failed_run_says_why_and_what_to_do() {
    let folder = Folder::new();
    folder.write("in.json", r#"[{"id":"a"},{"id":"b"},{"id":"#);
    words(&folder, "run --input in.json --id id -q").exits(7);
    let show = words(&folder, "runs show --output json").exits(0).json();
    let page = page(&folder, "");
    let code = show["error"]["code"].as_str().expect("it failed");
    assert!(page.contains(code) && page.contains("What to do: ") && page.contains("✕ failed"), "{show}");
}

#[test]
fn a_run_at_work_has_a_report_of_what_is_committed() {
    let folder = Folder::new();
    let line = "run --input - --format ndjson --id id --batch-wait 10ms -q --events -";
    let mut child = folder.atlas(line.split(' ')).start();
    let mut events = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let stdin = child.stdin.as_mut().expect("a pipe");
    stdin.write_all(numbered(50).as_bytes()).and_then(|()| stdin.flush()).expect("the run reads");
    let mut recording = String::new();
    let mut committed = 0;
    while committed < 50 {
        let line = events.next().expect("the run goes on").expect("a line");
        let event: Value = serde_json::from_str(&line).expect("an event");
        if event["event"] == "batch-committed" {
            committed += event["read"].as_u64().expect("a count");
        }
        recording += &(line + "\n");
    }
    folder.write("events.ndjson", recording + "{\"schema\":1,\"se");
    let page = page(&folder, "--events events.ndjson");
    assert!(page.contains("▶ running") && page.contains("The run is at work"));
    assert!(page.contains("50 (100 %)") && page.contains("1 lines of the recording could not be read"));
    drop(child.stdin.take());
    events.for_each(drop);
    child.wait().expect("the run ends");
}

#[test]
fn a_long_run_has_a_page_of_bounded_size_that_says_what_is_left_out() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(10_000));
    plain_run(&folder, "-q --batch-size 1 --strategy sequential --durability normal --events events").run().exits(0);
    let page = page(&folder, "--events events");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    assert!(page.contains("The first 80 batches") && page.contains("The last 80 batches"));
    assert!(page.contains("are left out"));
    let report = words(&folder, "runs report --output json").exits(0).json();
    let left_out = report["timeline"]["left_out"].as_u64().expect("a number");
    let parts = report["timeline"]["parts"].as_array().expect("a list");
    let drawn: u64 = parts.iter().map(|part| part["batches"].as_array().map_or(0, |list| list.len() as u64)).sum();
    assert_eq!(drawn + left_out, 10_000);
    let steps = report["throughput"]["steps"].as_array().expect("a list");
    let width = report["throughput"]["step_us"].as_f64().expect("a number");
    let rates = steps.iter().filter_map(|step| step["items_per_s"].as_f64());
    let items: f64 = rates.map(|rate| rate * width / 1e6).sum();
    assert!(steps.len() <= 160 && items > 9900.0, "{} steps, {items} items", steps.len());
}

#[test]
fn earlier_runs_of_the_job_stand_beside_it() {
    let folder = Folder::new();
    folder.write("in.ndjson", numbered(30));
    plain_run(&folder, "-q").run().exits(0);
    for _ in 0..2 {
        plain_run(&folder, "-q --again").run().exits(0);
    }
    let page = page(&folder, "3");
    assert!(page.contains("The last 3 runs of the same job; this one is run 3"));
    let report = words(&folder, "runs report 2 --output json").exits(0).json();
    let runs: Vec<u64> =
        report["history"]["runs"].as_array().expect("a list").iter().filter_map(|run| run["run"].as_u64()).collect();
    assert_eq!(runs, [1, 2], "later ones are left out");
    assert!(report["recommendations"]["batch_size"]["value"].is_u64(), "{}", report["recommendations"]);
}

#[test]
fn what_cannot_be_reported_is_refused() {
    let folder = with_store();
    words(&folder, "runs report 7 -o r.html").exits(2).says("there is no run 7");
    words(&folder, "runs report -o r.html --store none.db").exits(5);
    words(&folder, "runs report -o atlas.db").exits(2).says("is the store itself");
    words(&folder, "runs report -o no/such/r.html").exits(5).says("error[STORAGE_2002]").says("no/such/r.html");
    words(&folder, "runs report -o r.html --events none").exits(2).says("error[CONFIG_3001]").says("none");
    folder.write("other.ndjson", r#"{"schema":1,"seq":0,"time_ms":0,"elapsed_us":0,"run":1,"event":"run-started"}"#);
    words(&folder, "runs report -o r.html --events other.ndjson").exits(2).says("has no events of run 1");
    assert!(!folder.at("r.html").exists());
    let stdout = words(&folder, "runs report").exits(0).stdout;
    assert!(stdout.starts_with("<!DOCTYPE html>") && stdout.ends_with("</html>\n"));
}
