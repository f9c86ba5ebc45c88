//! The key that a request carries.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Refusal;

/// For clients that cannot set `Authorization`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one key of the request, wherever it stands and however often. Other schemes of `Authorization` are somebody
/// else's: proxies on the way use them.
pub fn presented_key(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(bearer_credentials);
    let mut keys = bearer.chain(headers.get_all(X_API_KEY).iter().map(HeaderValue::as_bytes));
    let first = keys.next().ok_or(Refusal::NoKey)?;
    if keys.all(|other| other == first) { Ok(first) } else { Err(Refusal::ConflictingKeys) }
}

/// What follows `Bearer`. Source: RFC 6750, section 2.1; the scheme's case is free (RFC 9110, section 11.1).
pub fn bearer_credentials(authorization: &HeaderValue) -> Option<&[u8]> {
    let (scheme, credentials) = authorization.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &[(HeaderName, &'static str)], expected: Result<&str, Refusal>) {
        let headers = given.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        assert_eq!(presented_key(&headers), expected.map(str::as_bytes), "{given:?}");
    }

    #[test]
    fn a_key_is_taken_from_either_header() {
        const AUTHORIZATION: HeaderName = header::AUTHORIZATION;
        check(&[(AUTHORIZATION, "Bearer a")], Ok("a"));
        check(&[(AUTHORIZATION, "bearer a")], Ok("a"));
        check(&[(X_API_KEY, "a")], Ok("a"));
        check(&[(AUTHORIZATION, "Bearer a"), (X_API_KEY, "a")], Ok("a"));
        check(&[(AUTHORIZATION, "Basic b"), (X_API_KEY, "a")], Ok("a"));
        check(&[(AUTHORIZATION, "Bearer a"), (X_API_KEY, "b")], Err(Refusal::ConflictingKeys));
        check(&[(X_API_KEY, "a"), (X_API_KEY, "b")], Err(Refusal::ConflictingKeys));
        check(&[(AUTHORIZATION, "Bearer a"), (X_API_KEY, "")], Err(Refusal::ConflictingKeys));
        for none in ["Basic a", "Bearer", "a", ""] {
            check(&[(AUTHORIZATION, none)], Err(Refusal::NoKey));
        }
        check(&[], Err(Refusal::NoKey));
    }
}
