//! What a URL answers to methods that it has no handler for. HEAD is GET's, by the router.

use axum::{
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::problem::{Kind, Problem};

/// The router adds `Allow`.
pub async fn options_or_problem(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    Problem::new(Kind::MethodNotAllowed, "This URL does not know this method; see the Allow header.").into_response()
}

/// Adds OPTIONS to `Allow`, which the router makes from the handlers that it has.
pub fn allow_options(mut response: Response) -> Response {
    if let Some(allow) = response.headers_mut().get_mut(header::ALLOW) {
        let with_options = [allow.as_bytes(), b",OPTIONS"].concat();
        *allow = HeaderValue::try_from(with_options).expect("methods are visible ASCII");
    }
    response
}
