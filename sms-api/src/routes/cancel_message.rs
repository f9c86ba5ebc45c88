//! `POST /v1/messages/{id}/cancel`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{AppState, caller::Caller, change, message_body::MessageBody, message_id::MessageId};
use crate::problem::{Problem, ProblemBody};

/// Calls a message back that is SCHEDULED, or FAILED and waits for its retry; answers with the message as it is then.
#[utoipa::path(
    post, path = "/v1/messages/{id}/cancel", operation_id = "cancelMessage", tag = "messages", params(MessageId),
    responses(
        (status = 200, description = "The message, called back", body = MessageBody),
        (status = 409, description = "The message has a status in which that cannot be done", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    MessageId(id): MessageId,
) -> Result<Json<MessageBody>, Problem> {
    let changed = app.store.cancel(&caller.tenant, id).await;
    change::answer(id, changed, "Only a message that is SCHEDULED, or FAILED and waits for a retry, can be canceled")
}
