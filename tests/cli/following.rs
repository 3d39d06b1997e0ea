//! `run --follow`: a file that grows while it is read.

use std::fs::File;
use std::io::Write;

use rustix::process::Signal;

use super::sharing::Running;
use super::{numbered, sql, words};
use crate::harness::{Folder, guest_arg};

const FOLLOW: &str = "run --follow log.ndjson --id id --batch-wait 10ms";

fn append(folder: &Folder, text: &str) {
    let mut file = File::options().append(true).open(folder.at("log.ndjson")).expect("the file");
    file.write_all(text.as_bytes()).expect("it can be written");
}

#[test]
fn what_is_added_to_a_followed_file_is_stored_and_a_signal_ends_the_run_so_that_it_can_go_on() {
    let folder = Folder::new();
    let all = numbered(60);
    let lines: Vec<&str> = all.split_inclusive('\n').collect();
    folder.write("log.ndjson", lines[..20].concat());
    let mut running = Running::start(&folder, FOLLOW);
    running.committed(20);
    // Half a line is none, however long it stands there.
    let (head, tail) = lines[29].split_at(7);
    append(&folder, &(lines[20..29].concat() + head));
    running.committed(9);
    running.sampled(3);
    append(&folder, tail);
    running.committed(1);
    running.signal(Signal::INT);
    running.end().1.exits(130).says("the same command");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["30"]);

    append(&folder, &lines[30..].concat());
    let mut running = Running::start(&folder, FOLLOW);
    running.committed(30);
    running.signal(Signal::TERM);
    let (events, ran) = running.end();
    ran.exits(143);
    assert_eq!(events.iter().filter(|event| event["event"] == "item-failed").count(), 0);
    let run = words(&folder, "runs show 1 --output json").exits(0).json();
    assert_eq!((&run["read"], &run["stored"]), (&60.into(), &60.into()), "{run}");
    words(&folder, "verify").exits(0);
}

#[test]
fn a_followed_file_that_is_replaced_ends_the_run_behind_its_last_line_and_the_next_command_reads_the_new_one() {
    let folder = Folder::new();
    folder.write("log.ndjson", "{\"id\":\"a\"}\n");
    let mut running = Running::start(&folder, FOLLOW);
    running.committed(1);
    append(&folder, "{\"id\":\"b\"}\n{\"id\":\"c\"}");
    folder.write("next.ndjson", "{\"id\":\"d\"}\n");
    std::fs::rename(folder.at("next.ndjson"), folder.at("log.ndjson")).expect("it is there");
    running.end().1.exits(0);
    assert_eq!(sql(&folder, "SELECT id FROM items ORDER BY id"), ["a", "b", "c"]);
    let mut running = Running::start(&folder, FOLLOW);
    running.committed(1);
    std::fs::remove_file(folder.at("log.ndjson")).expect("it is there");
    running.end().1.exits(0);
    assert_eq!(sql(&folder, "SELECT id FROM items ORDER BY id"), ["a", "b", "c", "d"]);
}

#[test]
fn a_followed_file_that_was_replaced_by_a_shorter_one_while_no_run_was_up_is_told_at_once() {
    let folder = Folder::new();
    folder.write("log.ndjson", numbered(20));
    let mut running = Running::start(&folder, FOLLOW);
    running.committed(20);
    running.signal(Signal::INT);
    running.end().1.exits(130);
    folder.write("next.ndjson", "{\"id\":\"a\"}\n");
    std::fs::rename(folder.at("next.ndjson"), folder.at("log.ndjson")).expect("it is there");
    let ran = words(&folder, FOLLOW).exits(5);
    ran.says("error[RECOVERY_9004]: the run had read 20 records of log.ndjson, which holds 1").says("--again");
    let mut running = Running::start(&folder, &format!("{FOLLOW} --again"));
    running.committed(1);
    running.signal(Signal::INT);
    running.end().1.exits(130);
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["21"]);
}

#[test]
fn a_followed_file_is_given_up_for_what_fails_of_late_and_not_for_what_failed_over_time() {
    let folder = Folder::new();
    let refused = |n: usize| format!("{{\"id\":\"r-{n}\",\"fault\":\"reject\"}}\n");
    let tenth_refused = |n: usize| refused(n) + &numbered(9).replace("i-", &format!("{n}-"));
    folder.write("log.ndjson", tenth_refused(0));
    let mut running = Running::start(&folder, &format!("{FOLLOW} --plugin {} --max-rejects 3/10", guest_arg("faulty")));
    running.committed(10);
    append(&folder, &(1..8).map(tenth_refused).collect::<String>());
    running.committed(70);
    append(&folder, &(8..12).map(refused).collect::<String>());
    running.end().1.exits(3).says("more than 3 of 10 items in a row were rejected or dead-lettered, 12 of 84 in all");
    assert_eq!(sql(&folder, "SELECT status, read FROM atlas_runs"), ["interrupted,84"]);
}

#[test]
fn a_followed_file_that_is_cut_ends_the_run_and_loses_nothing_that_was_read() {
    let folder = Folder::new();
    folder.write("log.ndjson", numbered(20));
    let mut running = Running::start(&folder, FOLLOW);
    running.committed(20);
    folder.write("log.ndjson", "");
    running.end().1.exits(7).says("error[VALIDATION_4006]").says("was cut to 0 bytes").says("log.ndjson");
    assert_eq!(sql(&folder, "SELECT count(*) FROM items"), ["20"]);
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let folder = Folder::new();
    folder.write("list.json", "[]");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(b"{}\n").expect("memory");
    folder.write("log.ndjson.gz", packed.finish().expect("memory"));
    words(&folder, "run --follow list.json").exits(2).says("`list.json` cannot be followed: a JSON array ends once");
    words(&folder, "run --follow log.ndjson.gz").exits(2).says("it is compressed").says("hint: ");
    words(&folder, "run --follow -").exits(2).says("it is no regular file").says("hint: ");
    words(&folder, "run --follow nothing.ndjson").exits(7).says("`nothing.ndjson` cannot be opened");
    assert!(!folder.at("atlas.db").exists());
}
