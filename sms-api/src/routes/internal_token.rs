//! Bearer token of the internal API.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use subtle::ConstantTimeEq;

use crate::{
    access::bearer_credentials,
    config::Secret,
    problem::{Kind, Problem},
};

/// Lets a request through only with the token.
pub async fn require_token(
    State(token): State<Arc<Secret>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !carries(request.headers(), &token) {
        return Err(Problem::new(Kind::Unauthorized, "The internal API needs its bearer token."));
    }
    Ok(next.run(request).await)
}

/// Takes as long for a nearly right token as for a wrong one.
fn carries(headers: &HeaderMap, token: &Secret) -> bool {
    let credentials = headers.get(header::AUTHORIZATION).and_then(bearer_credentials);
    credentials.is_some_and(|credentials| credentials.ct_eq(token.expose().as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(authorization: Option<&'static str>, expected: bool) {
        let headers =
            authorization.map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).into_iter().collect();
        assert_eq!(carries(&headers, &Secret::new("right")), expected, "{authorization:?}");
    }

    #[test]
    fn only_the_right_token_is_let_through() {
        check(Some("Bearer right"), true);
        check(Some("bearer right"), true);
        for wrong in ["Bearer wrong", "Bearer righ", "Bearer right ", "Bearer ", "Bearer", "Basic right", "right", ""] {
            check(Some(wrong), false);
        }
        check(None, false);
    }
}
