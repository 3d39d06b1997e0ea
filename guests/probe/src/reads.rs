//! The interface `store`.

use crate::plugin::atlas::batch::store::{self, Error, Key};
use crate::plugin::exports::atlas::batch::operation::Outcome;
use crate::plugin::learned;

/// `get COLLECTION ID`, `get-many COLLECTION ID…`, `find COLLECTION INDEX KEY AFTER LIMIT`, `count COLLECTION INDEX KEY LIMIT`;
/// none for other words.
pub fn read(words: &[&str]) -> Option<Outcome> {
    Some(match words {
        ["get", collection, id] => match store::get(some(collection), id) {
            Ok(Some(body)) => learned("some", vec![((*id).to_owned(), body)]),
            Ok(None) => learned("none", Vec::new()),
            Err(error) => refused(error),
        },
        ["get-many", collection, ids @ ..] => {
            let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            match store::get_many(some(collection), &ids) {
                Ok(bodies) => {
                    let told = bodies.into_iter().map(|body| body.unwrap_or_else(|| "none".to_owned()));
                    learned("many", ids.into_iter().zip(told).collect())
                }
                Err(error) => refused(error),
            }
        }
        ["find", collection, index, sought, after, limit] => {
            match store::find(some(collection), index, &key(sought), some(after), limit.parse().unwrap_or(0)) {
                Ok(rows) => learned("rows", rows.into_iter().map(|row| (row.id, row.body)).collect()),
                Err(error) => refused(error),
            }
        }
        ["count", collection, index, sought, limit] => {
            match store::count(some(collection), index, &key(sought), limit.parse().unwrap_or(0)) {
                Ok(count) => learned(&count.to_string(), Vec::new()),
                Err(error) => refused(error),
            }
        }
        _ => return None,
    })
}

fn some<'a>(word: &'a str) -> Option<&'a str> {
    Some(word).filter(|word| *word != "-")
}

/// `null`, `integer:5`, `real:0.5` or `text:a`.
fn key(word: &str) -> Key {
    match word.split_once(':') {
        Some(("integer", number)) => Key::Integer(number.parse().unwrap_or(0)),
        Some(("real", number)) => Key::Real(number.parse().unwrap_or(0.0)),
        Some((_, text)) => Key::Text(text.to_owned()),
        None => Key::Null,
    }
}

fn refused(error: Error) -> Outcome {
    let (name, text) = match error {
        Error::NotGranted => ("not-granted", None),
        Error::NoSuchCollection => ("no-such-collection", None),
        Error::NoSuchIndex => ("no-such-index", None),
        Error::OverLimit => ("over-limit", None),
        Error::Other(text) => ("other", Some(text)),
    };
    learned(name, text.into_iter().map(|text| ("text".to_owned(), text)).collect())
}
