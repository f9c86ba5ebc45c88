//! `POST /v1/dead-letters/redrive`.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use telemetry::trace_context::traceparent_of;
use tracing::Span;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AppState, away, caller::Caller, dead_letter_times, json_body::JsonBody};
use crate::problem::{Problem, Violation};

/// How many messages are sent again where nothing is said.
const USUAL: u64 = 1_000;
/// How many are sent again at most.
const MOST: u64 = 10_000;
/// After what time no more are looked at, so that the answer comes while the client still waits for it.
const LONGEST: Duration = Duration::from_secs(10);

/// The body as it came: which dead letters, and how many messages are sent at most.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct RedriveRequest {
    #[schema(value_type = Option<jiff::Timestamp>)]
    #[serde(default)]
    created_after: Value,
    #[schema(value_type = Option<jiff::Timestamp>)]
    #[serde(default)]
    created_before: Value,
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10000)]
    #[serde(default)]
    limit: Value,
}

/// The body of the answer.
#[derive(Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RedriveOutcome {
    /// Messages that are on their way again.
    redriven_count: usize,
    /// Dead letters that were looked at and cannot be sent again; each tells why when it is redriven by itself.
    skipped_count: usize,
    /// Not all was looked at: the same request goes on.
    more: bool,
}

/// Sends the messages of all dead letters again that can be, oldest first. Each step is kept, whatever becomes of the
/// next one, and no message is sent twice by asking twice.
#[utoipa::path(
    post, path = "/v1/dead-letters/redrive", operation_id = "redriveDeadLetters", tag = "dead letters",
    request_body = RedriveRequest,
    responses((status = 202, description = "So many messages are on their way again", body = RedriveOutcome)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    body: JsonBody,
) -> Result<(StatusCode, Json<RedriveOutcome>), Problem> {
    let (Range { start, end: before }, limit) =
        body.decode::<RedriveRequest>()?.validate().map_err(Problem::invalid_fields)?;
    let traceparent = traceparent_of(&Span::current());
    let (began, mut after, mut outcome) = (Instant::now(), start, RedriveOutcome::default());
    loop {
        let most = limit - outcome.redriven_count;
        let range = (after, before);
        let step = app
            .store
            .redrive_some(&caller.tenant, range, most, traceparent.as_deref(), app.republish_after)
            .await
            .map_err(|error| away("messages cannot be sent again", &error))?;
        app.metrics.dead_letters_redriven.inc_by(u64::try_from(step.redriven).unwrap_or_default());
        outcome.redriven_count += step.redriven;
        outcome.skipped_count += step.skipped;
        outcome.more = step.goes_on_after.is_some();
        match step.goes_on_after {
            Some(last) if outcome.redriven_count < limit && began.elapsed() < LONGEST => after = last,
            _ => return Ok((StatusCode::ACCEPTED, Json(outcome))),
        }
    }
}

impl RedriveRequest {
    fn validate(&self) -> Result<(Range<Uuid>, usize), Vec<Violation>> {
        let mut violations = Vec::new();
        let mut complain = |name: &str, message: &str| {
            violations.push(Violation::of(name, &format!("redriveDeadLetters.request.{name}"), message));
        };
        // What is no text is no time either.
        let text = |given: &Value| (!given.is_null()).then(|| given.as_str().unwrap_or_default().to_owned());
        let (after, before) = (text(&self.created_after), text(&self.created_before));
        let ids = dead_letter_times::ids(after.as_deref(), before.as_deref(), &mut complain);
        let limit = if self.limit.is_null() { Some(USUAL) } else { self.limit.as_u64() };
        let limit = limit.filter(|limit| (1..=MOST).contains(limit)).and_then(|limit| usize::try_from(limit).ok());
        if limit.is_none() {
            complain("limit", &format!("must be a whole number from 1 to {MOST}"));
        }
        limit.filter(|_| violations.is_empty()).map(|limit| (ids, limit)).ok_or(violations)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn validate(body: Value) -> Result<(Range<Uuid>, usize), Vec<String>> {
        let request: RedriveRequest = serde_json::from_value(body).expect("a JSON object");
        request.validate().map_err(|violations| violations.into_iter().map(|violation| violation.pointer).collect())
    }

    #[test]
    fn an_empty_object_means_all_up_to_the_usual_limit() {
        assert_eq!(validate(json!({})), Ok((Uuid::nil()..Uuid::max(), 1_000)));
        assert_eq!(validate(json!({ "limit": 10_000 })), Ok((Uuid::nil()..Uuid::max(), 10_000)));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = json!({ "created_after": 5, "created_before": "yesterday", "limit": "10" });
        assert_eq!(validate(wrong), Err(["created_after", "created_before", "limit"].map(str::to_owned).to_vec()));
        for limit in [json!(0), json!(-1), json!(1.5), json!(10_001), json!([])] {
            assert_eq!(validate(json!({ "limit": limit })), Err(vec!["limit".to_owned()]));
        }
    }
}
