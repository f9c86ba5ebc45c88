//! `GET /v1/messages/{id}`.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use uuid::Uuid;

use super::{AppState, message_body::MessageBody};
use crate::problem::{Kind, Problem};

/// The message as it stands. A malformed id is the id of no message.
pub async fn handle(
    State(app): State<AppState>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<MessageBody>, Problem> {
    let Ok(Path(id)) = id else {
        return Err(Problem::new(Kind::MessageNotFound, "Message not found: the id is not a UUID."));
    };
    let found = app.store.message(id).await.map_err(|_| {
        // Logged by the readiness check, once, with its reason.
        Problem::unavailable("Messages cannot be read at this time.", Duration::from_secs(2))
    })?;
    let message = found.ok_or_else(|| Problem::new(Kind::MessageNotFound, format!("Message not found: {id}")))?;
    Ok(Json(message.into()))
}
