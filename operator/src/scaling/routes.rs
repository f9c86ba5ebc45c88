//! Where an operator tells its decisions with everything that they were made from, for `sms-operator explain`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;

use super::Scaling;

#[derive(Debug, Deserialize)]
struct Wanted {
    last: Option<usize>,
}

/// The path at which the decisions about a pipeline are told.
pub fn decisions_path(namespace: &str, pipeline: &str) -> String {
    format!("/decisions/{namespace}/{pipeline}")
}

/// `GET /decisions/{namespace}/{pipeline}?last=N`: the last N decisions, all that are kept when absent.
pub fn decisions(scaling: Arc<Scaling>) -> Router {
    Router::new().route(&decisions_path("{namespace}", "{pipeline}"), get(answer)).with_state(scaling)
}

async fn answer(
    State(scaling): State<Arc<Scaling>>,
    Path((namespace, pipeline)): Path<(String, String)>,
    Query(Wanted { last }): Query<Wanted>,
) -> Response {
    if let Some(recorded) = scaling.recorded(&namespace, &pipeline, last.unwrap_or(usize::MAX)) {
        return Json(recorded).into_response();
    }
    let why = format!(
        "this operator does not decide about SmsPipeline {namespace}/{pipeline}: it does not lead, or \
         spec.processor.autoscaling is not set\n"
    );
    (StatusCode::NOT_FOUND, why).into_response()
}
