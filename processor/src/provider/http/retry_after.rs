//! How long a provider wants to be left alone. Pure.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// What `Retry-After` asks for at `now`: seconds or a date (RFC 9110, section 10.2.3). A date that has passed asks for
/// nothing more to wait; what is neither counts as not said.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Option<u64>) {
        let now = "2026-11-24T10:00:00Z".parse().expect("a time");
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().expect("a header"));
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{value}");
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        check("7", Some(7));
        check("0", Some(0));
        check("Tue, 24 Nov 2026 10:00:30 GMT", Some(30));
        check("Tue, 24 Nov 2026 09:00:00 GMT", Some(0));
        check("soon", None);
        check("-5", None);
        assert_eq!(retry_after(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }
}
