//! Judges one record: is it an item, and under which key.
//!
//! A body is strict JSON in UTF-8 as serde_json reads it (most are judged by `scan`, which is faster), of any type, nested [`JSON_DEPTH_MAX`] deep at the most.
//! Numbers are checked as text and never converted, so no range or precision is lost. An escape for half a surrogate
//! pair is refused: no Unicode text holds one, and languages disagree on what to make of it (RFC 8259, 8.2).
//! Duplicate members are let through; the first one counts for the id.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use crate::error::Code;
use crate::limits::{ID_BYTES_MAX, JSON_DEPTH_MAX};
use crate::model::{Pointer, Problem};

use super::Raw;
use super::scan::{Scanned, scan};

/// What becomes of an item whose pointer leads to nothing, or to null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingId {
    /// It is refused (VALIDATION_4002).
    #[default]
    Reject,
    /// Its ordinal is its id.
    Ordinal,
}

/// Judges records by one rule for their ids.
#[derive(Debug, Clone)]
pub struct Decoder {
    id: Option<Pointer>,
    missing: MissingId,
}

/// A record that is an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Key, 1 to [`ID_BYTES_MAX`] bytes without NUL; none: the ordinal, in decimal.
    pub id: Option<Cow<'a, str>>,
    /// The body, byte for byte.
    pub body: &'a str,
}

impl Decoder {
    /// Without `id`, and where the record brings no id itself, the ordinal is the id.
    pub fn new(id: Option<Pointer>, missing: MissingId) -> Self {
        Self { id, missing }
    }

    /// Judges one record. The id is what the source brought, else what the pointer leads to: a string's text, or a
    /// number's digits as they stand.
    ///
    /// # Errors
    /// A problem with code VALIDATION_4004 (no UTF-8, no strict JSON), 4005 (nested too deep, id too long) or 4002
    /// (id missing, of another type, empty, or with a NUL).
    pub fn judge<'a>(&self, raw: &Raw<'a>) -> Result<Decoded<'a>, Problem> {
        let body = std::str::from_utf8(raw.bytes).map_err(|e| not_utf8(raw.bytes, e))?;
        let pointer = if raw.id.is_none() { self.id.as_ref() } else { None };
        let found = judge(body, pointer)?;
        let id = match (raw.id, pointer) {
            (Some(id), _) => Some(Cow::Borrowed(id)),
            (None, None) => None,
            (None, Some(pointer)) => match found.map(Found::of) {
                Some(Found::Id(id)) => Some(id),
                None | Some(Found::Null) if self.missing == MissingId::Ordinal => None,
                None => return Err(no_id(pointer, "nothing")),
                Some(Found::Null) => return Err(no_id(pointer, "null")),
                Some(Found::Other(what)) => return Err(no_id(pointer, what)),
            },
        };
        if let Some(id) = &id {
            check_id(id, pointer)?;
        }
        Ok(Decoded { id, body })
    }
}

/// Judges a body that somebody else made: strict JSON, not nested too deep.
///
/// # Errors
/// A problem with code VALIDATION_4004 or 4005.
pub fn judge_body(text: &str) -> Result<(), Problem> {
    judge(text, None).map(drop)
}

/// The id that a pointer leads to in a JSON text; none if there is none, or the text is no strict JSON.
pub fn id_at<'a>(text: &'a str, pointer: &Pointer) -> Option<Cow<'a, str>> {
    match Found::of(judge(text, Some(pointer)).ok()??) {
        Found::Id(id) => Some(id),
        Found::Null | Found::Other(_) => None,
    }
}

/// Checks a text and finds the value that the pointer leads to, as it stands.
fn judge<'a>(text: &'a str, pointer: Option<&Pointer>) -> Result<Option<&'a str>, Problem> {
    match scan(text, pointer.map_or(&[], Pointer::tokens)) {
        Some(Scanned { found, escapes: false }) => Ok(found),
        Some(Scanned { found, escapes: true }) => whole_characters(text).map(|()| found),
        None => judge_at_length(text, pointer),
    }
}

/// The same for a text that the scan leaves to serde_json, whose message says what is wrong with it.
fn judge_at_length<'a>(text: &'a str, pointer: Option<&Pointer>) -> Result<Option<&'a str>, Problem> {
    if too_deep(text.as_bytes()) {
        let message = format!("nested deeper than {JSON_DEPTH_MAX} levels");
        return Err(Problem::of_host(Code::OverBound, message));
    }
    let (first, rest) = match pointer {
        Some(pointer) => pointer.tokens().split_first().map_or((None, &[][..]), |(f, r)| (Some(f), r)),
        None => (None, &[][..]),
    };
    let read = || -> serde_json::Result<Option<&'a str>> {
        let mut found = child(text, first.map(String::as_str))?;
        for token in rest {
            let Some(value) = found else { break };
            found = child(value, Some(token))?;
        }
        Ok(found)
    };
    let found = read().map_err(|e| Problem::of_host(Code::Undecodable, format!("no valid JSON: {e}")))?;
    whole_characters(text).map(|()| found)
}

/// Refuses escapes for half a surrogate pair.
fn whole_characters(text: &str) -> Result<(), Problem> {
    match lone_surrogate(text.as_bytes()) {
        None => Ok(()),
        Some(at) => {
            let message =
                format!("no valid text: the escape `{}` at byte {at} is half a surrogate pair", &text[at..at + 6]);
            Err(Problem::of_host(Code::Undecodable, message))
        }
    }
}

/// Checks a whole text, and gives the raw value of the first member (or of the element) that `token` names.
fn child<'a>(text: &'a str, token: Option<&str>) -> serde_json::Result<Option<&'a str>> {
    let mut json = Deserializer::from_str(text);
    let first = text.bytes().find(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r'));
    let found = match (token, first) {
        (Some(token), Some(b'{')) => json.deserialize_map(Child(token))?,
        (Some(token), Some(b'[')) => json.deserialize_seq(Child(token))?,
        _ => {
            json.deserialize_ignored_any(IgnoredAny)?;
            None
        }
    };
    json.end()?;
    Ok(found.map(RawValue::get))
}

/// Visits an object or an array, keeping one value as it stands and the others not at all.
struct Child<'t>(&'t str);

impl<'de> Visitor<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while let Some(hit) = map.next_key_seed(Is(self.0))? {
            if hit {
                let value = map.next_value()?;
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                return Ok(Some(value));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let wanted = index(self.0);
        let (mut value, mut at) = (None, 0);
        loop {
            if wanted == Some(at) {
                value = seq.next_element()?;
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(value);
            }
            at += 1;
        }
    }
}

/// An index as RFC 6901 writes it: no sign, no leading zero.
fn index(token: &str) -> Option<usize> {
    let legal = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    if legal { token.parse().ok() } else { None }
}

/// Compares a key, without keeping it.
struct Is<'t>(&'t str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(text == self.0)
    }
}

/// What a pointer led to.
enum Found<'a> {
    Id(Cow<'a, str>),
    Null,
    Other(&'static str),
}

impl<'a> Found<'a> {
    fn of(raw: &'a str) -> Self {
        match raw.as_bytes()[0] {
            b'"' if memchr::memchr(b'\\', raw.as_bytes()).is_none() => Self::Id(Cow::Borrowed(&raw[1..raw.len() - 1])),
            // Unreadable only for half a surrogate pair, and a record with one was refused before.
            b'"' => serde_json::from_str(raw).map_or(Self::Other("a broken string"), |s| Self::Id(Cow::Owned(s))),
            b'-' | b'0'..=b'9' => Self::Id(Cow::Borrowed(raw)),
            b'{' => Self::Other("an object"),
            b'[' => Self::Other("an array"),
            b't' | b'f' => Self::Other("a boolean"),
            _ => Self::Null,
        }
    }
}

fn check_id(id: &str, pointer: Option<&Pointer>) -> Result<(), Problem> {
    let (code, what) = match id.len() {
        0 => (Code::ValidationInput, "the id is empty".to_owned()),
        bytes if bytes > ID_BYTES_MAX => {
            (Code::OverBound, format!("the id is {bytes} bytes long, the bound is {ID_BYTES_MAX} bytes"))
        }
        _ => match memchr::memchr(0, id.as_bytes()) {
            Some(at) => (Code::ValidationInput, format!("the id holds a NUL character at byte {at}")),
            None => return Ok(()),
        },
    };
    let mut problem = Problem::of_host(code, what);
    problem.pointer = pointer.map(|p| p.as_str().to_owned()).unwrap_or_default();
    Err(problem)
}

fn no_id(pointer: &Pointer, found: &str) -> Problem {
    let message = format!("no id: a string or a number is wanted at {pointer}, found {found}");
    let mut problem = Problem::of_host(Code::ValidationInput, message);
    problem.pointer = pointer.as_str().to_owned();
    problem.details.push(("found".to_owned(), found.to_owned()));
    problem
}

fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Problem {
    let at = error.valid_up_to();
    let message = format!("no UTF-8: bad byte 0x{:02x} at byte {at}", bytes[at]);
    Problem::of_host(Code::Undecodable, message)
}

/// True if brackets outside strings are nested over the bound. Texts with few brackets, the usual ones, are told by
/// counting them.
fn too_deep(bytes: &[u8]) -> bool {
    let openers: usize =
        bytes.chunks(128).map(|c| usize::from(c.iter().map(|&b| u8::from(b | 0x20 == b'{')).sum::<u8>())).sum();
    if openers <= JSON_DEPTH_MAX {
        return false;
    }
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(bytes, at + 1),
            _ => {}
        }
        if depth > JSON_DEPTH_MAX {
            return true;
        }
        at += 1;
    }
    false
}

/// Index of the quote that closes the string whose content begins at `at`, or the end.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]) else { return bytes.len() };
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// Where the first escape for half a surrogate pair stands in a valid JSON text.
fn lone_surrogate(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr(b'\\', &bytes[at..])?;
        at += match escaped_unit(bytes, at) {
            Some(0xd800..=0xdbff) if matches!(escaped_unit(bytes, at + 6), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => return Some(at),
            Some(_) => 6,
            None => 2,
        };
    }
}

/// The unit that `\uXXXX` at `at` stands for.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u16::from_str_radix(std::str::from_utf8(escape).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
