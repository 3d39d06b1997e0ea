//! Tickets: small, flat items for measuring speed.
//!
//! A line has the fields id, path, title, status, priority, tags, created and
//! notes, about 310 bytes. The ids of `count` tickets are those from 0 to
//! `count - 1`, each once, in a shuffled order. A broken ticket breaks one
//! rule: an empty title, an unknown status, or a priority of 99 (the highest
//! allowed is 8).

use std::io::{self, Write};

use super::json::push_number;
use super::rng::{MILLION, Rng};

const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "blocked"];

const WORDS: [&str; 17] = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
    "incididunt",
    "ut",
    "labore",
    "et",
    "dolore",
];

/// Words in the notes of a ticket.
const NOTE_WORDS: usize = 11;

/// Bytes gathered before they are handed to the output.
const CHUNK_BYTES: usize = 256 * 1024;

/// What tickets to make.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of tickets.
    pub count: u64,
    /// Share of broken tickets, in parts per million.
    pub invalid_ppm: u64,
    /// Chooses the words of the notes and the broken tickets.
    pub seed: u64,
}

/// Write the tickets, one line each. Ticket k depends on `count`, the share,
/// the seed and k only.
///
/// # Errors
/// Whatever the output reports.
pub fn write(options: &Options, out: &mut impl Write) -> io::Result<()> {
    let stride = stride(options.count);
    let mut lines = Vec::with_capacity(CHUNK_BYTES + 1024);
    for k in 0..options.count {
        let wide = u128::from(k) * u128::from(stride) + 13;
        let number = (wide % u128::from(options.count)) as u64;
        push_ticket(&mut lines, number, &mut Rng::new(&[options.seed, k]), options.invalid_ppm);
        if lines.len() >= CHUNK_BYTES {
            out.write_all(&lines)?;
            lines.clear();
        }
    }
    out.write_all(&lines)
}

/// A prime that does not divide `count`, so that steps of it reach every id.
fn stride(count: u64) -> u64 {
    if count.is_multiple_of(7919) { 7927 } else { 7919 }
}

fn push_ticket(out: &mut Vec<u8>, number: u64, rng: &mut Rng, invalid_ppm: u64) {
    let rule = if rng.below(MILLION) < invalid_ppm { rng.below(3) + 1 } else { 0 };
    out.extend_from_slice(b"{\"id\":\"t-");
    for power in [1_000_000, 100_000, 10_000, 1000, 100, 10] {
        if number < power {
            out.push(b'0');
        }
    }
    push_number(out, number);
    out.extend_from_slice(b"\",\"path\":\"project-");
    push_number(out, number % 50);
    out.extend_from_slice(b"/epic-");
    push_number(out, number % 977);
    out.extend_from_slice(b"/task-");
    push_number(out, number);
    out.extend_from_slice(b"\",\"title\":\"");
    if rule != 1 {
        out.extend_from_slice(b"Implement Feature #");
        push_number(out, number);
        out.extend_from_slice(b": the Quick brown Fox");
    }
    out.extend_from_slice(b"\",\"status\":\"");
    let status = if rule == 2 { "nope" } else { STATUSES[(number % 5) as usize] };
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(b"\",\"priority\":");
    push_number(out, if rule == 3 { 99 } else { number % 9 });
    out.extend_from_slice(b",\"tags\":[\"Backend\",\"URGENT\",\"Team");
    push_number(out, number % 13);
    out.extend_from_slice(b"\"],\"created\":");
    push_number(out, 1_700_000_000 + number);
    out.extend_from_slice(b",\"notes\":\"");
    for word in 0..NOTE_WORDS {
        if word > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(rng.pick(&WORDS).as_bytes());
    }
    out.extend_from_slice(b"\"}\n");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn tickets(count: u64, invalid_ppm: u64, seed: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write(&Options { count, invalid_ppm, seed }, &mut out).expect("a vector takes all");
        out
    }

    fn rules_broken(ticket: &Value) -> usize {
        let title = ticket["title"] == "";
        let status = !STATUSES.contains(&ticket["status"].as_str().expect("a text"));
        let priority = ticket["priority"].as_u64().expect("a number") > 8;
        [title, status, priority].iter().filter(|&&broken| broken).count()
    }

    #[test]
    fn same_options_same_bytes_and_another_seed_other_bytes() {
        assert_eq!(tickets(500, 50_000, 1), tickets(500, 50_000, 1));
        assert_ne!(tickets(500, 50_000, 1), tickets(500, 50_000, 2));
    }

    #[test]
    fn every_id_appears_once_also_where_the_count_is_a_multiple_of_the_stride() {
        for count in [0, 1, 977, 1000, 7919, 2 * 7919] {
            let bytes = tickets(count, 0, 5);
            let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
            let ids: BTreeSet<String> = lines
                .map(|line| serde_json::from_slice::<Value>(line).expect("it is JSON")["id"].to_string())
                .collect();
            let wanted: BTreeSet<String> = (0..count).map(|id| format!("\"t-{id:07}\"")).collect();
            assert_eq!(ids, wanted, "{count} tickets");
        }
    }

    #[test]
    fn the_share_of_broken_tickets_is_as_asked_and_each_breaks_one_rule() {
        for (ppm, low, high) in [(0, 0, 0), (100_000, 800, 1200), (MILLION, 10_000, 10_000)] {
            let bytes = tickets(10_000, ppm, 11);
            let broken: Vec<usize> = bytes
                .split(|&byte| byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| rules_broken(&serde_json::from_slice(line).expect("it is JSON")))
                .filter(|&rules| rules > 0)
                .collect();
            assert!((low..=high).contains(&broken.len()), "{} at {ppm}", broken.len());
            assert!(broken.iter().all(|&rules| rules == 1));
        }
    }
}
