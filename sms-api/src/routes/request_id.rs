//! `x-request-id`: by what name a client and our logs speak of one request.
//!
//! tower-http's layer of that purpose takes over whatever a client sends, so a client could fill our logs.

use std::ops::RangeInclusive;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// In requests and in answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over.
const LONGEST: usize = 128;
/// Digits of a phone number in international format (E.164); shorter ones reach nobody but services.
const PHONE_NUMBER: RangeInclusive<usize> = 7..=15;

/// The one that the client chose, if it is short and readable; else a new one.
pub fn taken_over_or_made(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_acceptable(id.as_bytes()) => id.clone(),
        _ => HeaderValue::try_from(Uuid::now_v7().to_string()).expect("a UUID is visible ASCII"),
    }
}

fn is_acceptable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic) && !holds_a_phone_number(id)
}

/// Logs name requests by their ids, and hold no phone numbers. A number among other characters is taken for one only
/// where it is written like one.
fn holds_a_phone_number(id: &[u8]) -> bool {
    let has_length = |digits: &[u8]| PHONE_NUMBER.contains(&digits.len());
    let digits_after = |plus: usize| {
        let rest = &id[plus + 1..];
        &rest[..rest.iter().take_while(|byte| byte.is_ascii_digit()).count()]
    };
    let pluses = id.iter().enumerate().filter(|(_, byte)| **byte == b'+').map(|(place, _)| place);
    (id.iter().all(u8::is_ascii_digit) && has_length(id)) || pluses.map(digits_after).any(has_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[&[u8]], is_taken_over: bool) {
        let value = |id: &&[u8]| (X_REQUEST_ID, HeaderValue::from_bytes(id).expect("a header value"));
        let id = taken_over_or_made(&given.iter().map(value).collect());
        if is_taken_over {
            assert_eq!(id, given[0]);
        } else {
            let made: Uuid = id.to_str().expect("visible ASCII").parse().expect("a UUID");
            assert_eq!(made.get_version_num(), 7);
        }
    }

    #[test]
    fn only_one_short_and_readable_id_is_taken_over() {
        check(&[b"a"], true);
        check(&[br#"~!"{order}/4711"#], true);
        check(&[&[b'x'; LONGEST]], true);
        check(&[b"1/4915112345678"], true);
        check(&[b"1234567890123456"], true);
        check(&[b"a+b+12"], true);
        check(&[b"4915112345678"], false);
        check(&[b"to:+4915112345678;1"], false);
        check(&[], false);
        check(&[b""], false);
        check(&[&[b'x'; LONGEST + 1]], false);
        check(&[b"a b"], false);
        check(&[b"a\tb"], false);
        check(&["é".as_bytes()], false);
        check(&[b"a", b"b"], false);
    }
}
