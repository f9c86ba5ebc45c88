//! `x-request-id`: by what name a client and our logs speak of one request.
//!
//! tower-http's layer of that purpose takes over whatever a client sends, so a client could fill our logs.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// In requests and in answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is taken over.
const LONGEST: usize = 128;

/// The one that the client chose, if it is short and readable; else a new one.
pub fn taken_over_or_made(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(id), None) if is_acceptable(id.as_bytes()) => id.clone(),
        _ => HeaderValue::try_from(Uuid::now_v7().to_string()).expect("a UUID is visible ASCII"),
    }
}

fn is_acceptable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
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
        check(&[], false);
        check(&[b""], false);
        check(&[&[b'x'; LONGEST + 1]], false);
        check(&[b"a b"], false);
        check(&[b"a\tb"], false);
        check(&["é".as_bytes()], false);
        check(&[b"a", b"b"], false);
    }
}
