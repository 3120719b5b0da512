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
}
