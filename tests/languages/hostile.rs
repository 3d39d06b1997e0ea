//! Tickets as bad luck and malice would write them: every field of every type, doubled, missing, misplaced, with numbers at
//! and beyond each border, and with texts of all Unicode in every way of writing them. Strict JSON all of it, since the host
//! lets nothing else through to plugins.

use crate::generator::rng::Rng;

const FIELDS: [&str; 10] = ["id", "path", "title", "status", "priority", "tags", "created", "notes", "slug", "score"];
const REQUIRED: usize = 8;
const STATUSES: [&str; 5] = ["pending", "in_progress", "completed", "failed", "blocked"];

/// Numbers at borders of integers, of doubles, and of what fits no double.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "7",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "12345678901234567890123",
    "1.0",
    "0.1e1",
    "1E+2",
    "0.5",
    "-0.0",
    "1.5e15",
    "1e15",
    "1e16",
    "123456789012345678",
    "0.00001",
    "0.000001",
    "0.1",
    "0.30000000000000004",
    "1e308",
    "-1e308",
    "1.7976931348623157e308",
    "1.7976931348623158e308",
    "1.7976931348623159e308",
    "1e309",
    "-1e400",
    "5e-324",
    "2e-324",
    "2.4703282292062327e-324",
    "2.4703282292062328e-324",
    "2.2250738585072011e-308",
    "2.2250738585072014e-308",
    "1e-400",
    "0e99999999999",
    "0.0e2147483648",
    "1e99999999999",
    "1e-99999999999",
    "1e2147483647",
    "1e2147483648",
    "1e-2147483648",
    "9007199254740992.5",
    "9007199254740993.5",
    "0.1000000000000000055511151231257827021181583404541015625",
    "8.41e21",
    "4.35",
    "9.5367431640625e-7",
    "6.02214076e23",
];

/// Characters that some language, library or escape rule treats in its own way. All of them are old enough that every
/// language's tables of Unicode agree on them.
const CHARS: &[char] = &[
    'a',
    'Z',
    '0',
    '9',
    ' ',
    '-',
    '\'',
    '"',
    '\\',
    '/',
    '\u{8}',
    '\u{c}',
    '\n',
    '\r',
    '\t',
    '\0',
    '\u{1f}',
    '\u{7f}',
    '\u{80}',
    '\u{85}',
    '\u{9f}',
    '\u{a0}',
    '\u{ad}',
    '\u{c4}',
    '\u{df}',
    '\u{e9}',
    '\u{130}',
    '\u{131}',
    '\u{300}',
    '\u{345}',
    '\u{3a3}',
    '\u{3c2}',
    '\u{5d0}',
    '\u{600}',
    '\u{903}',
    '\u{93e}',
    '\u{9be}',
    '\u{1d2a}',
    '\u{1e9e}',
    '\u{2000}',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{2028}',
    '\u{2029}',
    '\u{202e}',
    '\u{20dd}',
    '\u{212a}',
    '\u{3000}',
    '\u{3099}',
    '\u{4e2d}',
    '\u{ac00}',
    '\u{d7ff}',
    '\u{e000}',
    '\u{fb01}',
    '\u{fdd0}',
    '\u{feff}',
    '\u{ff21}',
    '\u{ff9e}',
    '\u{fffd}',
    '\u{ffff}',
    '\u{1f600}',
    '\u{1f468}',
    '\u{1f3fb}',
    '\u{10400}',
    '\u{1d400}',
    '\u{e0001}',
    '\u{e0100}',
    '\u{f0000}',
    '\u{10fffd}',
    '\u{10ffff}',
];

/// Blocks whose characters were all assigned long ago.
const BLOCKS: &[(u32, u32)] = &[
    (0x20, 0x7e),
    (0xa1, 0x24f),
    (0x300, 0x36f),
    (0x410, 0x44f),
    (0x2190, 0x21ff),
    (0x4e00, 0x9fa5),
    (0x1f600, 0x1f64f),
];

/// `count` tickets as a JSON list. The same seed gives the same bytes.
pub fn tickets(seed: u64, count: usize) -> String {
    let mut maker = Maker { rng: Rng::new(&[seed]) };
    let items: Vec<String> = (0..count).map(|_| maker.item()).collect();
    format!("[{}]\n", items.join(",\n"))
}

struct Maker {
    rng: Rng,
}

impl Maker {
    fn percent(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn item(&mut self) -> String {
        match self.rng.below(100) {
            0..3 => self.value(0),
            3..10 => self.list(),
            _ => self.object(),
        }
    }

    /// A ticket as a list of its values, which some readers of JSON take as well.
    fn list(&mut self) -> String {
        let length = match self.rng.below(6) {
            0 => self.rng.index(FIELDS.len() + 1),
            1 => REQUIRED,
            2 => REQUIRED + 1,
            3 => FIELDS.len() + 1,
            _ => FIELDS.len(),
        };
        let values: Vec<String> = (0..length)
            .map(|place| {
                let value = match FIELDS.get(place) {
                    Some(field) if !self.percent(3) => self.good(field),
                    _ => self.value(0),
                };
                self.spaced(&value)
            })
            .collect();
        format!("[{}]", values.join(","))
    }

    fn object(&mut self) -> String {
        let mut fields = FIELDS[..REQUIRED].to_vec();
        for optional in &FIELDS[REQUIRED..] {
            if self.percent(30) {
                fields.push(optional);
            }
        }
        if self.percent(50) {
            for place in (1..fields.len()).rev() {
                let other = self.rng.index(place + 1);
                fields.swap(place, other);
            }
        }
        if self.percent(10) {
            let place = self.rng.index(fields.len());
            fields.remove(place);
        }
        if self.percent(10) {
            let (place, field) = (self.rng.index(fields.len()), self.rng.pick(&FIELDS));
            fields.insert(place, field);
        }
        let mut members = Vec::new();
        for field in fields {
            let value = if self.percent(97) { self.good(field) } else { self.value(0) };
            let (name, value) = (self.string(field), self.spaced(&value));
            members.push(self.spaced(&name) + ":" + &value);
            if self.percent(5) {
                let (name, value) = (self.text(8), self.value(0));
                // A name by chance must not be a field's.
                members.push(self.string(&format!("x{name}")) + ":" + &value);
            }
        }
        let inner = members.join(",");
        format!("{{{}}}", self.spaced(&inner))
    }

    fn good(&mut self, field: &str) -> String {
        match field {
            "priority" if self.percent(20) => self.rng.below(1 << 32).to_string(),
            "priority" => self.rng.below(11).to_string(),
            "created" if self.percent(10) => u64::MAX.to_string(),
            "created" => self.rng.below(1 << 40).to_string(),
            "score" => self.number(),
            "status" if self.percent(85) => {
                let status = self.rng.pick(&STATUSES);
                self.string(status)
            }
            "title" if self.percent(30) => {
                let length = self.rng.pick(&[1, 199, 200, 201]);
                self.string(&"T".repeat(length))
            }
            "tags" => {
                let most = self.rng.pick(&[3, 11, 12, 60]);
                let tags: Vec<String> = (0..self.rng.index(most))
                    .map(|_| {
                        let tag = if self.percent(1) { self.value(0) } else { self.short() };
                        self.spaced(&tag)
                    })
                    .collect();
                format!("[{}]", tags.join(","))
            }
            _ => {
                let text = self.text(20);
                self.string(&text)
            }
        }
    }

    fn short(&mut self) -> String {
        let text = self.text(4);
        self.string(&text)
    }

    fn value(&mut self, depth: u32) -> String {
        match self.rng.below(if depth < 3 { 8 } else { 6 }) {
            0 => "null".to_owned(),
            1 => self.rng.pick(&["true", "false"]).to_owned(),
            2 | 3 => self.number(),
            4 | 5 => self.short(),
            6 => {
                let values: Vec<String> = (0..self.rng.below(4)).map(|_| self.value(depth + 1)).collect();
                format!("[{}]", values.join(", "))
            }
            _ => {
                let members: Vec<String> =
                    (0..self.rng.below(4)).map(|_| self.short() + ":" + &self.value(depth + 1)).collect();
                format!("{{{}}}", members.join(" ,"))
            }
        }
    }

    fn number(&mut self) -> String {
        match self.rng.below(6) {
            0 | 1 => self.rng.pick(NUMBERS).to_owned(),
            2 => self.rng.below(1 << 33).to_string(),
            3 => {
                let number = f64::from_bits(self.rng.bits());
                if number.is_finite() { format!("{number:e}") } else { "1".to_owned() }
            }
            4 => {
                // A power of two, where the distances to the neighbours differ.
                let number = f64::from_bits(self.rng.between(1, 2046) << 52);
                format!("{number:e}")
            }
            _ => {
                let digits = |maker: &mut Self, most: u64| -> String {
                    (0..maker.rng.between(1, most)).map(|_| char::from(b'0' + maker.rng.below(10) as u8)).collect()
                };
                let (whole, fraction) = (digits(self, 24), digits(self, 40));
                let whole = whole.trim_start_matches('0');
                let whole = if whole.is_empty() { "0" } else { whole };
                let sign = self.rng.pick(&["", "-"]);
                format!("{sign}{whole}.{fraction}e{}", self.rng.below(660) as i64 - 340)
            }
        }
    }

    fn text(&mut self, most: u64) -> String {
        (0..self.rng.below(most)).map(|_| self.char()).collect()
    }

    fn char(&mut self) -> char {
        if self.percent(60) {
            return self.rng.pick(CHARS);
        }
        let (first, last) = self.rng.pick(BLOCKS);
        let point = self.rng.between(first.into(), last.into());
        char::from_u32(point as u32).expect("no block holds surrogates")
    }

    /// A text as a JSON string, with escapes where they must be and where they may be.
    fn string(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for char in text.chars() {
            let must = char < ' ' || char == '"' || char == '\\';
            if !must && !self.percent(20) {
                out.push(char);
                continue;
            }
            let short = match char {
                '"' => r#"\""#,
                '\\' => r"\\",
                '/' => r"\/",
                '\u{8}' => r"\b",
                '\u{c}' => r"\f",
                '\n' => r"\n",
                '\r' => r"\r",
                '\t' => r"\t",
                _ => "",
            };
            if !short.is_empty() && self.percent(60) {
                out.push_str(short);
                continue;
            }
            for unit in char.encode_utf16(&mut [0; 2]) {
                let digits = if self.percent(50) { format!("{unit:04x}") } else { format!("{unit:04X}") };
                out.push_str("\\u");
                out.push_str(&digits);
            }
        }
        out.push('"');
        out
    }

    /// White space around it, now and then.
    fn spaced(&mut self, value: &str) -> String {
        if self.percent(70) {
            return value.to_owned();
        }
        let mut space = || self.rng.pick(&["", "", " ", "\n", " \t", "\r\n"]);
        let (before, after) = (space(), space());
        format!("{before}{value}{after}")
    }
}
