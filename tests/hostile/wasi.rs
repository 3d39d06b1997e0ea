//! WASI: nothing behind it but what was granted, and nothing in it that lasts.

use std::net::TcpListener;

use super::component::{Module, POISON, reject, replace, when_poisoned};
use super::{ITEMS, faults_cost_only_their_items, folder, items, run, text};
use crate::cli::{Redact, golden};
use crate::harness::Folder;

const IO: &str = "package wasi:io@0.2.0;
interface error { resource error; }
interface poll { resource pollable { block: func(); } }
interface streams {
    use error.{error};
    variant stream-error { last-operation-failed(error), closed }
    resource output-stream { blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>; }
    resource input-stream { blocking-read: func(len: u64) -> result<list<u8>, stream-error>; }
}";
const CLOCKS: &str = "package wasi:clocks@0.2.0;
interface monotonic-clock {
    use wasi:io/poll@0.2.0.{pollable};
    subscribe-duration: func(when: u64) -> pollable;
}";
const CLI: &str = "package wasi:cli@0.2.0;
interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
interface stderr { use wasi:io/streams@0.2.0.{output-stream}; get-stderr: func() -> output-stream; }
interface stdin { use wasi:io/streams@0.2.0.{input-stream}; get-stdin: func() -> input-stream; }
interface environment { get-environment: func() -> list<tuple<string, string>>; get-arguments: func() -> list<string>; }
interface exit { exit: func(status: result); }";
const FILES: &str = "package wasi:filesystem@0.2.0;
interface types {
    enum error-code { access, would-block, already, bad-descriptor, busy, deadlock, quota, exist, file-too-large,
        illegal-byte-sequence, in-progress, interrupted, invalid, io, is-directory, loop, too-many-links, message-size,
        name-too-long, no-device, no-entry, no-lock, insufficient-memory, insufficient-space, not-directory, not-empty,
        not-recoverable, unsupported, no-tty, no-such-device, overflow, not-permitted, pipe, read-only, invalid-seek,
        text-file-busy, cross-device }
    flags path-flags { symlink-follow }
    flags open-flags { create, directory, exclusive, truncate }
    flags descriptor-flags { read, write, file-integrity-sync, data-integrity-sync, requested-write-sync, mutate-directory }
    resource descriptor {
        open-at: func(path-flags: path-flags, path: string, open-flags: open-flags, %flags: descriptor-flags)
            -> result<descriptor, error-code>;
        read: func(length: u64, offset: u64) -> result<tuple<list<u8>, bool>, error-code>;
        write: func(buffer: list<u8>, offset: u64) -> result<u64, error-code>;
    }
}
interface preopens { use types.{descriptor}; get-directories: func() -> list<tuple<descriptor, string>>; }";

fn plugin(world: &str, imports: &str, fields: &str, each: &str) -> Vec<u8> {
    Module { world, packages: &[IO, CLOCKS, CLI, FILES], imports, fields, each, ..Module::default() }.component()
}

const SLEEP_WORLD: &str = "import wasi:clocks/monotonic-clock@0.2.0; import wasi:io/poll@0.2.0;";
const SLEEP: &str = r#"(import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $after (param i64) (result i32)))
    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;

#[test]
fn sleeping_for_ever_ends_with_the_deadline() {
    let each = when_poisoned("(call $block (call $after (i64.const 3600000000000)))");
    let folder = folder(&plugin(SLEEP_WORLD, SLEEP, "", &each), &items(ITEMS, &[]));
    let flags = ["--plugin", "plugin.wasm", "--deadline", "300ms"];
    faults_cost_only_their_items("an hour's sleep", &folder, &[(POISON as usize, "GUEST_10002")], &flags);
}

#[test]
fn handles_without_end_cost_one_item() {
    let each = when_poisoned("(loop $more (drop (call $after (i64.const 1))) (br $more))");
    let folder = folder(&plugin(SLEEP_WORLD, SLEEP, "", &each), &items(ITEMS, &[]));
    faults_cost_only_their_items("handles", &folder, &[(POISON as usize, "GUEST_10009")], &["--plugin", "plugin.wasm"]);
}

#[test]
fn a_flood_on_standard_output_is_cut_and_stops_nothing() {
    for (stream, get) in [("stdout", "get-stdout"), ("stderr", "get-stderr")] {
        let imports = format!(
            r#"(import "wasi:cli/{stream}@0.2.0" "{get}" (func $get (result i32)))
            (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
            (import "wasi:io/streams@0.2.0" "[resource-drop]output-stream" (func $drop (param i32)))"#
        );
        let each = when_poisoned(
            "(local.set $a (call $get)) (local.set $b (i32.const 5000))
             (loop $more
               (call $write (local.get $a) (i32.const 4096) (i32.const 17) (i32.const 1024))
               (local.set $b (i32.sub (local.get $b) (i32.const 1)))
               (br_if $more (local.get $b)))
             (call $drop (local.get $a))",
        );
        let world = format!("import wasi:cli/{stream}@0.2.0; import wasi:io/streams@0.2.0;");
        let bytes = plugin(&world, &imports, r#"(data (i32.const 4096) "flooding\1b[31m all\0a")"#, &each);
        let folder = folder(&bytes, &items(ITEMS, &[]));
        faults_cost_only_their_items(stream, &folder, &[], &["--plugin", "plugin.wasm"]);
        let left = run(&folder, "talk.db", &["-v", "--plugin", "plugin.wasm"]);
        let lines = left.stderr.matches("flooding").count();
        assert!((1..=100).contains(&lines), "{stream}: {lines} lines of the flood");
        assert!(!left.stderr.contains('\u{1b}'), "{stream}: a terminal escape got through");
    }
}

#[test]
fn leaving_the_process_costs_one_item() {
    let imports = r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#;
    for status in ["0", "1"] {
        let each = when_poisoned(&format!("(call $exit (i32.const {status}))"));
        let folder = folder(&plugin("import wasi:cli/exit@0.2.0;", imports, "", &each), &items(ITEMS, &[]));
        faults_cost_only_their_items(
            "exit",
            &folder,
            &[(POISON as usize, "GUEST_10001")],
            &["--plugin", "plugin.wasm"],
        );
    }
}

#[test]
fn standard_input_is_empty_and_no_arguments_are_seen() {
    let imports = r#"(import "wasi:cli/stdin@0.2.0" "get-stdin" (func $get (result i32)))
        (import "wasi:io/streams@0.2.0" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
        (import "wasi:cli/environment@0.2.0" "get-arguments" (func $arguments (param i32)))"#;
    // Anything but a closed stream, or any argument, drops the item.
    let each = when_poisoned(
        "(call $read (call $get) (i64.const 10) (i32.const 1024))
         (call $arguments (i32.const 1040))
         (if (i32.or (i32.eqz (i32.load8_u (i32.const 1024))) (i32.or (i32.ne (i32.load8_u (i32.const 1028)) (i32.const 1)) (i32.load (i32.const 1044))))
           (then (i32.store8 (local.get $one) (i32.const 3))))",
    );
    let world = "import wasi:cli/stdin@0.2.0; import wasi:io/streams@0.2.0; import wasi:cli/environment@0.2.0;";
    let folder = folder(&plugin(world, imports, "", &each), &items(ITEMS, &[]));
    faults_cost_only_their_items("input", &folder, &[], &["--plugin", "plugin.wasm"]);
}

/// Every body becomes the first variable's value; where there is none, the item is refused with `NONE`.
fn environment() -> Vec<u8> {
    let each = format!(
        "(call $environment (i32.const 1024))
         (if (i32.load (i32.const 1028))
           (then (local.set $a (i32.load (i32.const 1024))) {})
           (else {}))",
        replace("(i32.load offset=8 (local.get $a))", "(i32.load offset=12 (local.get $a))"),
        reject("(i32.const 4096)", "(i32.const 4)")
    );
    let imports = r#"(import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))"#;
    plugin("import wasi:cli/environment@0.2.0;", imports, r#"(data (i32.const 4096) "NONE")"#, &each)
}

#[test]
fn the_environment_is_empty_but_for_what_is_granted() {
    let folder = folder(&environment(), &items(3, &[]));
    let left = run(&folder, "none.db", &["--plugin", "plugin.wasm"]);
    assert_eq!(left.letters.iter().map(|letter| text(letter, "code")).collect::<Vec<_>>(), ["NONE"; 3]);
    let grant = ["--plugin", "plugin.wasm", "--grant-env", "GREETING=\"hello\""];
    let left = run(&folder, "granted.db", &grant);
    assert_eq!(left.stored.values().collect::<Vec<_>>(), ["\"hello\""; 3]);
}

/// Imports some of every kind that WASI has, and uses none.
fn curious() -> Vec<u8> {
    const MORE: [&str; 2] = [
        "package wasi:random@0.2.0; interface random { get-random-u64: func() -> u64; }",
        "package wasi:sockets@0.2.0;
        interface network { resource network; }
        interface instance-network { use network.{network}; instance-network: func() -> network; }",
    ];
    let imports = format!(
        r#"{SLEEP}
        (import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))
        (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
        (import "wasi:cli/environment@0.2.0" "get-environment" (func $environment (param i32)))
        (import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))
        (import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
        (import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))"#
    );
    let world = format!(
        "{SLEEP_WORLD} {FILES_WORLD} import wasi:random/random@0.2.0; import wasi:cli/stdout@0.2.0; import wasi:cli/environment@0.2.0;
        import wasi:cli/exit@0.2.0; import wasi:sockets/instance-network@0.2.0;"
    );
    let packages = [IO, CLOCKS, CLI, FILES, MORE[0], MORE[1]];
    Module { world: &world, packages: &packages, imports: &imports, ..Module::default() }.component()
}

#[test]
fn inspect_tells_what_is_behind_each_import() {
    let folder = folder(&curious(), &items(1, &[]));
    std::fs::create_dir(folder.at("data")).expect("a folder");
    folder.write(
        "atlas.toml",
        "[plugins.granted]\nsource = \"plugin.wasm\"\nrole = \"operation\"\ngrant-dir = [\"data::/data\"]\ngrant-env = [\"KEY=secret\"]\ngrant-host = [\"127.0.0.1:80\"]\n",
    );
    std::fs::copy(folder.at("plugin.wasm"), folder.at("other.wasm")).expect("a copy");
    folder.atlas(["inspect", "plugin.wasm"]).run().exits(0);
    let size = curious().len().to_string();
    for (file, of) in [("other.wasm", "denied"), ("plugin.wasm", "granted")] {
        let ran = folder.atlas(["inspect", file]).run().exits(0);
        golden(
            &format!("inspect-wasi-{of}.txt"),
            &Redact::new(folder.path()).text(&ran.stdout).replace(&size, "<size>"),
        );
        let json = folder.atlas(["inspect", file, "--output", "json"]).run().exits(0).json();
        let imports = json["imports"].as_array().expect("a list");
        let status =
            |name: &str| imports.iter().find(|import| import["name"] == name).expect("imported")["status"].clone();
        assert_eq!(status("wasi:filesystem/preopens@0.2.0"), of);
        assert_eq!(status("wasi:cli/exit@0.2.0"), "denied");
    }
    // It runs, too.
    run(&folder, "out.db", &["--plugin", "plugin.wasm"]);
}

const FILES_WORLD: &str = "import wasi:filesystem/preopens@0.2.0; import wasi:filesystem/types@0.2.0;";
const FILES_IMPORTS: &str = r#"(import "wasi:filesystem/preopens@0.2.0" "get-directories" (func $directories (param i32)))
    (import "wasi:filesystem/types@0.2.0" "[method]descriptor.open-at" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (import "wasi:filesystem/types@0.2.0" "[method]descriptor.read" (func $read (param i32 i64 i64 i32)))
    (import "wasi:filesystem/types@0.2.0" "[method]descriptor.write" (func $write (param i32 i32 i32 i64 i32)))
    (import "wasi:filesystem/types@0.2.0" "[resource-drop]descriptor" (func $drop (param i32)))"#;

/// Opens `path` in the first directory, with these open and descriptor flags, and goes on with `then` (`$b` is the file).
/// Refusals: `NONE` without a directory, `O` and a letter for the error code of opening.
fn opening(path: &str, open: u32, flags: u32, then: &str) -> Vec<u8> {
    let bytes = path.len();
    let each = format!(
        "(call $directories (i32.const 1024))
         (if (i32.eqz (i32.load (i32.const 1028))) (then {none})
           (else
             (local.set $a (i32.load (i32.load (i32.const 1024))))
             (call $open (local.get $a) (i32.const 1) (i32.const 5000) (i32.const {bytes}) (i32.const {open}) (i32.const {flags}) (i32.const 1040))
             (if (i32.load8_u (i32.const 1040))
               (then (i32.store8 (i32.const 4101) (i32.add (i32.const 65) (i32.load8_u (i32.const 1044)))) {refused})
               (else (local.set $b (i32.load (i32.const 1044))) {then} (call $drop (local.get $b))))
             (call $drop (local.get $a))))",
        none = reject("(i32.const 4096)", "(i32.const 4)"),
        refused = reject("(i32.const 4100)", "(i32.const 2)"),
    );
    let fields = format!(r#"(data (i32.const 4096) "NONEO?W?") (data (i32.const 5000) "{path}")"#);
    plugin(FILES_WORLD, FILES_IMPORTS, &fields, &each)
}

/// A plugin whose every body becomes the content of `path`.
fn reading(path: &str) -> Vec<u8> {
    let read = format!(
        "(call $read (local.get $b) (i64.const 100) (i64.const 0) (i32.const 1056)) {}",
        replace("(i32.load (i32.const 1060))", "(i32.load (i32.const 1064))")
    );
    opening(path, 0, 1, &read)
}

/// A folder with the plugin, one item, and a folder `given` beside which there is a secret.
fn with_files(plugin: &[u8]) -> Folder {
    let folder = folder(plugin, &items(1, &[]));
    std::fs::create_dir(folder.at("given")).expect("a folder");
    folder.write("given/open.json", "\"given\"");
    folder.write("secret.json", "\"secret\"");
    std::os::unix::fs::symlink("../secret.json", folder.at("given/link.json")).expect("a link");
    std::os::unix::fs::symlink(folder.at("secret.json"), folder.at("given/absolute.json")).expect("a link");
    folder
}

#[test]
fn no_directory_is_there_without_a_grant() {
    let left = run(&with_files(&reading("open.json")), "atlas.db", &["--plugin", "plugin.wasm"]);
    assert_eq!(left.letters.iter().map(|letter| text(letter, "code")).collect::<Vec<_>>(), ["NONE"]);
}

/// In `test` a fixture grants, with paths relative to itself; the sandbox is that of a run.
#[test]
fn what_a_fixture_grants_can_be_reached_and_nothing_else() {
    let folder = with_files(&reading("open.json"));
    std::fs::create_dir(folder.at("fixtures")).expect("a folder");
    std::fs::rename(folder.at("given"), folder.at("fixtures/given")).expect("a folder");
    let fixture = |grants: &str, wanted: &str| {
        let item = format!(r#"{{"id": "a", "body": {{}}, "outcome": {wanted}}}"#);
        format!(r#"{{{grants} "cases": [{{"name": "n", "items": [{item}]}}]}}"#)
    };
    folder.write("fixtures/none.json", fixture("", r#"{"reject": {"code": "NONE"}}"#));
    folder.write("fixtures/dir.json", fixture(r#""grant-dir": ["given::data"],"#, r#"{"replace": "given"}"#));
    let ran = folder.atlas(["test", "--plugin", "plugin.wasm", "--fixtures", "fixtures"]).run().exits(0);
    assert!(ran.stdout.contains("2 cases: 2 passed"), "{}", ran.stdout);
    folder.write("plugin.wasm", environment());
    std::fs::remove_file(folder.at("fixtures/dir.json")).expect("a file");
    folder.write("fixtures/env.json", fixture(r#""grant-env": ["GREETING=\"hello\""],"#, r#"{"replace": "hello"}"#));
    folder.atlas(["test", "--plugin", "plugin.wasm", "--fixtures", "fixtures"]).run().exits(0);
}

#[test]
fn a_granted_directory_can_be_read_and_nothing_beside_it() {
    let grant = ["--plugin", "plugin.wasm", "--grant-dir", "given::data"];
    let left = run(&with_files(&reading("open.json")), "atlas.db", &grant);
    assert_eq!(left.stored.values().collect::<Vec<_>>(), ["\"given\""], "{:?}", left.letters);
    for path in ["../secret.json", "link.json", "absolute.json", "/etc/passwd", "a/../../secret.json", "//etc/passwd"] {
        let left = run(&with_files(&reading(path)), "atlas.db", &grant);
        assert!(left.stored.is_empty(), "{path} was read: {:?}", left.stored);
        assert!(text(&left.letters[0], "code").starts_with('O'), "{path}: {:?}", left.letters);
    }
}

#[test]
fn a_granted_directory_can_be_written_only_if_that_was_granted() {
    let write = "(call $write (local.get $b) (i32.const 4096) (i32.const 4) (i64.const 0) (i32.const 1056))";
    let (create, read_write) = (1, 2);
    let plugin = opening("made.txt", create, read_write, write);
    let folder = with_files(&plugin);
    let left = run(&folder, "read.db", &["--plugin", "plugin.wasm", "--grant-dir", "given::data"]);
    assert!(text(&left.letters[0], "code").starts_with('O'), "{:?}", left.letters);
    assert!(!folder.at("given/made.txt").exists());
    let left = run(&folder, "write.db", &["--plugin", "plugin.wasm", "--grant-dir", "given::data:rw"]);
    assert_eq!(left.stored.len(), 1, "{:?}", left.letters);
    assert_eq!(folder.read("given/made.txt"), "NONE");
}

#[test]
fn a_granted_directory_that_is_not_there_is_refused_at_the_start() {
    let folder = with_files(&reading("open.json"));
    let run = ["run", "-q", "--input", "items.ndjson", "--plugin", "plugin.wasm", "--grant-dir", "absent::data"];
    let ran = folder.atlas(run).run();
    assert!(matches!(ran.code, Some(2 | 4)) && ran.stderr.contains("absent"), "{ran:?}");
}

const SOCKETS: &str = "package wasi:sockets@0.2.0;
interface network {
    resource network;
    enum error-code { unknown, access-denied, not-supported, invalid-argument, out-of-memory, timeout, concurrency-conflict,
        not-in-progress, would-block, invalid-state, new-socket-limit, address-not-bindable, address-in-use,
        remote-unreachable, connection-refused, connection-reset, connection-aborted, datagram-too-large,
        name-unresolvable, temporary-resolver-failure, permanent-resolver-failure }
    enum ip-address-family { ipv4, ipv6 }
    type ipv4-address = tuple<u8, u8, u8, u8>;
    type ipv6-address = tuple<u16, u16, u16, u16, u16, u16, u16, u16>;
    record ipv4-socket-address { port: u16, address: ipv4-address }
    record ipv6-socket-address { port: u16, flow-info: u32, address: ipv6-address, scope-id: u32 }
    variant ip-socket-address { ipv4(ipv4-socket-address), ipv6(ipv6-socket-address) }
}
interface instance-network { use network.{network}; instance-network: func() -> network; }
interface tcp {
    use wasi:io/poll@0.2.0.{pollable};
    use wasi:io/streams@0.2.0.{input-stream, output-stream};
    use network.{network, error-code, ip-socket-address};
    resource tcp-socket {
        start-connect: func(network: borrow<network>, remote-address: ip-socket-address) -> result<_, error-code>;
        finish-connect: func() -> result<tuple<input-stream, output-stream>, error-code>;
        subscribe: func() -> pollable;
    }
}
interface tcp-create-socket {
    use network.{error-code, ip-address-family};
    use tcp.{tcp-socket};
    create-tcp-socket: func(address-family: ip-address-family) -> result<tcp-socket, error-code>;
}";

/// Connects to a port of this machine. Refusals: `C`, `S`, `F` (creating, starting, finishing) and a letter for the error.
fn connecting(port: u16) -> Vec<u8> {
    let world =
        "import wasi:sockets/network@0.2.0; import wasi:sockets/instance-network@0.2.0; import wasi:sockets/tcp@0.2.0;
        import wasi:sockets/tcp-create-socket@0.2.0; import wasi:io/poll@0.2.0; import wasi:io/streams@0.2.0;";
    let imports = r#"(import "wasi:sockets/instance-network@0.2.0" "instance-network" (func $network (result i32)))
        (import "wasi:sockets/tcp-create-socket@0.2.0" "create-tcp-socket" (func $create (param i32 i32)))
        (import "wasi:sockets/tcp@0.2.0" "[method]tcp-socket.start-connect"
          (func $start (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
        (import "wasi:sockets/tcp@0.2.0" "[method]tcp-socket.finish-connect" (func $finish (param i32 i32)))
        (import "wasi:sockets/tcp@0.2.0" "[method]tcp-socket.subscribe" (func $subscribe (param i32) (result i32)))
        (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#;
    let failed = |letter: char, at: u32| {
        format!(
            "(i32.store8 (i32.const 4096) (i32.const {})) \
             (i32.store8 (i32.const 4097) (i32.add (i32.const 65) (i32.load8_u (i32.const {at})))) {}",
            u32::from(letter),
            reject("(i32.const 4096)", "(i32.const 2)")
        )
    };
    let zeros = "(i32.const 0) ".repeat(6);
    let each = format!(
        "(call $create (i32.const 0) (i32.const 1024))
         (if (i32.load8_u (i32.const 1024)) (then {creating}) (else
           (local.set $a (i32.load (i32.const 1028)))
           (call $start (local.get $a) (call $network) (i32.const 0) (i32.const {port})
             (i32.const 127) (i32.const 0) (i32.const 0) (i32.const 1) {zeros} (i32.const 1040))
           (if (i32.load8_u (i32.const 1040)) (then {starting}) (else
             (call $block (call $subscribe (local.get $a)))
             (call $finish (local.get $a) (i32.const 1056))
             (if (i32.load8_u (i32.const 1056)) (then {finishing}))))))",
        creating = failed('C', 1028),
        starting = failed('S', 1041),
        finishing = failed('F', 1060),
    );
    Module { world, packages: &[IO, SOCKETS], imports, each: &each, ..Module::default() }.component()
}

#[test]
fn a_host_can_be_connected_to_only_if_that_was_granted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let folder = folder(&connecting(port), &items(1, &[]));
    let left = run(&folder, "denied.db", &["--plugin", "plugin.wasm"]);
    // `access-denied` is the second case of the error, wherever it is said.
    assert!(text(&left.letters[0], "code").ends_with('B'), "{:?}", left.letters);
    let other = run(&folder, "other.db", &["--plugin", "plugin.wasm", "--grant-host", "127.0.0.1:1"]);
    assert!(text(&other.letters[0], "code").ends_with('B'), "{:?}", other.letters);
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_err(), "a connection came without a grant");
    let address = format!("127.0.0.1:{port}");
    let left = run(&folder, "granted.db", &["--plugin", "plugin.wasm", "--grant-host", &address]);
    assert_eq!(left.stored.len(), 1, "{:?}", left.letters);
    assert!(listener.accept().is_ok(), "the connection never came");
}

#[test]
fn addresses_that_are_refused_are_told_within_the_budget_of_log_lines() {
    let folder = folder(&connecting(9), &items(150, &[]));
    let run = ["run", "-v", "--input", "items.ndjson", "--id", "id", "--plugin", "plugin.wasm", "--lanes", "1"];
    let more = ["--batch-size", "150", "--grant-host", "127.0.0.1:1", "--events", "events.ndjson"];
    let ran = folder.atlas([&run[..], &more].concat()).run().exits(3);
    assert_eq!(ran.stderr.matches("asked for 127.0.0.1:9, which is not granted").count(), 100, "{}", ran.stderr);
    let events = folder.read("events.ndjson");
    let dropped: Vec<&str> = events.lines().filter(|line| line.contains("log-dropped")).collect();
    assert!(matches!(&dropped[..], [one] if one.contains("\"lines\":50")), "{dropped:?}");
}
