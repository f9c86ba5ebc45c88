//! `POST /v1/messages/failed/retry`.

use std::sync::Arc;

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
use uuid::Uuid;

use super::{AppState, away, caller::Caller, cursor, json_body::JsonBody, message_request::is_reference};
use crate::{
    message::Status,
    problem::{NOT_A_TIME, Problem, Violation},
    store::{DEEPEST, Filter, Retried},
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
    #[schema(value_type = Option<Uuid>)]
    #[serde(default)]
    batch_id: Value,
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10000)]
    #[serde(default)]
    limit: Value,
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    cursor: Value,
}

/// What is wished for, proven usable.
struct Wish {
    /// Which messages.
    filter: Filter,
    /// The message after which to begin.
    after: Option<Uuid>,
    /// How many at most.
    limit: u32,
}

/// The body of the answer. Where there may be more, the same wish with this cursor goes on; without it, it begins anew.
#[derive(Serialize, ToSchema)]
pub struct RetryAnswer {
    retried_count: usize,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Sends the caller's FAILED messages again, each as its next attempt, newest first. Answers 202: they are stored as
/// pending, and on their way.
#[utoipa::path(
    post, path = "/v1/messages/failed/retry", operation_id = "retryFailedMessages", tag = "messages",
    request_body = RetryRequest,
    responses((status = 202, description = "So many messages are on their way again", body = RetryAnswer)),
)]
pub async fn handle(State(app): State<Arc<AppState>>, caller: Caller, body: JsonBody) -> Result<Response, Problem> {
    let Wish { filter, after, limit } = body.decode::<RetryRequest>()?.validate().map_err(Problem::invalid_fields)?;
    let traceparent = traceparent_of(&Span::current());
    let rest = filter.after(after);
    let sent = app.store.retry_all(&caller.tenant, &rest, limit, traceparent.as_deref(), app.republish_after).await;
    let Retried { count, goes_on_after } = sent.map_err(|error| away("messages cannot be changed", &error))?;
    let next_cursor = goes_on_after.map(|last| cursor::encode(last, &filter));
    let answer = RetryAnswer { retried_count: count, more: next_cursor.is_some(), next_cursor };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

impl RetryRequest {
    fn validate(self) -> Result<Wish, Vec<Violation>> {
        let mut violations = Vec::new();
        let after: Option<Timestamp> = take("created_after", self.created_after, NOT_A_TIME, &mut violations);
        let before: Option<Timestamp> = take("created_before", self.created_before, NOT_A_TIME, &mut violations);
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
        let mut filter = Filter { status: Some(Status::Failed), client_reference: reference, ..Filter::default() };
        filter.narrow(after, before, batch_id);
        let cursor: Option<String> = take("cursor", self.cursor, "must be a string", &mut violations);
        let after = cursor.as_deref().and_then(|cursor| cursor::decode(cursor, &filter));
        if cursor.is_some() && after.is_none() {
            violations.push(violation("cursor", "must be the next_cursor of an answer to the same filters"));
        }
        if violations.is_empty() { Ok(Wish { filter, after, limit: given.unwrap_or(USUAL) }) } else { Err(violations) }
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
