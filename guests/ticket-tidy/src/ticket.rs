//! A ticket, and what tidying does to it. Texts without escapes stay where
//! they are in the body; only what changes is copied.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What a tidied ticket may be longer by than the one it came from, in bytes:
/// the names of two fields, a score, and a slug about as long as a title.
const GROWTH_BYTES: usize = 128;

/// The tidied form of the ticket `body`: the fields `id`, `path`, `title`,
/// `status`, `priority`, `tags`, `created`, `notes`, `slug`, `score` in this
/// order and nothing else, as compact JSON.
///
/// `slug` is the title in ASCII lower case with `-` for every run of other
/// characters; `tags` are in ASCII lower case, sorted, without repeats;
/// `score` is the priority over one plus the number of tags left.
///
/// # Errors
/// `body` lacks a field or has one of the wrong type.
pub fn tidy(body: &str) -> serde_json::Result<String> {
    let mut ticket: Ticket = serde_json::from_str(body)?;
    ticket.slug = Cow::Owned(slug(&ticket.title.0));
    for tag in &mut ticket.tags {
        if tag.0.bytes().any(|byte| byte.is_ascii_uppercase()) {
            tag.0.to_mut().make_ascii_lowercase();
        }
    }
    ticket.tags.sort_unstable();
    ticket.tags.dedup();
    ticket.score = f64::from(ticket.priority) / (1.0 + ticket.tags.len() as f64);

    let mut tidied = Vec::with_capacity(body.len() + GROWTH_BYTES);
    serde_json::to_writer(&mut tidied, &ticket)?;
    Ok(String::from_utf8(tidied).expect("serde_json writes UTF-8 only"))
}

fn slug(title: &str) -> String {
    let mut slug = String::with_capacity(title.len());
    for char in title.chars() {
        if char.is_ascii_alphanumeric() {
            slug.push(char.to_ascii_lowercase());
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug
}

#[derive(Serialize, Deserialize)]
struct Ticket<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    path: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    priority: u32,
    #[serde(borrow)]
    tags: Vec<Text<'a>>,
    created: u64,
    #[serde(borrow)]
    notes: Text<'a>,
    // Both are computed; a value in the input has to be of the right type only.
    #[serde(default, borrow)]
    slug: Cow<'a, str>,
    #[serde(default)]
    score: f64,
}

/// A string that borrows from the body even as an element of a list, where
/// serde would copy a bare `Cow`.
#[derive(Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_gets_its_slug_tags_and_score_in_a_fixed_field_order() {
        let body = r#"{"notes":"n","path":"project-1/epic-1/task-1","id":"t-0000001","title":"Implement Feature #1: the Quick brown Fox","status":"pending","priority":3,"tags":["URGENT","Backend","urgent"],"created":1700000001,"extra":1}"#;
        assert_eq!(
            tidy(body).unwrap(),
            r#"{"id":"t-0000001","path":"project-1/epic-1/task-1","title":"Implement Feature #1: the Quick brown Fox","status":"pending","priority":3,"tags":["backend","urgent"],"created":1700000001,"notes":"n","slug":"implement-feature-1-the-quick-brown-fox","score":1.0}"#
        );
    }

    #[test]
    fn escapes_survive_and_only_ascii_is_lowered() {
        let body = r#"{"id":"\u0041\n","path":"p","title":"\u00c4\"B","status":"s","priority":1,"tags":["\u00c4B"],"created":0,"notes":"\ud83d\ude00"}"#;
        assert_eq!(
            tidy(body).unwrap(),
            "{\"id\":\"A\\n\",\"path\":\"p\",\"title\":\"Ä\\\"B\",\"status\":\"s\",\"priority\":1,\"tags\":[\"Äb\"],\"created\":0,\"notes\":\"😀\",\"slug\":\"-b\",\"score\":0.5}"
        );
    }

    #[test]
    fn tidying_twice_changes_nothing_more() {
        let once = tidy(
            r#"{"id":"i","path":"p","title":"A  b","status":"s","priority":9,"tags":["Z","a"],"created":1,"notes":""}"#,
        )
        .unwrap();
        assert_eq!(tidy(&once).unwrap(), once);
    }

    #[test]
    fn what_is_no_ticket_is_an_error() {
        assert!(tidy("{}").is_err());
        assert!(tidy("[").is_err());
        assert!(tidy(r#"{"id":1}"#).is_err());
    }
}
