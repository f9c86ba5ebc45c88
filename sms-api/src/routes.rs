//! Every URL, on one screen. To add one: a file below `routes/`, and a line here.

mod authentication;
mod delivery_report;
mod get_message;
mod json_body;
mod observation;
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
        .route("/v1/messages/{id}", get(get_message::handle));
    with_common_behaviour(routes, state)
}

/// The internal API, on a listener of its own: nothing here answers without the token.
pub fn internal(state: AppState, token: Secret) -> Router {
    let routes = Router::new().route("/v1/internal/delivery-report", post(delivery_report::handle));
    let authenticated = middleware::from_fn_with_state(Arc::new(token), authentication::require_token);
    with_common_behaviour(routes, state).layer(authenticated)
}

fn with_common_behaviour(routes: Router<AppState>, state: AppState) -> Router {
    routes
        .fallback(async || Problem::new(Kind::NotFound, "There is nothing at this URL."))
        .method_not_allowed_fallback(async || {
            Problem::new(Kind::MethodNotAllowed, "This URL does not know this method; see the Allow header.")
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(CatchPanicLayer::custom(after_panic))
        .layer(middleware::from_fn_with_state(state.clone(), observation::observe))
        .with_state(state)
}

/// The panic itself was reported by the panic hook; its words may quote a request, so they go nowhere else.
fn after_panic(_payload: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(Kind::Internal, "The request could not be handled.").into_response()
}
