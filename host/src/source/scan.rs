//! Reads over one JSON text, once and without building anything: is it strict JSON, and where is the value that a pointer
//! leads to.
//!
//! It answers for the texts that come by the million and leaves every doubt to serde_json, whose word counts: what is not
//! JSON and wants a message, a member's name with an escape where names are compared, an array on the pointer's way.
//! Invariant: a text that it takes is one that serde_json takes, and it finds what serde_json finds.
//!
//! Strings, most of any text, are passed eight bytes at a time. All of it becomes one function: with calls in between it takes
//! half as long again, since a text has a step for every few of its bytes.

use crate::limits::JSON_DEPTH_MAX;

/// What was found in a text that is strict JSON (RFC 8259), nested [`JSON_DEPTH_MAX`] deep at the most. Escapes for
/// half a surrogate pair are not looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scanned<'a> {
    /// The value that the pointer leads to, as it stands; of members with the same name the first counts.
    pub found: Option<&'a str>,
    /// True if a string has an escape.
    pub escapes: bool,
}

/// Scans a whole text; `tokens` are those of a pointer, none of them: nothing is looked for.
/// None: somebody slower has to say what it is.
pub(crate) fn scan<'a>(text: &'a str, tokens: &[String]) -> Option<Scanned<'a>> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, escapes: false };
    let mut open = Open::default();
    let mut way = Way { tokens, depth: 1, value: None };
    let mut range = None;
    'value: loop {
        scan.blanks();
        match scan.next()? {
            b'{' => {
                open.push(true)?;
                scan.blanks();
                if scan.passes(b'}') {
                    open.pop();
                } else {
                    scan.name(&open, &mut way)?;
                    continue;
                }
            }
            b'[' => {
                open.push(false)?;
                way.array(&open)?;
                scan.blanks();
                if scan.passes(b']') {
                    open.pop();
                } else {
                    continue;
                }
            }
            b'"' => scan.string()?,
            b't' => scan.word(b"rue")?,
            b'f' => scan.word(b"alse")?,
            b'n' => scan.word(b"ull")?,
            digit => scan.number(digit)?,
        }
        // A value has ended here, and with each bracket another one.
        loop {
            if let Some(start) = way.ended(&open) {
                range = Some(start..scan.at);
            }
            scan.blanks();
            let Some(object) = open.innermost() else {
                let whole = scan.at == scan.bytes.len();
                return whole.then(|| Scanned { found: range.map(|r| &text[r]), escapes: scan.escapes });
            };
            match (scan.next()?, object) {
                (b',', true) => {
                    scan.blanks();
                    scan.name(&open, &mut way)?;
                    continue 'value;
                }
                (b',', false) => continue 'value,
                (b'}', true) | (b']', false) => open.pop(),
                _ => return None,
            }
        }
    }
}

/// The brackets that are open: bit by bit, one for an object, the innermost last.
#[derive(Default)]
struct Open {
    objects: u128,
    depth: usize,
}

const _: () = assert!(JSON_DEPTH_MAX <= 128, "one bit per level");

impl Open {
    #[inline(always)]
    fn push(&mut self, object: bool) -> Option<()> {
        self.objects = self.objects << 1 | u128::from(object);
        self.depth += 1;
        (self.depth <= JSON_DEPTH_MAX).then_some(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    /// True for an object, false for an array; none if all are closed.
    #[inline(always)]
    fn innermost(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.objects & 1 == 1)
    }
}

/// How far a pointer has been followed.
struct Way<'t> {
    /// What is still to be followed; empty where nothing is, or nothing more can be found.
    tokens: &'t [String],
    /// Depth of the object whose members are compared with the first of them.
    depth: usize,
    /// The value that is looked for, where it begins and in which depth, until it has ended.
    value: Option<(usize, usize)>,
}

impl Way<'_> {
    #[inline(always)]
    fn compares(&self, open: &Open) -> bool {
        !self.tokens.is_empty() && self.depth == open.depth
    }

    /// A member's name, after which its value begins at `at`, with a bracket or without.
    #[inline(always)]
    fn member(&mut self, name: &[u8], at: usize, bracket: bool, open: &Open) {
        if !self.compares(open) || self.tokens[0].as_bytes() != name {
            return;
        }
        self.tokens = &self.tokens[1..];
        if self.tokens.is_empty() {
            self.value = Some((at, open.depth));
        } else if bracket {
            self.depth += 1;
        } else {
            self.tokens = &[];
        }
    }

    /// An array that the pointer leads into is somebody else's affair.
    fn array(&self, open: &Open) -> Option<()> {
        (!self.compares(open)).then_some(())
    }

    /// A value has ended. Where the one that is looked for began, if it is that.
    #[inline(always)]
    fn ended(&mut self, open: &Open) -> Option<usize> {
        if open.depth < self.depth {
            // The object whose members were compared is over.
            self.tokens = &[];
        }
        self.value.take_if(|(_, depth)| *depth == open.depth).map(|(at, _)| at)
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    escapes: bool,
}

impl Scan<'_> {
    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline(always)]
    fn passes(&mut self, byte: u8) -> bool {
        let passes = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(passes);
        passes
    }

    #[inline(always)]
    fn blanks(&mut self) {
        // Mostly there is none, which one comparison tells.
        while let Some(byte) = self.bytes.get(self.at)
            && *byte <= b' '
            && matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
        {
            self.at += 1;
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(rest).then(|| self.at += rest.len())
    }

    /// A member's name and its colon, up to the value.
    #[inline(always)]
    fn name(&mut self, open: &Open, way: &mut Way<'_>) -> Option<()> {
        if !self.passes(b'"') {
            return None;
        }
        let (start, escapes) = (self.at, std::mem::take(&mut self.escapes));
        self.string()?;
        if self.escapes && way.compares(open) {
            return None;
        }
        self.escapes |= escapes;
        let end = self.at - 1;
        self.blanks();
        if !self.passes(b':') {
            return None;
        }
        self.blanks();
        let bracket = matches!(self.bytes.get(self.at), Some(b'{' | b'['));
        way.member(&self.bytes[start..end], self.at, bracket, open);
        Some(())
    }

    /// The rest of a string, behind its first quote.
    #[inline(always)]
    fn string(&mut self) -> Option<()> {
        loop {
            self.plain();
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => {
                    self.escapes = true;
                    match self.next()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = self.bytes.get(self.at..self.at + 4)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.at += 4;
                        }
                        _ => return None,
                    }
                }
                _ => return None,
            }
        }
    }

    /// Passes what is neither quote, backslash nor control character.
    #[inline(always)]
    fn plain(&mut self) {
        while let Some(eight) = self.bytes.get(self.at..self.at + 8) {
            let special = special_bytes(u64::from_le_bytes(eight.try_into().expect("eight bytes")));
            if special != 0 {
                self.at += special.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while let Some(b' ' | b'!' | b'#'..=b'[' | b']'..) = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// The rest of a number that begins with `first`.
    #[inline(always)]
    fn number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.passes(b'.') {
            self.some_digits()?;
        }
        if self.passes(b'e') || self.passes(b'E') {
            let _ = self.passes(b'+') || self.passes(b'-');
            self.some_digits()?;
        }
        Some(())
    }

    #[inline(always)]
    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        (self.at > start).then_some(())
    }
}

/// Eight bytes, the first one lowest: the high bit of each that is a quote, a backslash or below 0x20. Above the lowest
/// such bit others may be wrong, since the subtraction borrows (the test for a zero byte of Mycroft, 1987).
fn special_bytes(eight: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let quote = zero(eight ^ (ONES * b'"' as u64));
    let backslash = zero(eight ^ (ONES * b'\\' as u64));
    let control = eight.wrapping_sub(ONES * 0x20) & !eight;
    (quote | backslash | control) & HIGHS
}

#[cfg(test)]
mod tests {
    use super::super::conformance::Random;
    use super::*;

    fn tokens(pointer: &str) -> Vec<String> {
        pointer.split('/').skip(1).map(str::to_owned).collect()
    }

    fn found<'a>(text: &'a str, pointer: &str) -> Option<&'a str> {
        scan(text, &tokens(pointer)).unwrap_or_else(|| panic!("{text} is left to somebody else")).found
    }

    #[test]
    fn every_byte_has_its_place_in_eight() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut eight = [b'x'; 8];
                eight[place] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                let wanted = if special { place as u32 } else { 8 };
                assert_eq!(special_bytes(u64::from_le_bytes(eight)).trailing_zeros() / 8, wanted, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn values_are_found_on_every_level() {
        let text = r#" {"a" : {"x":{"id":0},"id": [1, {"id":2}] ,"id":3}, "b":"t\n", "id" : -1.5e3 } "#;
        assert_eq!(found(text, "/a/id"), Some(r#"[1, {"id":2}]"#));
        assert_eq!(found(text, "/a/x/id"), Some("0"));
        assert_eq!(found(text, "/b"), Some(r#""t\n""#));
        assert_eq!(found(text, "/id"), Some("-1.5e3"));
        assert_eq!(found(text, "/a"), Some(r#"{"x":{"id":0},"id": [1, {"id":2}] ,"id":3}"#));
        for nothing in ["/x", "/b/id", "/id/id", "/a/x/y", "/a/y", ""] {
            assert_eq!(found(text, nothing), None, "{nothing}");
        }
        assert_eq!(found(r#"{"a":1,"a":{"b":2}}"#, "/a/b"), None, "the first of two counts");
        assert_eq!(found(r#"{"a":{},"b":{"b":2}}"#, "/a/b"), None, "of its own object only");
        assert_eq!(found("[[{\"a\":1}]]", "").map(str::len), None);
        assert_eq!(found("7", "/a"), None);
    }

    #[test]
    fn doubts_are_left_to_others() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            "tru",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u00g0\"",
            "{} {}",
            "{1:2}",
            "\u{feff}{}",
            "[}",
            "{]",
            "[1 2]",
            "{\"a\" 1}",
            "\"x",
        ] {
            assert_eq!(scan(text, &tokens("/a")), None, "{text}");
        }
        assert_eq!(scan("[1]", &tokens("/0")), None, "an array on the way");
        assert_eq!(scan(r#"{"a":[1]}"#, &tokens("/a/0")), None, "an array on the way");
        assert_eq!(scan(r#"{"\u0061":1}"#, &tokens("/a")), None, "an escape in a name");
        assert!(scan(r#"{"b":{"\u0061":1},"a":1}"#, &tokens("/a")).is_some_and(|s| s.escapes && s.found == Some("1")));
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        assert!(scan(&nested(JSON_DEPTH_MAX), &[]).is_some());
        assert_eq!(scan(&nested(JSON_DEPTH_MAX + 1), &[]), None);
    }

    /// What it takes, serde_json takes, for texts that are nearly JSON; and of true JSON it takes nearly all.
    #[test]
    fn what_it_takes_serde_json_takes() {
        let (mut texts, mut taken) = (0, 0);
        for seed in 0..20_000 {
            let mut random = Random::new(seed);
            let mut text = random.json(4).to_string();
            for _ in 0..random.below(3) {
                let at = random.below(text.len());
                if text.is_char_boundary(at) {
                    let more = random.one_of(&[
                        "[", "\"", ",", "}", "1", "\\", "x", "\\u12", "e", ".", "-", " ", "\t", "0", "{", ":",
                        "\u{1f}", "é",
                    ]);
                    text.insert_str(at, more);
                }
            }
            let json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            let scanned = scan(&text, &[]);
            assert!(json || scanned.is_none(), "seed {seed}: {text}");
            (texts, taken) = (texts + usize::from(json), taken + usize::from(scanned.is_some()));
        }
        assert!(texts > 5000 && taken == texts, "{taken} of {texts} were taken");
    }
}
