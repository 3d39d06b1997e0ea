//! Values of flags: sizes, durations, ranges. Parsed once, here, into bounded types.

use std::time::Duration;

use crate::coordinator::RejectLimit;
use crate::limits;
use crate::strategy::Interval;

/// `500ms`, `5s`, `2m`, `1h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 =
        text[..digits].parse().map_err(|_| "write a number and a unit, such as 500ms, 5s, 2m".to_owned())?;
    let factor = match &text[digits..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" => return Err(format!("{text} lacks its unit: ms, s, m or h")),
        unit => return Err(format!("{unit} is no unit of time; the units are ms, s, m, h")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|_| "that is too long".to_owned())
}

/// `65536`, `64KiB`, `8MiB`, `1GiB` (also KB, MB, GB in powers of 1000).
pub fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: usize =
        text[..digits].parse().map_err(|_| "write a whole number and a unit, such as 64MiB".to_owned())?;
    let factor: usize = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        unit => return Err(format!("{unit} is no unit of size; the units are B, KiB, MiB, GiB, KB, MB, GB")),
    };
    match number.checked_mul(factor) {
        Some(0) => Err("it must be more than 0".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("that is too large".to_owned()),
    }
}

/// `500` or `10..1000`, from 1.
pub fn interval(text: &str) -> Result<Interval, String> {
    let number =
        |part: &str| part.parse::<usize>().map_err(|_| format!("{part:?} is no whole number; write N or MIN..MAX"));
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (number(min)?, number(max)?),
        None => (number(text)?, number(text)?),
    };
    if min == 0 {
        return Err("it must be at least 1".to_owned());
    }
    Interval::new(min, max).ok_or_else(|| format!("the range {min}..{max} runs backwards"))
}

/// `90%` or `0.9`.
pub fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent.trim(), 100.0));
    match number.parse::<f64>() {
        Ok(number) if (0.0..=whole).contains(&number) => Ok(number / whole),
        Ok(_) => Err("a share lies between 0% and 100%, or between 0 and 1".to_owned()),
        Err(_) => Err("write a share such as 90% or 0.9".to_owned()),
    }
}

/// `10`, `2.5%` or `50/1000`.
pub fn reject_limit(text: &str) -> Result<RejectLimit, String> {
    match (text.strip_suffix('%'), text.split_once('/')) {
        (Some(percent), _) => match percent.trim().parse::<f64>() {
            Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(RejectLimit::Percent(percent)),
            _ => Err("a percentage lies between 0% and 100%".to_owned()),
        },
        (None, Some((failed, items))) => match (failed.parse(), items.parse()) {
            (Ok(failed), Ok(items)) if items <= limits::REJECT_WINDOW_MAX && failed < items => {
                Ok(RejectLimit::Window { failed, items })
            }
            (Ok(_), Ok(_)) => Err(format!(
                "write fewer failed items than items, and up to {} of these, such as 50/1000",
                limits::REJECT_WINDOW_MAX
            )),
            _ => Err("write how many of how many items in a row, such as 50/1000".to_owned()),
        },
        (None, None) => text
            .parse()
            .map(RejectLimit::Count)
            .map_err(|_| "write a number such as 10, a share such as 2%, or 50/1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["5", "", "-1s", "s", "5 parsecs", "1e99h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_know_both_kinds_of_kilo() {
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        assert_eq!(bytes("1KB"), Ok(1000));
        assert_eq!(bytes("7"), Ok(7));
        for wrong in ["0", "-1", "MiB", "5 stone", "99999999999999999999", "99999999999999GiB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_run_forwards_from_one() {
        assert_eq!(interval("10..1000"), Ok(Interval::new(10, 1000).expect("a range")));
        assert_eq!(interval("5"), Ok(Interval::new(5, 5).expect("a range")));
        for wrong in ["0", "0..5", "9..3", "..", "a..b", "-1"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_percentages_or_parts_of_one() {
        assert_eq!([share("90%"), share("0.9"), share("0"), share("100 %")], [Ok(0.9), Ok(0.9), Ok(0.0), Ok(1.0)]);
        for wrong in ["-1%", "101%", "1.1", "NaN", "", "%", "most"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_of_rejects_are_counts_shares_or_parts_of_a_stretch() {
        assert_eq!(reject_limit("0"), Ok(RejectLimit::Count(0)));
        assert_eq!(reject_limit("2.5%"), Ok(RejectLimit::Percent(2.5)));
        assert_eq!(reject_limit("50/1000"), Ok(RejectLimit::Window { failed: 50, items: 1000 }));
        assert_eq!(reject_limit("0/1"), Ok(RejectLimit::Window { failed: 0, items: 1 }));
        for wrong in ["-1", "101%", "%", "some", "/", "5/", "/5", "5/5", "0/0", "1/2/3", "-1/5", "1/2%", "1/1000001"] {
            assert!(reject_limit(wrong).is_err(), "{wrong}");
        }
    }
}
