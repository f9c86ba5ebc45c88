//! `POST /v1/internal/delivery-report`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use contract::ReportOutcome;

use super::{AppState, json_body::JsonBody, report_request::parse};
use crate::problem::{Kind, Problem};

/// Answers 200 also to a report that changes nothing, because the reporter has done its part.
pub async fn handle(State(app): State<Arc<AppState>>, body: JsonBody) -> Result<StatusCode, Problem> {
    let report = parse(body.decode()?).map_err(Problem::invalid_fields)?;
    let outcomes = app.record_reports(std::slice::from_ref(&report)).await?;
    if outcomes.contains(&ReportOutcome::MessageNotFound) {
        let detail = format!("Message not found: {}", report.message_id);
        return Err(Problem::new(Kind::MessageNotFound, detail));
    }
    Ok(StatusCode::OK)
}
