//! `GET /v1/messages/stats`.

use std::time::Duration;

use axum::{Json, extract::State};

use super::AppState;
use crate::{problem::Problem, statistics::Statistics};

/// One snapshot of the counts. Totals are since the beginning, also of messages that retention has removed.
pub async fn handle(State(app): State<AppState>) -> Result<Json<Statistics>, Problem> {
    let flows = app.store.flows().await.map_err(|_| {
        // Logged by the readiness check, once, with its reason.
        Problem::unavailable("Statistics cannot be read at this time.", Duration::from_secs(2))
    })?;
    Ok(Json(Statistics::of(&flows)))
}
