//! Every URL, on one screen. To add one: a file below `routes/`, and a line here.

mod access;
mod caller;
mod cancel_message;
mod change;
mod claims;
mod cursor;
mod dead_letter_body;
mod dead_letter_id;
mod dead_letter_times;
mod delivery_report;
mod delivery_reports;
mod get_dead_letter;
mod get_message;
mod get_message_events;
mod get_statistics;
mod idempotency_key;
mod internal_token;
mod json_body;
mod list;
mod list_dead_letters;
mod list_failed_messages;
mod list_messages;
mod list_query;
mod list_user_messages;
mod message_body;
mod message_id;
pub mod message_request;
mod methods;
mod observation;
mod openapi;
mod redrive_dead_letter;
mod redrive_dead_letters;
mod report_request;
mod request_id;
mod retry_failed_messages;
mod retry_message;
mod send_batch;
mod send_message;
mod submit;
mod url_query;

use std::{iter, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware,
    response::Response,
    routing::{MethodRouter, get, post},
};
use contract::{DeliveryReport, DeliveryStatus, ReportOutcome};
use tower::{ServiceExt, util::MapResponse};

use self::message_request::Rules;
use crate::{
    access::{AccessControl, Scope},
    config::Secret,
    ingest::Ingest,
    metrics::Metrics,
    problem::{Kind, Problem},
    store::{self, RetryFailed, Store},
};

/// What handlers work with.
pub struct AppState {
    /// Takes messages in.
    pub ingest: Ingest,
    /// Answers questions about stored ones.
    pub store: Store,
    /// Counts.
    pub metrics: Metrics,
    /// What a message may look like.
    pub rules: Rules,
    /// For how long idempotency keys are kept.
    pub idempotency_retention: Duration,
    /// What follows a failure that may pass.
    pub retry_failed: RetryFailed,
    /// After what time a message that is still pending is published again.
    pub republish_after: Duration,
}

impl AppState {
    /// Records and counts what became of messages.
    async fn record_reports(&self, reports: &[DeliveryReport]) -> Result<Vec<ReportOutcome>, Problem> {
        let record = || self.store.record_reports(reports, self.retry_failed);
        let outcomes = match record().await {
            Err(error) if error.passes() => record().await,
            outcomes => outcomes,
        };
        let outcomes = outcomes.map_err(|error| away("reports cannot be stored", &error))?;
        for (report, outcome) in iter::zip(reports, &outcomes) {
            match outcome {
                ReportOutcome::Changed => match report.status {
                    DeliveryStatus::Sent => self.metrics.sent.inc(),
                    DeliveryStatus::Failed => self.metrics.failed.inc(),
                    DeliveryStatus::Expired => self.metrics.expired.inc(),
                    DeliveryStatus::Unknown => self.metrics.unknown.inc(),
                },
                ReportOutcome::Unchanged => self.metrics.late_reports.inc(),
                ReportOutcome::MessageNotFound => continue,
            };
        }
        Ok(outcomes)
    }
}

/// That PostgreSQL cannot do it: at this time, or with these rows. That it is away is told by the readiness check, once
/// and with its reason; what else is wrong is told here, because nothing else would.
fn away(what: &'static str, error: &store::Error) -> Problem {
    if !matches!(error, store::Error::Away(_)) {
        tracing::warn!(error = telemetry::error_chain(error), "{what}");
    }
    match error {
        // Another time would end the same, and so would all that came with what is refused.
        store::Error::Refused { .. } => Problem::new(Kind::Internal, format!("There is a bug: {what}.")),
        _ => Problem::unavailable(format!("At this time {what}. Try again."), Duration::from_secs(2)),
    }
}

/// One of the APIs, to be served.
pub type Api = MapResponse<Router, fn(Response) -> Response>;

/// The public API, and the scope that each URL needs. Nothing here answers a caller who is not known.
pub fn public(state: Arc<AppState>, access: AccessControl) -> Api {
    let refusals = state.metrics.refusals.clone();
    let needs = |scope, methods: MethodRouter<Arc<AppState>>| {
        methods.route_layer(middleware::from_fn_with_state((scope, refusals.clone()), access::require_scope))
    };
    let routes = Router::new()
        .route("/v1/messages", needs(Scope::Send, post(send_message::handle)))
        .route("/v1/messages", needs(Scope::Read, get(list_messages::handle)))
        .route("/v1/messages/batch", needs(Scope::Send, post(send_batch::handle)))
        .route("/v1/messages/failed", needs(Scope::Read, get(list_failed_messages::handle)))
        .route("/v1/messages/failed/retry", needs(Scope::Send, post(retry_failed_messages::handle)))
        .route("/v1/messages/stats", needs(Scope::Read, get(get_statistics::handle)))
        .route("/v1/messages/{id}", needs(Scope::Read, get(get_message::handle)))
        .route("/v1/messages/{id}/events", needs(Scope::Read, get(get_message_events::handle)))
        .route("/v1/messages/{id}/cancel", needs(Scope::Send, post(cancel_message::handle)))
        .route("/v1/messages/{id}/retry", needs(Scope::Send, post(retry_message::handle)))
        .route("/v1/users/{user_id}/messages", needs(Scope::Read, get(list_user_messages::handle)))
        .route("/v1/dead-letters", needs(Scope::Admin, get(list_dead_letters::handle)))
        .route("/v1/dead-letters/redrive", needs(Scope::Admin, post(redrive_dead_letters::handle)))
        .route("/v1/dead-letters/{id}", needs(Scope::Admin, get(get_dead_letter::handle)))
        .route("/v1/dead-letters/{id}/redrive", needs(Scope::Admin, post(redrive_dead_letter::handle)));
    let admitted = middleware::from_fn_with_state((Arc::clone(&state), access), access::admit);
    with_options(with_fallbacks(routes).layer(admitted).with_state(state).merge(openapi::routes()))
}

/// The internal API, on a listener of its own: nothing here answers without one of the tokens.
pub fn internal(state: Arc<AppState>, tokens: Vec<Secret>) -> Api {
    let routes = Router::new()
        .route("/v1/internal/delivery-report", post(delivery_report::handle))
        .route("/v1/internal/delivery-reports", post(delivery_reports::handle))
        .route("/v1/internal/claims", post(claims::claim))
        .route("/v1/internal/claims/release", post(claims::release));
    let authenticated = middleware::from_fn_with_state(Arc::from(tokens), internal_token::require_token);
    let observed = middleware::from_fn_with_state(Arc::clone(&state), observation::observe);
    with_options(with_fallbacks(routes).layer(authenticated).layer(observed).with_state(state))
}

fn with_fallbacks(routes: Router<Arc<AppState>>) -> Router<Arc<AppState>> {
    routes
        .fallback(async || Problem::new(Kind::NotFound, "There is nothing at this URL."))
        .method_not_allowed_fallback(methods::options_or_problem)
}

/// A router adds `Allow` outside its own layers.
fn with_options(routes: Router) -> Api {
    ServiceExt::<Request>::map_response(routes, methods::allow_options)
}
