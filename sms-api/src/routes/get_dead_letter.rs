//! `GET /v1/dead-letters/{id}`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{
    AppState, away,
    caller::Caller,
    dead_letter_body::DeadLetterBody,
    dead_letter_id::{self, DeadLetterId},
};
use crate::problem::Problem;

/// The dead letter with its record.
#[utoipa::path(
    get, path = "/v1/dead-letters/{id}", operation_id = "getDeadLetter", tag = "dead letters", params(DeadLetterId),
    responses((status = 200, description = "The dead letter", body = DeadLetterBody)),
)]
pub async fn handle(
    State(app): State<Arc<AppState>>,
    caller: Caller,
    DeadLetterId(id): DeadLetterId,
) -> Result<Json<DeadLetterBody>, Problem> {
    let found = app.store.dead_letter(&caller.tenant, id).await;
    let found = found.map_err(|error| away("dead letters cannot be read", &error))?;
    Ok(Json(found.ok_or_else(|| dead_letter_id::not_found(id))?.into()))
}
