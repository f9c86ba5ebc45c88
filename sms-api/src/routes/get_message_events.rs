//! `GET /v1/messages/{id}/events`.

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;

use super::{
    AppState, away,
    caller::Caller,
    message_id::{self, MessageId},
};
use crate::{problem::Problem, store::Event};

/// The body.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Events {
    events: Vec<Event>,
}

/// Every state that the message went through, oldest first. A malformed id is the id of no message.
#[utoipa::path(
    get, path = "/v1/messages/{id}/events", operation_id = "getMessageEvents", tag = "messages", params(MessageId),
    responses((status = 200, description = "Its states, oldest first", body = Events)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    MessageId(id): MessageId,
) -> Result<Json<Events>, Problem> {
    let events = app.store.events(&caller.tenant, id).await.map_err(|error| away("messages cannot be read", &error))?;
    Ok(Json(Events { events: events.ok_or_else(|| message_id::not_found(id))? }))
}
