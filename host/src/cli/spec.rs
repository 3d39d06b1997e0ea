//! Texts that several commands read or show: index definitions and values that users type, times and fields that they see.

use std::borrow::Cow;

use super::print::{Printer, table, talk, width};
use crate::error::{Code, Error, Result};
use crate::model::{IndexSpec, Name, Pointer, printable};
use crate::store::IndexKey;

/// Longest [`Name`], in bytes.
const NAME_BYTES_MAX: usize = 63;
/// What a table's last column keeps on a narrow terminal, in characters.
const LAST_COLUMN_CHARS_MIN: usize = 24;

/// Reads `[COLLECTION:][NAME=]POINTER`.
///
/// Both prefixes are looked for before the first slash only, so a member whose name has `:` or `=` in it is written
/// with a slash: `/dc:title`. The default NAME is the pointer's last token, made legal.
/// Errors: what is wrong, in words, for clap to show.
pub fn index_spec(text: &str, unique: bool) -> Result<IndexSpec, String> {
    let (collection, rest) = prefix(text, ':', "collection")?;
    let (name, rest) = prefix(rest, '=', "index")?;
    let pointer = Pointer::parse(rest).ok_or_else(|| {
        if rest.is_empty() {
            "the pointer is missing: write a member name such as status, or a JSON pointer such as /meta/status"
                .to_owned()
        } else {
            format!("{rest:?} is no JSON pointer: after ~ it needs 0 or 1")
        }
    })?;
    let name = match name {
        Some(name) => name,
        None => default_name(&pointer)
            .ok_or_else(|| format!("the pointer {pointer} ends in an empty name; write NAME={pointer}"))?,
    };
    Ok(IndexSpec { collection, name, pointer, unique })
}

/// Reads `[COLLECTION:]NAME`. Errors: what is wrong, in words, for clap to show.
pub fn index_name(text: &str) -> Result<(Option<Name>, Name), String> {
    let (collection, rest) = prefix(text, ':', "collection")?;
    Ok((collection, legal("index", rest)?))
}

/// A value as a user types it: a JSON number, `null`, `true` and `false` (1 and 0, as an index sees them); all else is text.
pub fn index_key(text: &str) -> IndexKey {
    match text {
        "null" => IndexKey::Null,
        "true" => IndexKey::Integer(1),
        "false" => IndexKey::Integer(0),
        // A number has no space around it, though JSON would allow it.
        _ if text.trim() != text => IndexKey::Text(text.to_owned()),
        _ => match serde_json::from_str::<serde_json::Number>(text) {
            // SQLite too sees an integer beyond 64 bits as a real number.
            Ok(number) => number
                .as_i64()
                .map(IndexKey::Integer)
                .or_else(|| number.as_f64().map(IndexKey::Real))
                .unwrap_or_else(|| IndexKey::Text(text.to_owned())),
            Err(_) => IndexKey::Text(text.to_owned()),
        },
    }
}

/// A body on one line: line breaks, which JSON allows between tokens only, become spaces; all else stays, byte for byte.
/// Errors: STORAGE_2004 naming the row if the body is not JSON.
pub fn body_line<'a>(collection: &Name, id: &str, body: &'a str) -> Result<Cow<'a, str>> {
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(body) {
        return Err(Error::new(Code::StorageGeneral, format!("the body of row {id:?} of `{collection}` is not JSON"))
            .because(error)
            .hint("run `atlas-host verify`; `get` prints the body as it is"));
    }
    Ok(if body.contains(['\n', '\r']) { body.replace(['\n', '\r'], " ").into() } else { body.into() })
}

/// A text as JSON.
pub fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A wall clock time as people read it: RFC 3339, UTC, whole seconds.
pub fn time(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}

/// A duration as people read it: `12 ms`, `3.4 s`, `2 min 05 s`, `3 h 04 min`.
pub fn duration(ms: u64) -> String {
    let s = ms / 1000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", (ms / 100) as f64 / 10.0),
        _ if s < 3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// `1 row`, `2 rows`; the plural is the singular and an `s`.
pub fn counted(number: u64, singular: &str) -> String {
    format!("{number} {singular}{}", if number == 1 { "" } else { "s" })
}

/// Lines of a name and a value each, the values in one column; those without a value are left out.
pub fn fields(fields: &[(&str, String)]) -> String {
    let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        for (i, line) in value.lines().enumerate() {
            let name = if i == 0 { name } else { "" };
            text.push_str(&format!("{name:width$}  {}\n", printable(line)));
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Prints a table on one line per row, however narrow the terminal is: the last column is cut down to
/// [`LAST_COLUMN_CHARS_MIN`], then whole columns give way, in this order, and stderr is told which.
///
/// Errors: as [`Printer::line`].
pub fn print_table(
    printer: &mut Printer,
    headers: &[&str],
    mut rows: Vec<Vec<String>>,
    give_way: &[&str],
) -> Result<()> {
    let mut headers = headers.to_vec();
    let mut left_out = Vec::new();
    if let Some(width) = width() {
        left_out = fit(&mut headers, &mut rows, give_way, usize::from(width));
    }
    printer.line(&table(&headers, rows))?;
    if !left_out.is_empty() {
        printer.flush()?;
        talk(&format!("no room here for: {}; a wider terminal or a pipe has all columns", left_out.join(", ")));
    }
    Ok(())
}

fn fit<'a>(headers: &mut Vec<&'a str>, rows: &mut [Vec<String>], give_way: &[&'a str], width: usize) -> Vec<&'a str> {
    rows.iter_mut().flatten().for_each(|cell| *cell = printable(cell).into_owned());
    let widest = |headers: &[&str], rows: &[Vec<String>], i: usize| {
        rows.iter().map(|row| row[i].chars().count()).chain([headers[i].len()]).max().unwrap_or(0)
    };
    // Every column has a space on both sides.
    let others = |headers: &[&str], rows: &[Vec<String>]| -> usize {
        (0..headers.len() - 1).map(|i| widest(headers, rows, i) + 2).sum::<usize>() + 2
    };
    let mut left_out = Vec::new();
    for name in give_way {
        let last = widest(headers, rows, headers.len() - 1).min(LAST_COLUMN_CHARS_MIN);
        if others(headers, rows) + last <= width {
            break;
        }
        if let Some(at) = headers.iter().position(|header| header == name) {
            headers.remove(at);
            rows.iter_mut().for_each(|row| drop(row.remove(at)));
            left_out.push(*name);
        }
    }
    let most = width.saturating_sub(others(headers, rows)).max(LAST_COLUMN_CHARS_MIN);
    rows.iter_mut().filter_map(|row| row.last_mut()).for_each(|cell| *cell = cut(cell, most));
    left_out
}

/// The text on one line of at most `width` characters, with an ellipsis where it was cut.
pub fn cut(text: &str, width: usize) -> String {
    let line = printable(text);
    match line.char_indices().nth(width) {
        None => line.into_owned(),
        Some(_) => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// What stands before `mark` as a name, and the rest.
fn prefix<'a>(text: &'a str, mark: char, what: &str) -> Result<(Option<Name>, &'a str), String> {
    let head = &text[..text.find('/').unwrap_or(text.len())];
    match head.find(mark) {
        Some(at) => Ok((Some(legal(what, &text[..at])?), &text[at + mark.len_utf8()..])),
        None => Ok((None, text)),
    }
}

fn legal(what: &str, text: &str) -> Result<Name, String> {
    Name::parse(text).ok_or_else(|| {
        format!(
            "{text:?} cannot name a {what}: names begin with a letter or _, go on with letters, digits or _, \
             and have at most {NAME_BYTES_MAX} characters"
        )
        .replace("a index", "an index")
    })
}

/// The pointer's last token with what no name may have replaced by `_`; none if it is empty.
fn default_name(pointer: &Pointer) -> Option<Name> {
    let token = pointer.tokens().last()?;
    let legal = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let first = token.starts_with(|c: char| c.is_ascii_digit()).then_some('_');
    let name: String = first.into_iter().chain(token.chars().map(legal)).take(NAME_BYTES_MAX).collect();
    Name::parse(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<String>, String, String) {
        let spec = index_spec(text, false).unwrap();
        (spec.collection.map(|c| c.to_string()), spec.name.to_string(), spec.pointer.to_string())
    }

    fn is(text: &str, collection: Option<&str>, name: &str, pointer: &str) {
        assert_eq!(parsed(text), (collection.map(str::to_owned), name.to_owned(), pointer.to_owned()), "{text}");
    }

    #[test]
    fn an_index_is_named_after_the_last_token_of_its_pointer() {
        is("status", None, "status", "/status");
        is("/meta/status", None, "status", "/meta/status");
        is("/due-date", None, "due_date", "/due-date");
        is("/tags/0", None, "_0", "/tags/0");
        is("/größe", None, "gr__e", "/größe");
        assert_eq!(parsed(&format!("/{}", "x".repeat(100))).1.len(), NAME_BYTES_MAX);
    }

    #[test]
    fn collection_and_name_stand_before_the_pointer() {
        is("s=/status", None, "s", "/status");
        is("people:status", Some("people"), "status", "/status");
        is("people:mail=/contact/e-mail", Some("people"), "mail", "/contact/e-mail");
    }

    #[test]
    fn after_a_slash_colon_and_equals_belong_to_the_member() {
        is("/dc:title", None, "dc_title", "/dc:title");
        is("/a=b", None, "a_b", "/a=b");
        is("t=/dc:title", None, "t", "/dc:title");
    }

    #[test]
    fn what_cannot_be_an_index_is_refused_in_words() {
        for (text, word) in [
            ("", "missing"),
            ("s=", "missing"),
            ("people:", "missing"),
            ("/a/~2", "~"),
            ("/a/", "NAME="),
            ("two words=/a", "two words"),
            ("1st:/a", "1st"),
            ("=/a", "an index"),
        ] {
            let error = index_spec(text, true).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn an_index_is_named_with_or_without_its_collection() {
        assert_eq!(index_name("status").unwrap(), (None, Name::parse("status").unwrap()));
        assert_eq!(index_name("a:b").unwrap(), (Name::parse("a"), Name::parse("b").unwrap()));
        assert!(index_name("a:b:c").is_err());
        assert!(index_name("/status").is_err());
    }

    #[test]
    fn values_are_typed_as_an_index_sees_them() {
        assert_eq!(index_key("17"), IndexKey::Integer(17));
        assert_eq!(index_key("-0.5"), IndexKey::Real(-0.5));
        assert_eq!(index_key("1e3"), IndexKey::Real(1000.0));
        assert_eq!(index_key("18446744073709551616"), IndexKey::Real(18446744073709551616.0));
        assert_eq!(index_key("null"), IndexKey::Null);
        assert_eq!(index_key("true"), IndexKey::Integer(1));
        assert_eq!(index_key("false"), IndexKey::Integer(0));
        for text in ["", "pending", "007", "1 ", "+1", "0x10", "\"5\"", "Null"] {
            assert_eq!(index_key(text), IndexKey::Text(text.to_owned()));
        }
    }

    #[test]
    fn a_body_becomes_one_line_and_keeps_its_other_bytes() {
        let items = Name::parse("items").unwrap();
        assert_eq!(body_line(&items, "a", "{\"a\":\r\n 1.0}").unwrap(), "{\"a\":   1.0}");
        assert_eq!(body_line(&items, "a", "{\"a\":\"\\n\"}").unwrap(), "{\"a\":\"\\n\"}");
        assert!(body_line(&items, "row 1", "{").unwrap_err().to_string().contains("row 1"));
    }

    #[test]
    fn times_and_durations_read_as_people_write_them() {
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_700_000_000_999), "2023-11-14T22:13:20Z");
        assert_eq!(
            [duration(7), duration(59_999), duration(125_000), duration(11_040_000)],
            ["7 ms", "59.9 s", "2 min 05 s", "3 h 04 min"]
        );
    }

    #[test]
    fn on_a_narrow_terminal_columns_give_way_in_their_order() {
        let all = ["id", "slot", "code", "message"];
        let row = || vec!["1".to_owned(), "rules".to_owned(), "TOO_LONG".to_owned(), "x".repeat(100)];
        let fitted = |width| {
            let (mut headers, mut rows) = (all.to_vec(), vec![row()]);
            let left_out = fit(&mut headers, &mut rows, &["slot", "code"], width);
            (headers.join(" "), left_out.join(" "), rows[0].last().unwrap().chars().count())
        };
        let is = |headers: &str, left_out: &str, last: usize| (headers.to_owned(), left_out.to_owned(), last);
        assert_eq!(fitted(200), is("id slot code message", "", 100));
        assert_eq!(fitted(60), is("id slot code message", "", 37));
        assert_eq!(fitted(46), is("id code message", "slot", 30));
        assert_eq!(fitted(30), is("id message", "slot code", 24));
    }

    #[test]
    fn a_cut_text_has_the_width_asked_for() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("a\nb", 10), "a\\nb");
    }
}
