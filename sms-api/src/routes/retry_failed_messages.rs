//! `POST /v1/messages/failed/retry`.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use telemetry::trace_context::traceparent_of;
use tracing::Span;
use utoipa::ToSchema;

use super::{AppState, away, caller::Caller, json_body::JsonBody, message_request::is_reference};
use crate::{
    problem::{Problem, Violation},
    store::{DEEPEST, Filter},
};

/// How many messages are sent again when nobody says.
const USUAL: u32 = 1_000;

/// The body as it came: which FAILED messages, and how many at most.
#[derive(Default, Deserialize, ToSchema)]
pub struct RetryRequest {
    #[schema(value_type = Option<jiff::Timestamp>)]
    #[serde(default)]
    created_after: Value,
    #[schema(value_type = Option<jiff::Timestamp>)]
    #[serde(default)]
    created_before: Value,
    #[schema(schema_with = super::message_request::client_reference_schema)]
    #[serde(default)]
    client_reference: Value,
    #[schema(value_type = Option<uuid::Uuid>)]
    #[serde(default)]
    batch_id: Value,
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10000)]
    #[serde(default)]
    limit: Value,
}

/// The body of the answer.
#[derive(Serialize, ToSchema)]
pub struct Retried {
    retried_count: usize,
    more: bool,
}

/// Sends the caller's FAILED messages again, each as its next attempt, newest first. Answers 202: they are stored as
/// pending, and on their way.
#[utoipa::path(
    post, path = "/v1/messages/failed/retry", operation_id = "retryFailedMessages", tag = "messages",
    request_body = RetryRequest,
    responses((status = 202, description = "So many messages are on their way again", body = Retried)),
)]
pub async fn handle(State(app): State<AppState>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    let (filter, limit) = body.decode::<RetryRequest>()?.validate().map_err(Problem::invalid_fields)?;
    let traceparent = traceparent_of(&Span::current());
    let sent = app.store.retry_all(&caller.tenant, &filter, limit, traceparent.as_deref(), app.republish_after).await;
    let (retried_count, more) = sent.map_err(|error| away("messages cannot be changed", &error))?;
    Ok((StatusCode::ACCEPTED, Json(Retried { retried_count, more })).into_response())
}

impl RetryRequest {
    fn validate(self) -> Result<(Filter, u32), Vec<Violation>> {
        let mut violations = Vec::new();
        let time = "must be a time with zone (RFC 3339), such as 2026-11-23T14:00:00Z";
        let after: Option<Timestamp> = take("created_after", self.created_after, time, &mut violations);
        let before: Option<Timestamp> = take("created_before", self.created_before, time, &mut violations);
        let batch_id = take("batch_id", self.batch_id, "must be a UUID", &mut violations);
        let reference: Option<String> =
            take("client_reference", self.client_reference, "must be a string", &mut violations);
        let limit = format!("must be a whole number from 1 to {DEEPEST}");
        let given: Option<u32> = take("limit", self.limit, &limit, &mut violations);
        if given.is_some_and(|given| !(1..=DEEPEST).contains(&given)) {
            violations.push(violation("limit", &limit));
        }
        if reference.as_deref().is_some_and(|reference| !is_reference(reference)) {
            violations.push(violation("client_reference", "must have 1 to 255 characters"));
        }
        let mut filter = Filter { client_reference: reference, ..Filter::default() };
        filter.narrow(after, before, batch_id);
        if violations.is_empty() { Ok((filter, given.unwrap_or(USUAL))) } else { Err(violations) }
    }
}

fn take<T: DeserializeOwned>(name: &str, given: Value, message: &str, violations: &mut Vec<Violation>) -> Option<T> {
    serde_json::from_value::<Option<T>>(given).unwrap_or_else(|_| {
        violations.push(violation(name, message));
        None
    })
}

fn violation(name: &str, message: &str) -> Violation {
    Violation::of(name, &format!("retryFailedMessages.request.{name}"), message)
}
