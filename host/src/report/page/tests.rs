//! The page as a whole: what it says, what it never has, and how large it is.

use super::page;
use crate::report::testing::{report, sources};
use crate::report::{Report, Sources};

/// What would make a browser run or fetch something.
const NEVER: [&str; 9] = ["<script", "http", "src=", "url(", "@import", "<link", "<iframe", "<object", "onload="];

#[test]
fn hostile_texts_stay_texts() {
    let said = "</style></title><script>alert(\"1\")</script><img onerror=alert(1) x='\u{202e}'>&amp;";
    let page = page(&report(7, said));
    for never in ["<script", "<img", "onerror=alert(1) x='\u{202e}'>"] {
        assert!(!page.contains(never), "{never}");
    }
    assert_eq!(page.matches("</style>").count(), 1);
    assert_eq!(page.matches("</title>").count(), page.matches("<title>").count());
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;") && page.contains("&amp;amp;"));
}

#[test]
fn the_page_asks_for_nothing() {
    let page = page(&report(7, "because"));
    assert!(page.starts_with("<!DOCTYPE html>"));
    for never in NEVER {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn every_part_is_there_in_its_order() {
    let page = page(&report(7, "because"));
    let parts = ["throughput", "controller", "timeline", "latency", "time", "problems", "plugins", "history"];
    let places: Vec<Option<usize>> = parts.iter().map(|part| page.find(&format!("<section id=\"{part}\">"))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    assert!(!page.contains("id=\"recommendations\""), "left out where there are none");
    for said in [
        "partial",
        "630",
        "70",
        "trying 200, because",
        "HIGH_ERROR_RATE",
        "CODE_1",
        "◆ run 5",
        "batch 99 was not committed",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn a_page_is_bounded_however_long_the_run() {
    for batches in [0, 1, 241, 30_000] {
        let page = page(&report(batches, "because"));
        assert!(page.len() < 1_000_000, "{batches}: {}", page.len());
        assert!(!page.contains("NaN"), "{batches}");
    }
    assert!(page(&report(30_000, "")).contains("the other 29,"), "tells what is left out");
}

#[test]
fn more_changes_of_plan_than_are_shown_are_counted() {
    let mut sources: Sources = sources(1000, "because");
    let one = sources.plans[0].clone();
    sources.plans =
        (0..1000).map(|n| crate::store::PlanRow { batch: crate::model::BatchNumber(n), ..one.clone() }).collect();
    let page = page(&Report::of(sources));
    assert!(page.contains("760 changes of plan in between are left out"));
    assert!(page.len() < 1_000_000, "{}", page.len());
}

#[test]
fn the_same_report_is_there_for_programs() {
    let json = serde_json::to_value(report(7, "because")).expect("JSON");
    assert_eq!(json["schema"], 1);
    assert_eq!((&json["run"]["read"], &json["run"]["rejected"]), (&700.into(), &70.into()));
    assert_eq!(json["controller"]["plans"][1]["cpu_share"], 0.9);
    assert_eq!(json["controller"]["health"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["timeline"]["abandoned"][0]["batch"], 99);
}
