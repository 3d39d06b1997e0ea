//! JSON whose numbers keep all their digits, for comparing answers: `serde_json` alone would round them to 64 bits, and a
//! plugin that loses digits would pass.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::limits;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    /// `null`, `true` or `false`.
    Word(&'static str),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// A number as it is written. Two are equal if they are the same number: `1`, `1.0` and `10e-1` are.
#[derive(Debug, Clone)]
pub(super) struct Number(String);

impl Json {
    /// Reads a JSON text. Errors: in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text, limits::JSON_DEPTH_MAX + NESTED_MORE)
    }

    fn read(text: &str, depth: usize) -> Result<Self, String> {
        if depth == 0 {
            return Err(format!("it is nested more than {} deep", limits::JSON_DEPTH_MAX));
        }
        let failed = |error: serde_json::Error| error.to_string();
        // The whole is judged first, so that what is looked at piece by piece is JSON.
        let text = serde_json::from_str::<&RawValue>(text).map_err(failed)?.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(failed)?;
                let read = |(name, value): (String, &RawValue)| Ok((name, Self::read(value.get(), depth - 1)?));
                Json::Object(members.into_iter().map(read).collect::<Result<_, String>>()?)
            }
            Some(b'[') => {
                let values: Vec<&RawValue> = serde_json::from_str(text).map_err(failed)?;
                Json::List(values.iter().map(|value| Self::read(value.get(), depth - 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Json::Text(serde_json::from_str(text).map_err(failed)?),
            Some(b'n') => Json::Word("null"),
            Some(b't') => Json::Word("true"),
            Some(b'f') => Json::Word("false"),
            _ => Json::Number(Number(text.to_owned())),
        })
    }
}

/// Levels that an answer has around a body.
const NESTED_MORE: usize = 8;

/// As compact JSON, members by name, numbers as they were written.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &str| Value::from(text).to_string();
        match self {
            Json::Word(word) => f.write_str(word),
            Json::Number(Number(text)) => f.write_str(text),
            Json::Text(text) => f.write_str(&quoted(text)),
            Json::List(values) => {
                f.write_str("[")?;
                for (place, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if place > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Json::Object(members) => {
                f.write_str("{")?;
                for (place, (name, value)) in members.iter().enumerate() {
                    write!(f, "{}{}:{value}", if place > 0 { "," } else { "" }, quoted(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || matches!((self.decimal(), other.decimal()), (Some(a), Some(b)) if a == b)
    }
}

impl Number {
    /// Sign, digits without zeros at either end, and the power of ten that the last of them stands at. Zero has no digits and
    /// no sign. None where the exponent is beyond all bounds: then only the same text is the same number.
    fn decimal(&self) -> Option<(bool, String, i64)> {
        let (negative, text) = match self.0.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, self.0.as_str()),
        };
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        if digits.is_empty() {
            return Some((false, String::new(), 0));
        }
        let last = exponent.checked_sub(fraction.len() as i64)?.checked_add((all.len() - digits.len()) as i64)?;
        Some((negative, digits.trim_start_matches('0').to_owned(), last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Json {
        Json::parse(text).unwrap()
    }

    #[test]
    fn numbers_are_the_same_by_all_their_digits() {
        for (a, b) in [("1", "1.0"), ("1", "10e-1"), ("-0.0", "0"), ("120E+2", "12000"), ("0.10", "1e-1")] {
            assert_eq!(number(a), number(b));
        }
        for (a, b) in [
            ("18446744073709551617", "18446744073709551616"),
            ("18446744073709551617", "1.8446744073709552e19"),
            ("0.12345678901234567891", "0.1234567890123456789"),
            ("1", "-1"),
            ("1e400", "1e401"),
            ("1e99999999999999999999", "1e99999999999999999998"),
        ] {
            assert_ne!(number(a), number(b));
        }
    }

    #[test]
    fn a_text_is_read_and_written_with_every_digit() {
        let text = r#"{"b":[1e400,true,null,"\"ä\n"],"a":{"":0.10000000000000000000000001}}"#;
        let value = Json::parse(&format!(" {text} ")).unwrap();
        assert_eq!(value.to_string(), r#"{"a":{"":0.10000000000000000000000001},"b":[1e400,true,null,"\"ä\n"]}"#);
        for bad in ["", "{", "01", "[1,]", "nul"] {
            assert!(Json::parse(bad).is_err(), "{bad}");
        }
        assert!(Json::parse(&"[".repeat(10_000)).is_err());
        assert!(Json::parse(&format!("{}{}", "[".repeat(500), "]".repeat(500))).is_err());
    }
}
