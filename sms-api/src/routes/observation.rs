//! One id, one span and one observed duration per request, and an answer even where its handler panics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use contract::headers::TRACEPARENT;
use futures::FutureExt;
use telemetry::trace_context::continue_trace;
use tracing::Instrument;

use super::{
    AppState,
    request_id::{X_REQUEST_ID, taken_over_or_made},
};
use crate::{
    metrics::Metrics,
    problem::{Kind, Problem},
};

/// Wraps every request of the internal API.
pub async fn observe(State(app): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    observed(&app.metrics, request, None, |request| next.run(request)).await
}

/// Lets `handle` answer a request, in a span that continues the caller's trace and names the caller's key.
pub async fn observed<F: Future<Output = Response>>(
    metrics: &Metrics,
    request: Request,
    key_name: Option<&str>,
    handle: impl FnOnce(Request) -> F,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let request_id = taken_over_or_made(request.headers());
    let span = tracing::info_span!("http request", %method, route, request_id = request_id.to_str().ok(), key_name);
    if let Some(traceparent) = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        continue_trace(&span, traceparent);
    }
    // The panic itself was reported by the panic hook; its words may quote a request, so they go nowhere else.
    let answer = AssertUnwindSafe(handle(request)).catch_unwind().instrument(span).await;
    let mut response =
        answer.unwrap_or_else(|_| Problem::new(Kind::Internal, "The request could not be handled.").into_response());
    response.headers_mut().insert(X_REQUEST_ID, request_id);
    metrics.request_answered(method.as_str(), route, response.status().as_u16(), started.elapsed());
    response
}
