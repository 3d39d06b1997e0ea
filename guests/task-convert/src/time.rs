//! Times written as text, without a zone, read as UTC.

/// Milliseconds since 1970 of a time such as `1/31/2025, 8:28:05 PM` or
/// `2025-01-31T20:28:05.250Z`. A time without a zone counts as UTC; one with
/// another zone than `Z` is not read. None if it is no such time.
pub fn parse(text: &str) -> Option<i64> {
    american(text).or_else(|| iso(text))
}

/// `month/day/year, hour:minute:second AM|PM`.
fn american(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(", ")?;
    // Newer exporters put a narrow no-break space before the half of the day.
    let (clock, half) = time.split_once([' ', '\u{202f}'])?;
    let [month, day, year] = numbers(date.split('/'))?;
    let [hour, minute, second] = numbers(clock.split(':'))?;
    if !(1..=12).contains(&hour) {
        return None;
    }
    let hour = match half {
        "AM" => hour % 12,
        "PM" => hour % 12 + 12,
        _ => return None,
    };
    Some(days(year, month, day)? * 86_400_000 + clock_ms(hour, minute, second)?)
}

/// `year-month-dayThour:minute:second`, with or without a fraction and `Z`.
fn iso(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' '])?;
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [year, month, day] = numbers(date.split('-'))?;
    let [hour, minute, second] = numbers(clock.split(':'))?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
    let fraction_ms: i64 = thousandths.parse().ok()?;
    Some(days(year, month, day)? * 86_400_000 + clock_ms(hour, minute, second)? + fraction_ms)
}

/// Exactly three unsigned numbers of at most four digits.
fn numbers<'a>(mut parts: impl Iterator<Item = &'a str>) -> Option<[i64; 3]> {
    let mut number = || {
        let part = parts.next()?;
        let digits = (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse().ok()).flatten()
    };
    let three = [number()?, number()?, number()?];
    parts.next().is_none().then_some(three)
}

fn clock_ms(hour: i64, minute: i64, second: i64) -> Option<i64> {
    let legal = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    legal.then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let february = if leap { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month - 1).ok()?;
    if !(1..=*lengths.get(index)?).contains(&day) {
        return None;
    }
    // Leap days of all years before this one, counted from year 1.
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let day_of_year: i64 = lengths[..index].iter().sum::<i64>() + day - 1;
    // 719,162 days lie between the first days of year 1 and of 1970.
    Some(before * 365 + leap_days + day_of_year - 719_162)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts_read_as_utc() {
        assert_eq!(parse("1/1/1970, 12:00:00 AM"), Some(0));
        assert_eq!(parse("1/2/2025, 8:28:05 PM"), Some(1_735_849_685_000));
        assert_eq!(parse("2/29/2024, 12:00:00 PM"), Some(1_709_208_000_000));
        assert_eq!(parse("2025-01-02T20:28:05Z"), Some(1_735_849_685_000));
        assert_eq!(parse("2025-01-02T20:28:05.25"), Some(1_735_849_685_250));
        assert_eq!(parse("1969-12-31T23:59:59.999Z"), Some(-1));
        assert_eq!(parse("2000-03-01T00:00:00Z"), Some(951_868_800_000));
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "now",
            "13/1/2025, 8:28:05 PM",
            "2/29/2025, 8:28:05 PM",
            "1/2/2025, 0:28:05 AM",
            "1/2/2025, 13:28:05 PM",
            "1/2/2025, 8:60:05 PM",
            "1/2/2025, 8:28 PM",
            "1/2/2025",
            "2025-01-02T24:00:00Z",
            "2025-01-02T20:28:05+01:00",
            "2025-1-2-3T20:28:05Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
