//! Bearer tokens of the internal API: one, or two while one takes over from the other.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header},
    middleware::Next,
    response::Response,
};
use subtle::{Choice, ConstantTimeEq};

use crate::{
    access::bearer_credentials,
    config::Secret,
    problem::{Kind, Problem},
};

/// Lets a request through only with one of the tokens.
pub async fn require_token(
    State(tokens): State<Arc<[Secret]>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if !carries(request.headers(), &tokens) {
        return Err(Problem::new(Kind::Unauthorized, "The internal API needs its bearer token."));
    }
    Ok(next.run(request).await)
}

/// Takes as long for a nearly right token as for a wrong one, and for the first one as for the last.
fn carries(headers: &HeaderMap, tokens: &[Secret]) -> bool {
    let Some(credentials) = headers.get(header::AUTHORIZATION).and_then(bearer_credentials) else { return false };
    let is = |token: &Secret| credentials.ct_eq(token.expose().as_bytes());
    tokens.iter().fold(Choice::from(0), |carries, token| carries | is(token)).into()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(authorization: Option<&'static str>, expected: bool) {
        let headers =
            authorization.map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value))).into_iter().collect();
        assert_eq!(carries(&headers, &["right", "new"].map(Secret::new)), expected, "{authorization:?}");
        assert!(!carries(&headers, &[]), "{authorization:?}");
    }

    #[test]
    fn only_a_right_token_is_let_through() {
        check(Some("Bearer right"), true);
        check(Some("Bearer new"), true);
        check(Some("bearer right"), true);
        for wrong in [
            "Bearer wrong",
            "Bearer righ",
            "Bearer right ",
            "Bearer rightnew",
            "Bearer right,new",
            "Bearer ",
            "Bearer",
            "Basic right",
            "right",
            "",
        ] {
            check(Some(wrong), false);
        }
        check(None, false);
    }
}
