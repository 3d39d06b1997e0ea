//! Numbers and foreign text as people read them.

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 item`, `2 items`; the plural is the singular and an `s`.
pub(crate) fn counted(number: u64, singular: &str) -> String {
    format!("{} {singular}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Three significant digits at the least: `0.42`, `3.1`, `12,345`.
pub(crate) fn rate(per_s: f64) -> String {
    match per_s {
        r if !r.is_finite() || r <= 0.0 => "0".to_owned(),
        r if r < 1.0 => format!("{r:.2}"),
        r if r < 100.0 => format!("{r:.1}"),
        r => count(r.round() as u64),
    }
}

/// `850 µs`, `12 ms`, `3.4 s`, `2 min 05 s`, `3 h 04 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let us = duration.as_micros();
    let s = duration.as_secs();
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ if s < 3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

/// How a command that is told names this store: not at all where it is the one that commands take by themselves.
pub(crate) fn store_flag(store: &str) -> String {
    match store {
        "" | "atlas.db" => String::new(),
        path => format!(" --store {path}"),
    }
}

/// `512 bytes`, `4.0 KiB`, `250.0 MiB`, `1.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(power, _)| bytes >= 1 << power) {
        Some((power, unit)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << power) as f64),
        None => counted(bytes, "byte"),
    }
}

/// `0 %`, `0.2 %`, `12 %`; rounds to 0 or 100 only where it is exactly that.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        p if p <= 0.0 => "0 %".to_owned(),
        p if p < 0.1 => "<0.1 %".to_owned(),
        p if p < 10.0 => format!("{p:.1} %"),
        p if p >= 100.0 => "100 %".to_owned(),
        p => format!("{:.0} %", p.floor()),
    }
}

/// Text of a plugin or an input on one line: control characters are written as escapes, and it is cut to `width`
/// characters with an ellipsis.
pub(crate) fn one_line(text: &str, width: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for c in text.chars() {
        let shown: String = if unsafe_to_show(c) { c.escape_default().collect() } else { c.into() };
        used += shown.chars().count();
        if used > width {
            return cut(&line, width.saturating_sub(1)) + "…";
        }
        line.push_str(&shown);
    }
    line
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

/// Control characters, and those that turn the direction of writing: both can make a terminal lie.
fn unsafe_to_show(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(0), count(999), count(1000), count(1234567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "item"), counted(0, "item")], ["1 item", "0 items"]);
        assert_eq!(
            [rate(0.0), rate(f64::NAN), rate(0.25), rate(99.0), rate(12345.4)],
            ["0", "0", "0.25", "99.0", "12,345"]
        );
        let of = |us| duration(Duration::from_micros(us));
        assert_eq!([of(12), of(1500), of(12_345), of(3_400_000)], ["12 µs", "1.5 ms", "12 ms", "3.4 s"]);
        assert_eq!([bytes(512), bytes(4096), bytes(3 << 29)], ["512 bytes", "4.0 KiB", "1.5 GiB"]);
        assert_eq!([of(125_000_000), of(11_040_000_000)], ["2 min 05 s", "3 h 04 min"]);
        assert_eq!(
            [percent(0.0), percent(0.0001), percent(0.012), percent(0.999), percent(1.0)],
            ["0 %", "<0.1 %", "1.2 %", "99 %", "100 %"]
        );
    }

    #[test]
    fn foreign_text_stays_on_its_line_and_cannot_steer_the_terminal() {
        assert_eq!(one_line("a\nb\u{1b}[2J", 80), "a\\nb\\u{1b}[2J");
        assert_eq!(one_line("abcdef", 6), "abcdef");
        assert_eq!(one_line("abcdefg", 6), "abcde…");
        assert!(one_line(&"\n".repeat(100), 9).chars().count() <= 9);
        assert!(!one_line("x\u{202e}y", 80).contains('\u{202e}'));
    }
}
