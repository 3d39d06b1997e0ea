//! The rules of a ticket. A ticket that keeps them costs no allocation
//! unless its texts contain escapes.

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Longest title, in bytes.
pub const TITLE_BYTES_MAX: usize = 200;
/// Highest priority.
pub const PRIORITY_MAX: u32 = 9;
/// Most tags of one ticket.
pub const TAGS_MAX: usize = 10;
/// The legal values of `status`.
pub const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "blocked"];

/// One rule that a ticket breaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// `TICKET_` and the field, or `TICKET_SHAPE` where the body is no ticket.
    pub code: &'static str,
    /// What was found and what was wanted.
    pub message: String,
    /// JSON pointer to the field; empty for the whole ticket.
    pub pointer: &'static str,
}

/// All rules that the ticket `body` breaks, in the order of the fields.
/// Empty for a good ticket.
pub fn judge(body: &str) -> Vec<Broken> {
    match serde_json::from_str::<Ticket>(body) {
        Ok(ticket) => broken_rules(&ticket),
        Err(error) => vec![Broken { code: "TICKET_SHAPE", message: format!("not a ticket: {error}"), pointer: "" }],
    }
}

fn broken_rules(ticket: &Ticket) -> Vec<Broken> {
    let mut broken = Vec::new();
    let mut add = |code, pointer, message| {
        broken.push(Broken { code, message, pointer });
    };
    let title_bytes = ticket.title.len();
    if title_bytes == 0 || title_bytes > TITLE_BYTES_MAX {
        let message = format!("title has {title_bytes} bytes, wanted 1 to {TITLE_BYTES_MAX}");
        add("TICKET_TITLE", "/title", message);
    }
    if !STATUSES.contains(&&*ticket.status) {
        let message = format!("status is {:?}, wanted one of {}", ticket.status, STATUSES.join(", "));
        add("TICKET_STATUS", "/status", message);
    }
    if ticket.priority > PRIORITY_MAX {
        let message = format!("priority is {}, wanted 0 to {PRIORITY_MAX}", ticket.priority);
        add("TICKET_PRIORITY", "/priority", message);
    }
    if ticket.tags.0 > TAGS_MAX {
        let message = format!("{} tags, wanted at most {TAGS_MAX}", ticket.tags.0);
        add("TICKET_TAGS", "/tags", message);
    }
    broken
}

/// A ticket as far as the rules look at it. Every other field is read for its
/// type alone, so that what is no ticket is refused whichever field is wrong.
#[derive(Deserialize)]
struct Ticket<'a> {
    #[serde(rename = "id")]
    _id: AnyText,
    #[serde(rename = "path")]
    _path: AnyText,
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    priority: u32,
    tags: TextCount,
    #[serde(rename = "created")]
    _created: u64,
    #[serde(rename = "notes")]
    _notes: AnyText,
    #[serde(default, rename = "slug")]
    _slug: AnyText,
    #[serde(default, rename = "score")]
    _score: f64,
}

/// A string whose content does not matter.
#[derive(Default)]
struct AnyText;

/// How many strings a list holds; anything but strings in it is an error.
struct TextCount(usize);

impl<'de> Deserialize<'de> for AnyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = AnyText;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<AnyText, E> {
                Ok(AnyText)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for TextCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = TextCount;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<TextCount, A::Error> {
                let mut count = 0;
                while list.next_element::<AnyText>()?.is_some() {
                    count += 1;
                }
                Ok(TextCount(count))
            }
        }
        deserializer.deserialize_seq(Texts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(title: &str, status: &str, priority: u64, tags: usize) -> String {
        let tags = vec!["\"t\""; tags].join(",");
        format!(
            r#"{{"id":"t-1","path":"a/b","title":{title:?},"status":"{status}","priority":{priority},"tags":[{tags}],"created":1,"notes":"n"}}"#
        )
    }

    fn codes(body: &str) -> Vec<&'static str> {
        judge(body).iter().map(|broken| broken.code).collect()
    }

    #[test]
    fn a_good_ticket_breaks_no_rule_up_to_each_limit() {
        assert_eq!(judge(&ticket(&"x".repeat(200), "failed", 9, 10)), []);
        assert_eq!(judge(&ticket("x", "pending", 0, 0)), []);
    }

    #[test]
    fn each_rule_has_its_code_and_all_broken_ones_are_named() {
        assert_eq!(codes(&ticket("", "pending", 0, 0)), ["TICKET_TITLE"]);
        assert_eq!(codes(&ticket(&"x".repeat(201), "pending", 0, 0)), ["TICKET_TITLE"]);
        assert_eq!(
            codes(&ticket("", "nope", 99, 11)),
            ["TICKET_TITLE", "TICKET_STATUS", "TICKET_PRIORITY", "TICKET_TAGS"]
        );
    }

    #[test]
    fn the_title_is_measured_in_bytes_of_the_decoded_text() {
        let escaped = ticket("x", "pending", 0, 0).replace("\"x\"", &format!("\"{}\"", "\\u00e4".repeat(101)));
        assert_eq!(codes(&escaped), ["TICKET_TITLE"]);
        let fits = ticket("x", "pending", 0, 0).replace("\"x\"", &format!("\"{}\"", "\\u00e4".repeat(100)));
        assert_eq!(judge(&fits), []);
    }

    #[test]
    fn a_missing_doubled_or_mistyped_field_is_no_ticket() {
        let good = ticket("x", "pending", 0, 1);
        for (from, to) in [
            (r#""id":"t-1","#, ""),
            (r#""id":"t-1""#, r#""id":7"#),
            (r#""created":1"#, r#""created":-1"#),
            (r#""notes":"n""#, r#""notes":"n","notes":"n""#),
            (r#""notes":"n""#, r#""notes":null"#),
            (r#"["t"]"#, "[1]"),
            (r#""priority":0"#, r#""priority":4294967296"#),
            (r#""notes":"n""#, r#""notes":"n","score":"high""#),
        ] {
            let body = good.replacen(from, to, 1);
            assert_ne!(body, good);
            assert_eq!(codes(&body), ["TICKET_SHAPE"], "{body}");
        }
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let more = ticket("x", "pending", 0, 0).replacen('{', r#"{"extra":[1,{"a":null}],"#, 1);
        assert_eq!(judge(&more), []);
    }
}
