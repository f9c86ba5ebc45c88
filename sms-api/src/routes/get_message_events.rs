//! `GET /v1/messages/{id}/events`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use uuid::Uuid;

use super::{AppState, away, caller::Caller, change};
use crate::{problem::Problem, store::Event};

/// The body.
#[derive(Serialize)]
pub struct Events {
    events: Vec<Event>,
}

/// Every state that the message went through, oldest first. A malformed id is the id of no message.
pub async fn handle(
    State(app): State<AppState>,
    caller: Caller,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Events>, Problem> {
    let id = change::id(id)?;
    let events = app.store.events(&caller.tenant, id).await.map_err(|error| away("messages cannot be read", &error))?;
    Ok(Json(Events { events: events.ok_or_else(|| change::not_found(id))? }))
}
