use super::super::conformance::Random;
use super::*;
use crate::model::Position;
use serde_json::Value;

fn decode(text: &(impl AsRef<[u8]> + ?Sized), pointer: &str, missing: MissingId) -> Result<Option<String>, Problem> {
    let decoder = Decoder::new(Pointer::parse(pointer), missing);
    let raw = Raw { bytes: text.as_ref(), id: None, position: Position::default() };
    decoder.judge(&raw).map(|d| d.id.map(Cow::into_owned))
}

fn id(text: &str, pointer: &str) -> Option<String> {
    let found = decode(text, pointer, MissingId::Reject).unwrap_or_else(|p| panic!("{text}: {p:?}"));
    assert_eq!(id_at(text, &Pointer::parse(pointer).unwrap()).map(Cow::into_owned), found);
    found
}

fn code(text: &(impl AsRef<[u8]> + ?Sized), pointer: &str) -> (String, String) {
    let problem = decode(text, pointer, MissingId::Reject).unwrap_err();
    (problem.code, problem.message)
}

#[test]
fn the_pointer_finds_texts_and_numbers_as_they_stand() {
    for (text, pointer, wanted) in [
        (r#"{"id":"x"}"#, "id", "x"),
        (r#" { "b" : {"id":"no"}, "id" : "x" , "c":[] } "#, "/id", "x"),
        (r#"{"id":"first","id":"second"}"#, "id", "first"),
        (r#"{"i\u0064":"a\n\ud83e\udd80"}"#, "id", "a\n\u{1f980}"),
        (r#"{"id":18446744073709551617}"#, "id", "18446744073709551617"),
        (r#"{"id":-0}"#, "id", "-0"),
        (r#"{"id":1e400}"#, "id", "1e400"),
        (r#"{"a":[1,{"b":"x"}]}"#, "/a/1/b", "x"),
        (r#"["x","y"]"#, "/1", "y"),
        (r#"{"a/b":{"~":7}}"#, "/a~1b/~0", "7"),
        (r#"{"":1}"#, "/", "1"),
        (r#"{"id":"'; DROP TABLE items; --"}"#, "id", "'; DROP TABLE items; --"),
        (r#"{"id":"../../etc"}"#, "id", "../../etc"),
    ] {
        assert_eq!(id(text, pointer).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn a_plain_id_is_borrowed() {
    let raw = Raw { bytes: br#"{"id":"x"}"#, id: None, position: Position::default() };
    let decoder = Decoder::new(Pointer::parse("id"), MissingId::Reject);
    assert!(matches!(decoder.judge(&raw).unwrap().id, Some(Cow::Borrowed("x"))));
}

#[test]
fn an_id_that_is_missing_or_of_another_type_is_refused_by_name() {
    for (text, found, ordinal) in [
        ("{}", "nothing", true),
        ("[1]", "nothing", true),
        ("7", "nothing", true),
        (r#"{"id":null}"#, "null", true),
        (r#"{"id":true}"#, "a boolean", false),
        (r#"{"id":{"id":1}}"#, "an object", false),
        (r#"{"id":[]}"#, "an array", false),
    ] {
        let problem = decode(text, "id", MissingId::Reject).unwrap_err();
        assert_eq!((problem.code.as_str(), problem.pointer.as_str()), ("VALIDATION_4002", "/id"), "{text}");
        assert_eq!(problem.details, [("found".to_owned(), found.to_owned())]);
        assert_eq!(decode(text, "id", MissingId::Ordinal).is_ok_and(|id| id.is_none()), ordinal, "{text}");
    }
    assert_eq!(id_at("{}", &Pointer::parse("id").unwrap()), None);
}

#[test]
fn an_id_is_one_to_512_bytes_without_nul() {
    let with = |id: &str| format!("{{\"id\":\"{id}\"}}");
    assert_eq!(id(&with(&"x".repeat(512)), "id").unwrap().len(), 512);
    assert_eq!(code(&with(&"x".repeat(513)), "id").0, "VALIDATION_4005");
    assert_eq!(code(&with(&"é".repeat(257)), "id").0, "VALIDATION_4005");
    assert_eq!(code(&with(""), "id").0, "VALIDATION_4002");
    assert_eq!(code(&with("a\\u0000"), "id").0, "VALIDATION_4002");
}

#[test]
fn what_is_no_strict_json_is_refused_with_its_place() {
    for text in [
        "",
        "{",
        "{\"a\":1,}",
        "[1,]",
        "01",
        "1.",
        "+1",
        "NaN",
        "{'a':1}",
        "{} {}",
        "\"\u{1}\"",
        "\"\\x\"",
        "\u{feff}{}",
        "nul",
        "{1:2}",
    ] {
        for pointer in ["", "id"] {
            assert_eq!(code(text, pointer).0, "VALIDATION_4004", "{text}");
        }
        assert!(judge_body(text).is_err(), "{text}");
    }
    assert_eq!(code("{\"a\":1\n,,}", "").1, "no valid JSON: key must be a string at line 2 column 2");
    assert_eq!(code(b"{\"a\":\"\xe9\"}", "").1, "no UTF-8: bad byte 0xe9 at byte 6");
    for text in
        ["1e400", "-0", "123456789012345678901234567890", "null", "\"\"", "[]", " \r\n\t{}\r", "{\"a\":\"\u{7f}\"}"]
    {
        assert!(judge_body(text).is_ok(), "{text}");
    }
}

#[test]
fn half_a_surrogate_pair_is_refused_wherever_it_stands() {
    for (text, at) in [
        (r#""\ud800""#, 1),
        (r#"{"\udc00":1}"#, 2),
        (r#""\ud83e\udd80 \ud83e""#, 14),
        (r#""\ud83e\ud83e\udd80""#, 1),
        (r#"["\\\udfff"]"#, 4),
    ] {
        let wanted = format!("at byte {at} is half a surrogate pair");
        assert!(judge_body(text).unwrap_err().message.contains(&wanted), "{text}");
    }
    for text in [r#""\ud83e\udd80""#, r#""\\ud800""#, r#""\u00e9""#] {
        assert!(judge_body(text).is_ok(), "{text}");
    }
}

#[test]
fn nesting_is_bounded_and_costs_no_stack() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    assert!(judge_body(&nested(JSON_DEPTH_MAX)).is_ok());
    for depth in [JSON_DEPTH_MAX + 1, 200, 1_000_000] {
        assert_eq!(judge_body(&nested(depth)).unwrap_err().code, "VALIDATION_4005");
        assert_eq!(judge_body(&"{\"a\":".repeat(depth)).unwrap_err().code, "VALIDATION_4005");
    }
    assert!(judge_body(&format!("[{}1]", "[],".repeat(1000))).is_ok(), "many brackets, but flat");
    assert!(judge_body(&format!("\"{}\\\"{}\"", "[".repeat(500), "{".repeat(500))).is_ok(), "brackets in a text");
}

#[test]
fn judges_as_serde_json_does_and_finds_what_its_own_pointer_finds() {
    for seed in 0..2000 {
        let mut random = Random::new(seed);
        let mut text = random.json(4).to_string();
        if random.below(2) == 0 {
            let at = random.below(text.len());
            if text.is_char_boundary(at) {
                text.insert_str(at, random.one_of(&["[", "\"", ",", "}", "1", "\\", "x"]));
            }
        }
        let value = serde_json::from_str::<Value>(&text);
        assert_eq!(judge_body(&text).is_ok(), value.is_ok(), "seed {seed}: {text}");
        let Ok(value) = value else { continue };
        for pointer in ["/a", "/0", "/1/0", "/bc/a", "/ /1", "/=cmd()"] {
            let wanted = match value.pointer(pointer) {
                Some(Value::String(s)) => Some(s.clone()),
                Some(Value::Number(n)) => Some(n.to_string()),
                _ => None,
            };
            let found = id_at(&text, &Pointer::parse(pointer).unwrap()).map(Cow::into_owned);
            assert!(
                found == wanted || text.matches(&format!("\"{}\":", &pointer[1..])).count() > 1,
                "seed {seed}: {text} {pointer}"
            );
        }
    }
}
