//! `POST /v1/messages/{id}/retry`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use telemetry::trace_context::traceparent_of;
use tracing::Span;
use uuid::Uuid;

use super::{AppState, caller::Caller, change, message_body::MessageBody};
use crate::problem::Problem;

/// Sends a FAILED message again, at once and as its next attempt; answers with the message as it is then.
pub async fn handle(
    State(app): State<AppState>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<MessageBody>, Problem> {
    let id = change::id(id)?;
    let traceparent = traceparent_of(&Span::current());
    let changed = app.store.retry(&caller.tenant, id, traceparent.as_deref(), app.republish_after).await;
    change::answer(id, changed, "Only a message that is FAILED can be sent again")
}
