//! `GET /v1/messages/stats`.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{AppState, away, caller::Caller};
use crate::{problem::Problem, statistics::Statistics};

/// One snapshot of the caller's counts. Totals are since the beginning, also of messages that retention has removed.
#[utoipa::path(
    get, path = "/v1/messages/stats", operation_id = "getStatistics", tag = "messages",
    responses((status = 200, description = "Figures of the caller's messages", body = Statistics)),
)]
pub async fn handle(State(app): State<Arc<AppState>>, caller: Caller) -> Result<Json<Statistics>, Problem> {
    let flows = app.store.flows(&caller.tenant).await.map_err(|error| away("statistics cannot be read", &error))?;
    Ok(Json(Statistics::of(&flows)))
}
