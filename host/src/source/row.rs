//! The fields of one row of a table, and the JSON object made of them. Rules: see `csv`.

use std::collections::HashSet;
use std::ops::Range;

use super::csv::Dialect;

/// Makes the members' names of the first row.
pub(super) fn header(row: &[u8], dialect: Dialect) -> Result<Vec<String>, String> {
    let (mut members, mut seen) = (Vec::new(), HashSet::new());
    for (i, field) in Fields::of(row, dialect)?.enumerate() {
        let (field, doubled) = field?;
        let number = i + 1;
        let name = match dialect.header {
            false => format!("c{number}"),
            true if doubled => field.replace("\"\"", "\""),
            true => field.to_owned(),
        };
        if !dialect.quotes && name.contains('\r') {
            return Err(format!("column {number} has a carriage return in its name"));
        }
        if name.is_empty() {
            return Err(format!("column {number} has no name"));
        }
        let mut member = String::new();
        push_json_string(&mut member, &name, false);
        member.push(':');
        if !seen.insert(name) {
            return Err(format!("column {number} has the name of an earlier one, {}", member.trim_end_matches(':')));
        }
        members.push(member);
    }
    Ok(members)
}

/// Makes the object of one row.
pub(super) fn object(row: &[u8], dialect: Dialect, members: &[String], object: &mut String) -> Result<(), String> {
    object.clear();
    let mut count = 0;
    for field in Fields::of(row, dialect)? {
        let (field, doubled) = field?;
        if let Some(member) = members.get(count) {
            object.push(if count == 0 { '{' } else { ',' });
            object.push_str(member);
            push_json_string(object, field, doubled);
        }
        count += 1;
    }
    if count != members.len() {
        return Err(format!("fields: {count} in the row, {} in the header", members.len()));
    }
    object.push('}');
    Ok(())
}

/// Walks over the fields of one row: each one's content, and whether it holds doubled quotes.
struct Fields<'a> {
    row: &'a str,
    at: Option<usize>,
    dialect: Dialect,
}

impl<'a> Fields<'a> {
    fn of(row: &'a [u8], dialect: Dialect) -> Result<Self, String> {
        let row = std::str::from_utf8(row)
            .map_err(|e| format!("the row is not UTF-8: a bad byte at byte {} of the row", e.valid_up_to()))?;
        Ok(Self { row, at: Some(0), dialect })
    }

    fn quoted(&mut self, start: usize) -> Result<(&'a str, bool), String> {
        let bytes = self.row.as_bytes();
        let (mut at, mut doubled) = (start + 1, false);
        loop {
            let Some(found) = memchr::memchr(b'"', &bytes[at..]) else {
                return Err(format!("the quote at byte {start} of the row is not closed"));
            };
            at += found + 1;
            if bytes.get(at) == Some(&b'"') {
                doubled = true;
                at += 1;
                continue;
            }
            let content: Range<usize> = start + 1..at - 1;
            self.at = match bytes.get(at) {
                None => None,
                Some(&b) if b == self.dialect.delimiter => Some(at + 1),
                Some(_) => return Err(format!("something follows the closing quote at byte {} of the row", at - 1)),
            };
            return Ok((&self.row[content], doubled));
        }
    }

    fn plain(&mut self, start: usize) -> Result<(&'a str, bool), String> {
        let bytes = self.row.as_bytes();
        let end = memchr::memchr(self.dialect.delimiter, &bytes[start..]).map(|i| start + i);
        self.at = end.map(|i| i + 1);
        let content = &self.row[start..end.unwrap_or(bytes.len())];
        match memchr::memchr2(b'"', b'\r', content.as_bytes()) {
            Some(at) if self.dialect.quotes => {
                let what =
                    if content.as_bytes()[at] == b'"' { "a quote" } else { "a carriage return without a line feed" };
                Err(format!("{what} inside an unquoted field, at byte {} of the row", start + at))
            }
            _ => Ok((content, false)),
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(&'a str, bool), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at?;
        let quoted = self.dialect.quotes && self.row.as_bytes().get(start) == Some(&b'"');
        let field = if quoted { self.quoted(start) } else { self.plain(start) };
        if field.is_err() {
            self.at = None;
        }
        Some(field)
    }
}

/// Writes a JSON string. `doubled`: two quotes stand for one.
fn push_json_string(out: &mut String, text: &str, doubled: bool) {
    out.push('"');
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            at += 1;
            continue;
        }
        out.push_str(&text[from..at]);
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => out.push_str(&format!("\\u{byte:04x}")),
        }
        at += if doubled && byte == b'"' { 2 } else { 1 };
        from = at;
    }
    out.push_str(&text[from..]);
    out.push('"');
}
