//! Text that a plugin returns: encodings, places, lengths, and what is no JSON.

use wit_component::StringEncoding;

use super::component::{Module, POISON, reject, replace, when_poisoned};
use super::{ITEMS, faults_cost_only_their_items, folder, items, run, text};

/// The poisoned item's body is replaced by the string at `pointer`; `data` is memory from 4096.
#[track_caller]
fn costs_one_item(what: &str, encoding: StringEncoding, data: &str, place: (&str, &str), code: &str) {
    let each = when_poisoned(&replace(place.0, place.1));
    let fields = format!("(data (i32.const 4096) \"{data}\")");
    let module = Module { fields: &fields, each: &each, encoding, ..Module::default() };
    let folder = folder(&module.component(), &items(ITEMS, &[]));
    faults_cost_only_their_items(what, &folder, &[(POISON as usize, code)], &["--plugin", "plugin.wasm"]);
}

#[test]
fn text_that_is_no_utf8_costs_one_item() {
    let utf8 = StringEncoding::UTF8;
    let at = "(i32.const 4096)";
    costs_one_item("a lone byte", utf8, "\\22\\ff\\22", (at, "(i32.const 3)"), "GUEST_10006");
    costs_one_item("a surrogate", utf8, "\\22\\ed\\a0\\80\\22", (at, "(i32.const 5)"), "GUEST_10006");
    costs_one_item("an overlong slash", utf8, "\\22\\c0\\af\\22", (at, "(i32.const 4)"), "GUEST_10006");
    costs_one_item("cut in a character", utf8, "\\22\\f0\\9f\\98", (at, "(i32.const 4)"), "GUEST_10006");
}

#[test]
fn text_beyond_memory_costs_one_item() {
    let utf8 = StringEncoding::UTF8;
    costs_one_item("a wild pointer", utf8, "", ("(i32.const -16)", "(i32.const 100)"), "GUEST_10006");
    costs_one_item("over the end", utf8, "", ("(i32.const 4096)", "(i32.const 0x7fffffff)"), "GUEST_10006");
    costs_one_item("the whole space", utf8, "", ("(i32.const 0)", "(i32.const -1)"), "GUEST_10006");
}

#[test]
fn wide_text_that_is_misplaced_or_half_a_character_costs_one_item() {
    let at = "(i32.const 4096)";
    let lone = "\\22\\00\\00\\d8\\22\\00";
    costs_one_item("a lone surrogate", StringEncoding::UTF16, lone, (at, "(i32.const 3)"), "GUEST_10006");
    let odd = ("(i32.const 4097)", "(i32.const 2)");
    costs_one_item("an odd address", StringEncoding::UTF16, "\\22\\00\\22\\00\\22", odd, "GUEST_10006");
    let long = ("(i32.const 4096)", "(i32.const 0x7fffffff)");
    costs_one_item("too long", StringEncoding::UTF16, "", long, "GUEST_10006");
    let tagged = ("(i32.const 4097)", "(i32.const 0x80000002)");
    costs_one_item("a tagged odd address", StringEncoding::CompactUTF16, "\\22\\00\\22\\00", tagged, "GUEST_10006");
    let tagged = ("(i32.const 4096)", "(i32.const 0x80000003)");
    costs_one_item("a tagged surrogate", StringEncoding::CompactUTF16, lone, tagged, "GUEST_10006");
}

#[test]
fn wide_and_narrow_text_arrives_whole() {
    let ids = [(POISON as usize, r#"{"id":"i-013","text":"ä€😀"}"#.to_owned())];
    for (encoding, data, length) in [
        (StringEncoding::UTF16, "\\22\\00\\3d\\d8\\00\\de\\e4\\00\\22\\00", 5),
        (StringEncoding::CompactUTF16, "\\22\\00\\3d\\d8\\00\\de\\e4\\00\\22\\00", 0x8000_0005_u32),
    ] {
        let each = when_poisoned(&replace("(i32.const 4096)", &format!("(i32.const {length})")));
        let fields = format!("(data (i32.const 4096) \"{data}\")");
        let module = Module { fields: &fields, each: &each, encoding, ..Module::default() };
        let left = run(&folder(&module.component(), &items(ITEMS, &ids)), "atlas.db", &["--plugin", "plugin.wasm"]);
        assert_eq!(left.stored.get("i-013").map(String::as_str), Some("\"😀ä\""), "{encoding:?}: {:?}", left.letters);
        assert_eq!(left.stored.len(), ITEMS, "{encoding:?}");
    }
}

#[test]
fn bodies_that_are_no_strict_json_cost_one_item() {
    let utf8 = StringEncoding::UTF8;
    for (what, data, code) in [
        ("nothing", "", "GUEST_10008"),
        ("half an object", "{\\22a\\22:1", "GUEST_10008"),
        ("a loose object", "{a:1}", "GUEST_10008"),
        ("a comma too many", "[1,]", "GUEST_10008"),
        ("not a number", "NaN", "GUEST_10008"),
        ("two values", "1 2", "GUEST_10008"),
        ("a raw line break", "\\22a\\0ab\\22", "GUEST_10008"),
        ("half a character", "\\22\\5cud800\\22", "GUEST_10008"),
        ("another item's id", "{\\22id\\22:\\22i-014\\22}", "GUEST_10007"),
    ] {
        let length = data.replace("\\22", "q").replace("\\0a", "q").replace("\\5c", "q").len();
        costs_one_item(what, utf8, data, ("(i32.const 4096)", &format!("(i32.const {length})")), code);
    }
}

#[test]
fn a_message_with_terminal_escapes_is_kept_in_the_letter_and_escaped_in_talk() {
    let data = "\\1b[31mRED\\0d\\0anext";
    let each = when_poisoned(&reject("(i32.const 4096)", "(i32.const 14)"));
    let fields = format!("(data (i32.const 4096) \"{data}\")");
    let folder = folder(&Module { fields: &fields, each: &each, ..Module::default() }.component(), &items(ITEMS, &[]));
    let left = run(&folder, "atlas.db", &["--plugin", "plugin.wasm"]);
    assert_eq!(text(&left.letters[0], "code"), "\u{1b}[31mRED\r\nnext");
    assert_eq!(text(&left.letters[0], "fate"), "rejected");
    for arguments in [&["dead-letters", "list"][..], &["dead-letters", "show", "1"], &["runs", "list"]] {
        let ran = folder.atlas(arguments).run().exits(0);
        assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{arguments:?}: {ran:?}");
    }
    let ran =
        folder.atlas(["run", "--input", "items.ndjson", "--plugin", "plugin.wasm", "--store", "b.db"]).run().exits(3);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    let sample = ["validate", "--input", "items.ndjson", "--id", "id", "--plugin", "plugin.wasm"];
    let ran = folder.atlas(sample).run().exits(3);
    assert!(ran.stdout.contains("\\u{1b}[31mRED") && !ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
}
