//! Texts of an exact length, and the words they are made of.
//!
//! Lengths are in characters (Unicode scalar values). No text begins or ends
//! with a space, so that trimming never changes its length.

use super::rng::Rng;

/// Plain words for texts and segments of paths: ASCII letters, 2 to 12.
pub const PLAIN: [&str; 100] = [
    "ui",
    "db",
    "api",
    "log",
    "map",
    "net",
    "run",
    "set",
    "tag",
    "web",
    "atlas",
    "batch",
    "build",
    "cache",
    "chain",
    "clock",
    "cloud",
    "codec",
    "crawl",
    "draft",
    "event",
    "fetch",
    "field",
    "frame",
    "graph",
    "group",
    "guard",
    "index",
    "input",
    "joint",
    "layer",
    "limit",
    "model",
    "mount",
    "notes",
    "order",
    "panel",
    "parse",
    "patch",
    "phase",
    "probe",
    "proxy",
    "query",
    "queue",
    "range",
    "relay",
    "reset",
    "route",
    "schema",
    "scope",
    "search",
    "server",
    "shard",
    "signal",
    "sketch",
    "socket",
    "source",
    "spread",
    "stage",
    "store",
    "stream",
    "study",
    "survey",
    "switch",
    "syntax",
    "system",
    "target",
    "tenant",
    "thread",
    "ticket",
    "timing",
    "token",
    "topic",
    "trace",
    "upload",
    "vector",
    "vendor",
    "verify",
    "version",
    "volume",
    "widget",
    "window",
    "worker",
    "writer",
    "adapter",
    "balance",
    "billing",
    "catalog",
    "cluster",
    "compute",
    "console",
    "context",
    "counter",
    "customer",
    "delivery",
    "document",
    "evaluate",
    "identity",
    "interface",
    "scheduler",
];

/// Words outside ASCII: two, three and four bytes a character, combining
/// marks and scripts that run from right to left.
const FOREIGN: [&str; 16] = [
    "Prüfung",
    "señal",
    "größe",
    "naïveté",
    "façade",
    "Ökologie",
    "задача",
    "проект",
    "任務",
    "計画",
    "プロジェクト",
    "작업",
    "مهمة",
    "משימה",
    "e\u{301}tude",
    "🦀🚀",
];

/// Texts that break careless code: quotes, escapes, SQL, markup, control
/// characters (no NUL).
const NASTY: [&str; 10] = [
    "'); DROP TABLE items; --",
    "\"quoted\" 'twice' `thrice`",
    "back\\slash \\\" \\u0000 \\n",
    "tab\tline\nreturn\r\nend",
    "\u{1}\u{2}\u{1b}[31mred\u{1b}[0m\u{1f}",
    "x' OR '1'='1",
    "<script>alert(1)</script>&amp;",
    "{\"path\":\"not/this\"} ${HOME} %s %n",
    "line\u{2028}paragraph\u{2029}\u{202e}turned\u{202c}",
    "\u{7f}\u{85}\u{feff}\u{fffd}",
];

/// What a text is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// ASCII words.
    Plain,
    /// Words of which about half are not ASCII.
    Foreign,
    /// ASCII words with one text in front that breaks careless code.
    Nasty,
}

impl Alphabet {
    /// 8 % foreign, 0.5 % nasty, the others plain.
    pub fn draw(rng: &mut Rng) -> Self {
        match rng.below(1000) {
            0..=4 => Self::Nasty,
            5..=84 => Self::Foreign,
            _ => Self::Plain,
        }
    }
}

/// A text of exactly `chars` characters.
pub fn text(rng: &mut Rng, alphabet: Alphabet, chars: usize) -> String {
    let mut text = String::with_capacity(chars + chars / 4);
    let mut left = chars;
    if alphabet == Alphabet::Nasty {
        left = push_cut(&mut text, rng.pick(&NASTY), left);
    }
    while left > 0 {
        if left < chars {
            text.push(' ');
            left -= 1;
        }
        let foreign = alphabet == Alphabet::Foreign && rng.below(2) == 0;
        let word = if foreign { rng.pick(&FOREIGN) } else { rng.pick(&PLAIN) };
        left = push_cut(&mut text, word, left);
    }
    if text.ends_with(char::is_whitespace) {
        text.pop();
        text.push('x');
    }
    text
}

/// Append at most `left` characters of `word`; returns how many are left.
fn push_cut(text: &mut String, word: &str, left: usize) -> usize {
    if word.is_ascii() {
        let bytes = word.len().min(left);
        text.push_str(&word[..bytes]);
        return left - bytes;
    }
    let end = word.char_indices().nth(left).map_or(word.len(), |(at, _)| at);
    text.push_str(&word[..end]);
    left - word[..end].chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_the_length_asked_for_and_no_space_at_their_ends() {
        let mut rng = Rng::new(&[3]);
        for alphabet in [Alphabet::Plain, Alphabet::Foreign, Alphabet::Nasty] {
            for chars in (0..300).chain([2000, 2001]) {
                let text = text(&mut rng, alphabet, chars);
                assert_eq!(text.chars().count(), chars, "{alphabet:?} {text:?}");
                assert_eq!(text.trim(), text, "{alphabet:?}");
                assert!(!text.contains('\0'));
            }
        }
    }
}
