//! The metadata of a task, to the byte where that is asked for.
//!
//! ASCII without anything to escape, so that its size as compact JSON is the
//! same for every writer of JSON.

use super::super::json::{Object, push_strings};
use super::super::limits::{METADATA_BYTES_MAX, METADATA_CHARS_MAX};
use super::super::rng::{MILLION, Quantiles, Rng};
use super::super::words::{Alphabet, PLAIN, text};
use super::drift;
use super::model::Fault;

const BYTES: &Quantiles = &[
    (0, 60),
    (100_000, 180),
    (250_000, 300),
    (500_000, 500),
    (750_000, 850),
    (900_000, 1400),
    (960_000, 2100),
    (990_000, 4000),
    (MILLION, 8000),
];

/// Rows per million whose metadata is as large as allowed.
const FULL_PPM: u64 = 500;

/// Different tags: so many for each of the first words.
const TAG_WORDS: usize = 50;
const TAGS_PER_WORD: u64 = 8;

/// What has to be in the metadata.
pub struct Wanted {
    /// A directive for guests.
    pub fault: Option<Fault>,
    /// Whether the guest shall take its time.
    pub costly: bool,
    /// Its size as compact JSON, where the distribution does not decide.
    pub bytes: Option<usize>,
}

/// Append metadata.
pub fn push(out: &mut Vec<u8>, rng: &mut Rng, wanted: &Wanted) {
    let usual = if rng.chance(FULL_PPM) { METADATA_BYTES_MAX } else { rng.quantile(BYTES) as usize };
    let bytes = wanted.bytes.unwrap_or(usual);
    let start = out.len();
    let mut metadata = Object::begin(out);
    match rng.below(100) {
        0..=24 => metadata.string("priority", "low"),
        25..=69 => metadata.string("priority", "medium"),
        70..=94 => metadata.string("priority", "high"),
        _ => {}
    }
    push_tags(&mut metadata, rng);
    if wanted.fault.is_some() || wanted.costly {
        let mut custom = Object::begin(metadata.key("customFields"));
        if let Some(fault) = wanted.fault {
            custom.string("fault", &fault.directive());
        }
        if wanted.costly {
            custom.number("cost", drift::COST);
        }
        custom.end();
    }
    let context = metadata.key("context");
    // What is still to come: the brackets of the list and the closing brace.
    let have = context.len() - start + 3;
    push_filler(context, rng, bytes.saturating_sub(have));
    metadata.end();
}

fn push_tags(metadata: &mut Object, rng: &mut Rng) {
    let count = rng.index(5);
    let mut tags: Vec<String> = Vec::with_capacity(count);
    while tags.len() < count {
        let tag = format!("{}-{}", rng.pick(&PLAIN[..TAG_WORDS]), rng.below(TAGS_PER_WORD));
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    if count > 0 {
        push_strings(metadata.key("tags"), tags.iter().map(String::as_str));
    }
}

/// A list of texts that takes exactly `bytes` between its brackets, or
/// nothing where `bytes` is too few for one text.
fn push_filler(out: &mut Vec<u8>, rng: &mut Rng, bytes: usize) {
    const SHORTEST: usize = 4;
    let mut texts = Vec::new();
    let mut left = bytes;
    while left >= SHORTEST {
        // Quotes, and the comma before all but the first.
        let frame = if texts.is_empty() { 2 } else { 3 };
        let mut chars = (left - frame).min(METADATA_CHARS_MAX);
        let rest = left - frame - chars;
        if rest > 0 && rest < SHORTEST {
            chars -= SHORTEST;
        }
        texts.push(text(rng, Alphabet::Plain, chars));
        left -= frame + chars;
    }
    push_strings(out, texts.iter().map(String::as_str));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_has_the_size_asked_for_and_keeps_its_other_bounds() {
        for bytes in (200..2300).chain([METADATA_BYTES_MAX, METADATA_BYTES_MAX + 1]) {
            let mut out = Vec::new();
            let wanted = Wanted { fault: Some(Fault::Slow(20)), costly: true, bytes: Some(bytes) };
            push(&mut out, &mut Rng::new(&[bytes as u64]), &wanted);
            assert_eq!(out.len(), bytes);
            let value: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
            assert_eq!(value.to_string().len(), bytes, "compact JSON");
            let context = value["context"].as_array().expect("a list");
            assert!(context.len() <= 100);
            assert!(context.iter().all(|text| text.as_str().expect("a text").len() <= METADATA_CHARS_MAX));
            assert_eq!(value["customFields"]["fault"], "slow(20)");
        }
    }
}
