//! One id, one span and one observed duration per request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use contract::headers::TRACEPARENT;
use telemetry::trace_context::continue_trace;
use tracing::Instrument;

use super::{
    AppState,
    access::Identity,
    request_id::{X_REQUEST_ID, taken_over_or_made},
};

/// Wraps every request; its span continues the caller's trace.
pub async fn observe(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let request_id = taken_over_or_made(request.headers());
    let key_name = request.extensions().get().and_then(Identity::key_name);
    let span = tracing::info_span!("http request", %method, route, request_id = request_id.to_str().ok(), key_name);
    if let Some(traceparent) = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        continue_trace(&span, traceparent);
    }
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(X_REQUEST_ID, request_id);
    app.metrics.request_answered(method.as_str(), route, response.status().as_u16(), started.elapsed());
    response
}
