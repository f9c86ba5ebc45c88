//! `GET /v1/messages/{id}/events`.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use uuid::Uuid;

use super::AppState;
use crate::{
    problem::{Kind, Problem},
    store::Event,
};

/// The body.
#[derive(Serialize)]
pub struct Events {
    events: Vec<Event>,
}

/// Every state that the message went through, oldest first. A malformed id is the id of no message.
pub async fn handle(
    State(app): State<AppState>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Events>, Problem> {
    let Ok(Path(id)) = id else {
        return Err(Problem::new(Kind::MessageNotFound, "Message not found: the id is not a UUID."));
    };
    let events = app.store.events(id).await.map_err(|_| {
        // Logged by the readiness check, once, with its reason.
        Problem::unavailable("Messages cannot be read at this time.", Duration::from_secs(2))
    })?;
    if events.is_empty() {
        return Err(Problem::new(Kind::MessageNotFound, format!("Message not found: {id}")));
    }
    Ok(Json(Events { events }))
}
