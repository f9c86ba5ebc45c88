//! Every URL, on one screen. To add one: a file below `routes/`, and a line here.

mod authentication;
mod delivery_report;
mod get_message;
mod get_message_events;
mod get_statistics;
mod json_body;
mod message_body;
mod methods;
mod observation;
mod request_id;
mod send_message;

use std::{any::Any, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    config::Secret,
    ingest::Ingest,
    metrics::Metrics,
    problem::{Kind, Problem},
    store::Store,
};

/// Largest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// Takes messages in.
    pub ingest: Ingest,
    /// Answers questions about stored ones.
    pub store: Store,
    /// Counts.
    pub metrics: Metrics,
}

/// The public API.
pub fn public(state: AppState) -> Router {
    let routes = Router::new()
        .route("/v1/messages", post(send_message::handle))
        .route("/v1/messages/stats", get(get_statistics::handle))
        .route("/v1/messages/{id}", get(get_message::handle))
        .route("/v1/messages/{id}/events", get(get_message_events::handle));
    with_common_behaviour(with_fallbacks(routes), state)
}

/// The internal API, on a listener of its own: nothing here answers without the token.
pub fn internal(state: AppState, token: Secret) -> Router {
    let routes = Router::new().route("/v1/internal/delivery-report", post(delivery_report::handle));
    let authenticated = middleware::from_fn_with_state(Arc::new(token), authentication::require_token);
    with_common_behaviour(with_fallbacks(routes).layer(authenticated), state)
}

fn with_fallbacks(routes: Router<AppState>) -> Router<AppState> {
    routes
        .fallback(async || Problem::new(Kind::NotFound, "There is nothing at this URL."))
        .method_not_allowed_fallback(methods::options_or_problem)
}

fn with_common_behaviour(routes: Router<AppState>, state: AppState) -> Router {
    let observed = routes
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn_with_state(state.clone(), observation::observe))
        .with_state(state);
    // A router adds `Allow` outside its own layers.
    Router::new().fallback_service(observed).layer(middleware::map_response(methods::allow_options))
}

/// The panic itself was reported by the panic hook; its words may quote a request, so they go nowhere else.
fn after_panic(_payload: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(Kind::Internal, "The request could not be handled.").into_response()
}
