//! `Idempotency-Key`: the promise that repeating a request does not repeat what it did.
//!
//! Source: draft-ietf-httpapi-idempotency-key-header-07. The value is a string in quotes there; without quotes it is
//! taken, too, as other services do.

use axum::{
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, Method, Uri, request::Parts},
};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::problem::{Kind, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the answer is the one that the first request with this key got.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest key, in characters.
const LONGEST: usize = 255;

/// The key of a request, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

/// The header's value, for the API's document.
#[derive(ToSchema)]
#[schema(value_type = String, pattern = r#"^([!#-~]{1,255}|"([!#-\[\]-~]){1,255}")$"#)]
pub struct IdempotencyKeyText(#[expect(dead_code, reason = "only its schema is used")] String);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut given = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let key = match (given.next(), given.next()) {
            (None, _) => return Ok(Self(None)),
            (Some(key), None) => parse(key),
            (Some(_), Some(_)) => None,
        };
        let detail = format!(
            "Idempotency-Key must be one string of 1 to {LONGEST} visible ASCII characters, in double quotes or without."
        );
        key.map(|key| Self(Some(key))).ok_or_else(|| Problem::new(Kind::InvalidIdempotencyKey, detail))
    }
}

/// RFC 9651, section 3.3.3: in quotes, quotes and backslashes have a backslash before them.
fn parse(value: &HeaderValue) -> Option<String> {
    let value = value.to_str().ok()?.trim();
    let key = match value.strip_prefix('"') {
        None if value.contains('"') => return None,
        None => value.to_owned(),
        Some(rest) => {
            let quoted = rest.strip_suffix('"')?;
            let mut key = String::new();
            let mut characters = quoted.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' => key.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
                    '"' => return None,
                    other => key.push(other),
                }
            }
            key
        }
    };
    let is_usable = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_usable.then_some(key)
}

/// What a request asks for, as far as two requests with one key must agree.
pub fn fingerprint(method: &Method, uri: &Uri, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_str(), uri.path(), uri.query().unwrap_or_default()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(body);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: Option<&str>) {
        let value = HeaderValue::from_str(given).expect("a header value");
        assert_eq!(parse(&value).as_deref(), expected, "{given}");
    }

    #[test]
    fn a_key_is_taken_with_quotes_and_without() {
        check("8e03978e-40d5-43dd-bc93-6894a57f9324", Some("8e03978e-40d5-43dd-bc93-6894a57f9324"));
        check("\"8e03978e\"", Some("8e03978e"));
        check(r#""a\"b\\c""#, Some(r#"a"b\c"#));
        check(&"x".repeat(255), Some(&"x".repeat(255)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "\"\"", "\"open", "a\"b", "\"a\"b\"", "a b", r#""a\b""#, "\""] {
            check(bad, None);
        }
        check(&"x".repeat(256), None);
    }

    #[test]
    fn requests_that_ask_for_different_things_have_different_fingerprints() {
        let of = |method, uri: &'static str, body: &str| fingerprint(&method, &Uri::from_static(uri), body.as_bytes());
        let one = of(Method::POST, "/v1/messages", "{}");
        assert_eq!(one, of(Method::POST, "/v1/messages", "{}"));
        for other in [
            of(Method::PUT, "/v1/messages", "{}"),
            of(Method::POST, "/v1/messages/batch", "{}"),
            of(Method::POST, "/v1/messages?atomic=true", "{}"),
            of(Method::POST, "/v1/messages", "{ }"),
        ] {
            assert_ne!(one, other);
        }
    }
}
