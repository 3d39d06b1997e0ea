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

/// The parts after the tiles, in their order.
const PARTS: [&str; 9] =
    ["throughput", "controller", "timeline", "latency", "time", "problems", "plugins", "history", "recommendations"];

fn page_without_recommendations() -> String {
    page(&Report::of(Sources { recommendations: None, ..sources(7, "because") }))
}

#[test]
fn every_link_leads_to_a_part_of_the_page() {
    for page in [page(&report(7, "because")), page_without_recommendations(), page(&report(0, ""))] {
        for link in page.split("href=\"#").skip(1) {
            let anchor = link.split('"').next().expect("an end");
            assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
        }
    }
}

#[test]
fn plugins_that_were_exchanged_are_marked_and_listed_with_their_reasons() {
    let page = page(&report(7, "because"));
    for said in [
        "Plugins exchanged",
        "slot tidy: tidy-2.wasm took effect",
        "was refused: the one before goes on</b>: 3 of 200 items fail with it (GUEST_10001)",
        "class=\"swap-sign\"",
        "class=\"swap-sign hollow\"",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn what_the_run_measured_of_itself_is_told() {
    let page = page(&report(7, "because"));
    for said in [
        "lanes without work",
        "host calls of plugins",
        "back-pressure",
        "96.0 MiB of the process at the most",
        "2 × GUEST_10001",
        "from the cache",
        "4.0 MiB",
        "best fixed 300",
        "bound 20",
        "2 built at the end of the load",
        "over all 1,000 items of the 2 runs",
        "<a href=\"#controller\">the plans</a>",
    ] {
        assert!(page.contains(said), "{said}");
    }
}

#[test]
fn colour_is_never_the_only_sign() {
    let page = page(&report(7, "because"));
    let timeline = page.split("<section id=\"timeline\">").nth(1).and_then(|rest| rest.split("</section>").next());
    let timeline = timeline.expect("the part");
    let legend = timeline.split("<ul class=\"legend\">").nth(1).and_then(|rest| rest.split("</ul>").next());
    let entries: Vec<String> = legend
        .expect("a legend")
        .split("<li>")
        .filter(|entry| entry.contains("<rect"))
        // Without the colour, and without the words: what is left are heights and textures.
        .map(|entry| {
            let drawn = entry.split("</desc>").nth(1).and_then(|rest| rest.split("</svg>").next()).expect("a drawing");
            drawn
                .split('"')
                .enumerate()
                .filter(|(i, part)| i % 2 == 0 || !part.starts_with("f-"))
                .map(|(_, p)| p)
                .collect()
        })
        .collect();
    assert_eq!(entries.len(), 5);
    for (i, one) in entries.iter().enumerate() {
        assert!(!entries[i + 1..].contains(one), "{one}");
    }
    // What the words of the drawing say of the signs is what is drawn.
    assert!(timeline.contains("validators with lines at 70 %") && timeline.contains("commit crossed at full height"));
    assert!(!page.contains("COMMIT outlined"));
}

#[test]
fn every_part_is_there_in_its_order() {
    let page = page(&report(7, "because"));
    // Tiles first, then the parts as they are listed in the issue of the report.
    let mut places = vec![page.find("<div class=\"tiles\">")];
    places.extend(PARTS.iter().map(|part| page.find(&format!("<section id=\"{part}\">"))));
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    assert_eq!(page.matches("<section").count(), PARTS.len() + 1, "and no other");
    let without = page_without_recommendations();
    assert!(!without.contains("id=\"recommendations\""), "left out where there are none");
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
