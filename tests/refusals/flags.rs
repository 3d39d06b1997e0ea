//! Flags that are unknown, or whose values are out of range.

use super::{GOOD, refused, words};
use crate::harness::{Folder, guest_arg};

#[test]
fn flags_that_are_unknown_or_out_of_range_are_refused_with_what_is_possible() {
    let folder = Folder::new();
    folder.write("in.ndjson", GOOD);
    for (flags, culprit, says) in [
        ("--no-such", "--no-such", "hint: "),
        ("--bach-size 5", "--bach-size", "--batch-size"),
        ("--attempts 0", "--attempts", "1..=100"),
        ("--attempts 101", "--attempts", "1..=100"),
        ("--attempts -1", "-1", "hint: "),
        ("--batch-size 0", "--batch-size", "at least 1"),
        ("--batch-size 9..3", "--batch-size", "backwards"),
        ("--batch-size 1000001", "1000001", "are possible"),
        ("--batch-size many", "--batch-size", "write N or MIN..MAX"),
        ("--lanes 0", "--lanes", "at least 1"),
        ("--lanes 100000", "100000", "possible"),
        ("--deadline 5", "--deadline", "lacks its unit"),
        ("--deadline 0s", "deadline", "more than 0"),
        ("--deadline 5weeks", "--deadline", "ms, s, m, h"),
        ("--memory 0", "--memory", "more than 0"),
        ("--memory 64mb", "--memory", "KiB"),
        ("--batch-bytes 0", "--batch-bytes", "more than 0"),
        ("--batch-wait 3000000000000000h", "batch wait", "up to 86400 s are possible"),
        ("--max-line-bytes 0", "--max-line-bytes", "more than 0"),
        ("--max-rejects 101%", "--max-rejects", "between 0% and 100%"),
        ("--max-rejects some", "--max-rejects", "2%"),
        ("--max-rejects 5/", "--max-rejects", "50/1000"),
        ("--max-rejects 5/5", "--max-rejects", "fewer failed items than items"),
        ("--delimiter ab", "--delimiter", "hint: "),
        ("--delimiter ä", "--delimiter 'ä'", "hint: "),
        ("--on-existing merge", "--on-existing", "replace, ignore, reject"),
        ("--missing-id guess", "--missing-id", "reject, ordinal"),
        ("--atomic item", "--atomic", "batch, run"),
        ("--durability some", "--durability", "full, normal"),
        ("--isolation item", "--isolation", "run, batch"),
        ("--output xml", "--output", "text, json"),
        ("--log-format xml", "--log-format", "text, json"),
        ("--color red", "--color", "auto, always, never"),
        ("--seed -1", "-1", "hint: "),
        ("--seed x", "--seed", "hint: "),
        ("--limit x", "--limit", "hint: "),
        ("--strategy fast", "fast", "sequential, concurrent, adaptive"),
        ("--processor disk", "disk", "storage, memory, index"),
        ("--id /a~2", "--id", "JSON pointer"),
        ("--index /", "--index", "write NAME=/"),
        ("--store", "--store", "hint: "),
        ("--input in.ndjson --dry-run=yes", "--dry-run", "hint: "),
        ("--plugin-config key", "--plugin-config", "hint: "),
    ] {
        let flags =
            flags.replace("--plugin-config key", &format!("--plugin {} --plugin-config key", guest_arg("identity")));
        refused(&folder, &format!("run --input in.ndjson {flags}"), 2, "CONFIG_3001", culprit).says(says);
    }
    for line in [
        "query --index n",
        "query --equals 1",
        "query --where a=1 --sql SELECT",
        "get",
        "index add",
        "dead-letters show",
        "dead-letters show x",
        "inspect",
        "index",
        "runs show x",
    ] {
        let ran = words(&folder, line).exits(2);
        assert!(
            ran.stderr.contains("error[CONFIG_3001]: ") || ran.stderr.contains("Usage: "),
            "{line}: {}",
            ran.stderr
        );
    }
}
