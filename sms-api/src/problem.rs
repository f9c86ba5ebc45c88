//! Every error that a client can see: RFC 9457 problem details, with the `violations` and `error_code` that
//! clients of the decision record's first implementation know.

use std::time::Duration;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contract::problem::PROBLEM_TYPES;
use serde::Serialize;
use utoipa::ToSchema;

/// What is said of a time that cannot be read, whatever field or parameter holds it.
pub const NOT_A_TIME: &str = "must be a time with zone (RFC 3339), such as 2026-11-23T14:00:00Z";

/// How many wrong fields the detail names.
const NAMED_AT_MOST: usize = 10;
/// How many wrong fields are listed.
const LISTED_AT_MOST: usize = 100;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    violations: Vec<Violation>,
    retry_after: Option<Duration>,
}

/// What is wrong, by its stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fields are missing or wrong; all of them are listed.
    InvalidFields,
    /// The body is not the JSON that is expected.
    MalformedBody,
    /// No token or API key, or a wrong one.
    Unauthorized,
    /// The API key does not allow it.
    Forbidden,
    /// No such URL.
    NotFound,
    /// No such message.
    MessageNotFound,
    /// No such dead letter.
    DeadLetterNotFound,
    /// The URL knows other methods.
    MethodNotAllowed,
    /// The body did not arrive in time.
    RequestTimeout,
    /// The body is too large.
    BodyTooLarge,
    /// The body says that it is not JSON.
    UnsupportedMediaType,
    /// The message has a status in which this cannot be done.
    WrongStatus,
    /// The dead letter cannot be sent again.
    NotRedrivable,
    /// The idempotency key is not one.
    InvalidIdempotencyKey,
    /// A request with the same idempotency key is still under way.
    IdempotencyKeyBusy,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// More requests than the API key allows.
    RateLimited,
    /// A fault of this service.
    Internal,
    /// Not at this time; trying again is right.
    Unavailable,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where it was given.
    pub place: Place,
    /// The field's names and indexes between slashes, such as `messages/3/sender`, or the parameter's name.
    pub pointer: String,
    /// The field as the first implementation names it.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

/// Where a wrong field was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the body.
    Body,
    /// In the URL.
    Url,
}

impl Violation {
    /// Of a field at the top of the body.
    pub fn of(name: &str, peer_name: &str, message: impl Into<String>) -> Self {
        let (pointer, field, message) = (name.to_owned(), peer_name.to_owned(), message.into());
        Self { place: Place::Body, pointer, field, message }
    }

    /// Of a parameter of the URL.
    pub fn of_parameter(name: &str, peer_name: &str, message: impl Into<String>) -> Self {
        Self { place: Place::Url, ..Self::of(name, peer_name, message) }
    }
}

/// The body of every error answer (RFC 9457), for the API's document.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    error_code: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    violations: Vec<ConstraintViolation<'a>>,
}

/// What is wrong with one field.
#[derive(Serialize, ToSchema)]
pub struct FieldError<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    detail: &'a str,
}

/// The same in the first implementation's words.
#[derive(Serialize, ToSchema)]
pub struct ConstraintViolation<'a> {
    field: &'a str,
    message: &'a str,
}

impl Problem {
    /// A problem that `detail` explains to the client, in a sentence without secrets.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), violations: Vec::new(), retry_after: None }
    }

    /// All that is wrong with a body's fields, as far as anybody reads it.
    pub fn invalid_fields(mut violations: Vec<Violation>) -> Self {
        let mut names: Vec<_> = violations.iter().map(|violation| violation.pointer.as_str()).collect();
        names.dedup();
        let more = names.len().saturating_sub(NAMED_AT_MOST);
        names.truncate(NAMED_AT_MOST);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let detail = format!("These fields are not valid: {}{more}.", names.join(", "));
        violations.truncate(LISTED_AT_MOST);
        Self { violations, ..Self::new(Kind::InvalidFields, detail) }
    }

    /// The service cannot do it at this time; the client should try again after `retry_after`.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::Unavailable, detail) }
    }

    /// The request meets another one; the client should try again after `retry_after`.
    pub fn busy(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::IdempotencyKeyBusy, detail) }
    }

    fn body(&self) -> ProblemBody<'_> {
        let (name, status, title) = self.kind.words();
        ProblemBody {
            r#type: format!("{PROBLEM_TYPES}{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            error_code: name.replace('-', "_").to_ascii_uppercase(),
            errors: self
                .violations
                .iter()
                .map(|Violation { place, pointer, message, .. }| FieldError {
                    pointer: (*place == Place::Body).then(|| format!("#/{pointer}")),
                    parameter: (*place == Place::Url).then_some(pointer),
                    detail: message,
                })
                .collect(),
            violations: self
                .violations
                .iter()
                .map(|violation| ConstraintViolation { field: &violation.field, message: &violation.message })
                .collect(),
        }
    }
}

impl Kind {
    /// Stable name, status and title.
    fn words(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidFields => ("invalid-fields", StatusCode::BAD_REQUEST, "Constraint Violation"),
            Self::MalformedBody => ("malformed-body", StatusCode::BAD_REQUEST, "Malformed body"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "Forbidden"),
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "Not found"),
            Self::MessageNotFound => ("message-not-found", StatusCode::NOT_FOUND, "Message not found"),
            Self::DeadLetterNotFound => ("dead-letter-not-found", StatusCode::NOT_FOUND, "Dead letter not found"),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
            Self::RequestTimeout => ("request-timeout", StatusCode::REQUEST_TIMEOUT, "Request timeout"),
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "Body too large"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type")
            }
            Self::WrongStatus => ("wrong-status", StatusCode::CONFLICT, "Wrong status"),
            Self::NotRedrivable => ("not-redrivable", StatusCode::CONFLICT, "Not redrivable"),
            Self::InvalidIdempotencyKey => {
                ("invalid-idempotency-key", StatusCode::BAD_REQUEST, "Invalid Idempotency-Key")
            }
            Self::IdempotencyKeyBusy => ("idempotency-key-busy", StatusCode::CONFLICT, "Idempotency-Key in use"),
            Self::IdempotencyKeyReused => {
                ("idempotency-key-reused", StatusCode::UNPROCESSABLE_ENTITY, "Idempotency-Key used before")
            }
            Self::RateLimited => ("rate-limited", StatusCode::TOO_MANY_REQUESTS, "Too many requests"),
            Self::Internal => ("internal-error", StatusCode::INTERNAL_SERVER_ERROR, "Internal error"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body()).expect("a problem of plain fields always encodes");
        let (_, status, _) = self.kind.words();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(retry_after) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
        }
        if self.kind == Kind::Unauthorized {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_lists_every_wrong_field_in_both_shapes() {
        let problem = Problem::invalid_fields(vec![
            Violation::of("sender", "sendMessage.request.sender", "is required"),
            Violation::of("text", "sendMessage.request.text", "is too long"),
        ]);
        assert_eq!(
            serde_json::to_value(problem.body()).expect("problem encodes"),
            serde_json::json!({
                "type": "https://smspipeline.dev/problems/invalid-fields",
                "title": "Constraint Violation",
                "status": 400,
                "detail": "These fields are not valid: sender, text.",
                "error_code": "INVALID_FIELDS",
                "errors": [
                    { "pointer": "#/sender", "detail": "is required" },
                    { "pointer": "#/text", "detail": "is too long" },
                ],
                "violations": [
                    { "field": "sendMessage.request.sender", "message": "is required" },
                    { "field": "sendMessage.request.text", "message": "is too long" },
                ],
            })
        );
    }

    #[test]
    fn the_processor_recognises_an_unknown_message() {
        let problem = Problem::new(Kind::MessageNotFound, "Message not found.");
        assert_eq!(problem.body().r#type, contract::problem::MESSAGE_NOT_FOUND);
    }

    #[test]
    fn a_problem_says_when_to_try_again() {
        let response = Problem::unavailable("PostgreSQL is away.", Duration::from_secs(2)).into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
