//! `GET /v1/messages/{id}`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use uuid::Uuid;

use super::{AppState, away, caller::Caller, change, message_body::MessageBody};
use crate::problem::Problem;

/// The message as it stands. A malformed id is the id of no message.
pub async fn handle(
    State(app): State<AppState>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<MessageBody>, Problem> {
    let id = change::id(id)?;
    let found = app.store.message(&caller.tenant, id).await.map_err(|error| away("messages cannot be read", &error))?;
    Ok(Json(found.ok_or_else(|| change::not_found(id))?.into()))
}
