//! Times as records have them.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

thread_local! {
    static LIMIT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// From now on all waiting of this command together takes no longer than this.
pub fn bound_waiting(limit: Duration) {
    LIMIT.set(Some(Instant::now() + limit));
}

/// How long may be waited where `usual` is the rule.
pub fn at_most(usual: Duration) -> Duration {
    LIMIT.get().map_or(usual, |limit| usual.min(limit.saturating_duration_since(Instant::now())))
}

/// When all waiting is over, if it is bounded.
pub fn limit() -> Option<Instant> {
    LIMIT.get()
}

/// The time that it is, in RFC 3339.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

/// `at` in RFC 3339, UTC, with nanoseconds.
pub fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86400, since.as_secs() % 86400);
    let (year, month, day) = civil(days as i64);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", since.subsec_nanos())
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that a
/// leap day ends one.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The time that RFC 3339 writes as `text`.
pub fn parse(text: &str) -> Option<SystemTime> {
    let number = |from: usize, end: usize| -> Option<i64> {
        let digits = text.get(from..end)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let at = |place: usize, bytes: &[u8]| bytes.contains(text.as_bytes().get(place).unwrap_or(&0));
    let marks = [(4, &b"-"[..]), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    if !marks.iter().all(|(place, bytes)| at(*place, bytes)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let rest = &text[19..];
    let zone_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (fraction, zone) = rest.split_at(zone_at);
    let nanos = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => 0,
        Some(digits) if (1..=9).contains(&digits.len()) => format!("{digits:0<9}").parse().ok()?,
        _ => return None,
    };
    let days = days_of(year, month, day)?;
    if civil(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - zone_seconds(zone)?;
    Some(UNIX_EPOCH + Duration::new(seconds.try_into().ok()?, nanos))
}

/// `Z`, `+02:00`, `-0530` in seconds.
fn zone_seconds(zone: &str) -> Option<i64> {
    let sign = match zone.get(..1)? {
        "Z" | "z" if zone.len() == 1 => return Some(0),
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let digits = zone[1..].replacen(':', "", 1);
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The day counted from 1970-01-01; the reverse of [`civil`].
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_rfc3339() {
        let at = |s| rfc3339(UNIX_EPOCH + Duration::new(s, 5));
        assert_eq!(at(0), "1970-01-01T00:00:00.000000005Z");
        assert_eq!(at(951_827_696), "2000-02-29T12:34:56.000000005Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000000005Z");
    }

    #[test]
    fn times_are_read() {
        for seconds in [0, 951_827_696, 4_107_542_399, 1_709_164_800] {
            let at = UNIX_EPOCH + Duration::new(seconds, 5);
            assert_eq!(parse(&rfc3339(at)), Some(at));
        }
        let noon = parse("2026-03-01T12:00:00Z");
        assert!(noon.is_some());
        assert_eq!(parse("2026-03-01T14:00:00+02:00"), noon);
        assert_eq!(parse("2026-03-01 06:30:00.0-0530"), noon);
        for text in [
            "",
            "2026-03-01",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T12:00:00",
            "2026-03-01T12:00:00.Z",
            "2026-03-01T12:00:00+2",
            "1969-01-01T00:00:00Z",
            "é026-03-01T12:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
