//! `GET /v1/messages/{id}`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{
    AppState, away,
    caller::Caller,
    message_body::MessageBody,
    message_id::{self, MessageId},
};
use crate::problem::Problem;

/// The message as it stands. A malformed id is the id of no message.
#[utoipa::path(
    get, path = "/v1/messages/{id}", operation_id = "getMessage", tag = "messages", params(MessageId),
    responses((status = 200, description = "The message", body = MessageBody)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    MessageId(id): MessageId,
) -> Result<Json<MessageBody>, Problem> {
    let found = app.store.message(&caller.tenant, id).await.map_err(|error| away("messages cannot be read", &error))?;
    Ok(Json(found.ok_or_else(|| message_id::not_found(id))?.into()))
}
