//! `POST /v1/messages/{id}/retry`.

use std::sync::Arc;

use axum::{Json, extract::State};
use telemetry::trace_context::traceparent_of;
use tracing::Span;

use super::{AppState, caller::Caller, change, message_body::MessageBody, message_id::MessageId};
use crate::problem::{Problem, ProblemBody};

/// Sends a FAILED message again, at once and as its next attempt; answers with the message as it is then.
#[utoipa::path(
    post, path = "/v1/messages/{id}/retry", operation_id = "retryMessage", tag = "messages", params(MessageId),
    responses(
        (status = 200, description = "The message, on its way again", body = MessageBody),
        (status = 409, description = "The message has a status in which that cannot be done", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    MessageId(id): MessageId,
) -> Result<Json<MessageBody>, Problem> {
    let traceparent = traceparent_of(&Span::current());
    let changed = app.store.retry(&caller.tenant, id, traceparent.as_deref(), app.republish_after).await;
    change::answer(id, changed, "Only a message that is FAILED can be sent again")
}
