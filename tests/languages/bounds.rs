//! Tickets near the bounds of what the host lets through: nesting, length, number of members, long ids.

use super::{Pair, Which, compare, left};
use crate::harness::Folder;

/// Levels that the contract allows.
const DEPTH_MAX: usize = 128;
/// Longest body that the contract allows a plugin to answer, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A ticket with this in the place of its title, tags and notes, and these members beside them.
fn ticket(id: &str, title: &str, tags: &str, notes: &str, more: &str) -> String {
    format!(
        r#"{{"id":{id},"path":"/a","title":{title},"status":"pending","priority":3,"tags":{tags},"created":1700000000,"notes":{notes}{more}}}"#
    )
}

fn plain(more: &str) -> String {
    ticket("\"T-1\"", "\"Title\"", "[\"b\",\"A\"]", "\"n\"", more)
}

fn nested(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// Items, each near one bound. The ticket itself is one level.
fn items() -> Vec<String> {
    let text = |length: usize, piece: &str| format!("\"{}\"", piece.repeat(length / piece.len()));
    let mut items = vec![plain("")];
    for levels in [60, 100, DEPTH_MAX - 2, DEPTH_MAX - 1] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"b\":", "}]")] {
            let levels = if open.len() == 6 { levels / 2 } else { levels };
            items.push(plain(&format!(",\"x\":{}", nested(open, close, levels))));
            items.push(ticket("\"T-2\"", "\"t\"", &nested(open, close, levels), "\"n\"", ""));
            items.push(nested(open, close, levels));
        }
    }
    // An answer may have a MiB; a slug makes it a little longer than the ticket.
    for length in [BODY_BYTES_MAX / 2 - 4096, BODY_BYTES_MAX - 4096, BODY_BYTES_MAX + 4096] {
        items.push(ticket("\"T-3\"", "\"t\"", "[]", &text(length, "x"), ""));
        items.push(ticket("\"T-4\"", "\"t\"", "[]", &text(length, "\\n\\\"\\u00e4"), ""));
        items.push(ticket("\"T-5\"", "\"t\"", "[]", &text(length, "ä😀"), ""));
        items.push(ticket(&text(length, "i"), "\"t\"", "[]", "\"n\"", ""));
    }
    items.push(ticket("\"T-6\"", &text(BODY_BYTES_MAX / 2, "Ab "), "[]", "\"n\"", ""));
    // A great many members, tags, and digits.
    let members: String = (0..40_000).map(|n| format!(",\"m{n}\":{n}")).collect();
    items.push(plain(&members));
    let same: String = (0..40_000).map(|n| format!(",\"same\":{n}")).collect();
    items.push(plain(&same));
    let tags: Vec<String> = (0..40_000).map(|n| format!("\"Tag-{}\"", (n * 7919) % 30_000)).collect();
    items.push(ticket("\"T-7\"", "\"t\"", &format!("[{}]", tags.join(",")), "\"n\"", ""));
    let digits = "9".repeat(20_000);
    items.push(plain(&format!(",\"x\":{digits}")));
    items.push(plain(&format!(",\"x\":0.{digits}e-5")));
    items.push(ticket("\"T-8\"", "\"t\"", "[]", "\"n\"", "").replace("1700000000", &digits));
    items
}

pub fn hostile_tickets_near_every_bound_come_out_as_from_rust(language: &str) {
    let folder = Folder::new();
    let (wanted_of, found_of) = (Pair::rust(), Pair::of(language));
    let items = items();
    let input = folder.write("tickets.ndjson", items.join("\n") + "\n");
    // The other engine has the same sources, and needs a hundred times as long.
    let whole = [(Which::Both, 7), (Which::Tidy, 1), (Which::Rules, 1000)];
    let part = if language == "javascript-spidermonkey" { &whole[..1] } else { &whole[..] };
    for (which, call) in part.iter().copied() {
        let wanted = left(&input, &wanted_of, which, call);
        let (rows, letters) = (wanted.rows.len(), wanted.letters.len());
        assert!(rows + letters == items.len() && rows >= 4 && letters >= 4, "{rows} rows, {letters} letters");
        let found = left(&input, &found_of, which, call);
        compare(&found, &wanted, &format!("{language}, {which:?}, {call} items a call"));
    }
}
