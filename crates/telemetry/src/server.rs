//! The port that operators and Kubernetes look at: `/metrics`, `/healthz` and `/readyz`.

use std::{future::IntoFuture, io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::{Health, Report};

/// Media type of OpenMetrics text. Source: the OpenMetrics 1.0 specification, section "Overall structure".
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How long requests under way may take to end after the shutdown.
const DRAIN: Duration = Duration::from_secs(1);

struct Observed {
    registry: Registry,
    health: Health,
}

/// Opens a listener, or says in one sentence which address is not to be had.
pub async fn bind(address: SocketAddr, purpose: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address} for {purpose}"))
}

/// Serves until `shutdown`; the routes need no authentication and tell no secrets.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    health: Health,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_with(listener, registry, health, Router::new(), shutdown).await
}

/// [`serve`], with the service's own routes.
pub async fn serve_with(
    listener: TcpListener,
    registry: Registry,
    health: Health,
    own: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Arc::new(Observed { registry, health }))
        .merge(own);
    let serving = axum::serve(listener, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving.into_future() => served,
        // A connection on which half a request has arrived would otherwise be waited for without end.
        () = overdue => Ok(()),
    }
}

/// Liveness: the process answers. Says nothing about PostgreSQL or Kafka on purpose: restarting us would
/// not bring them back.
async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(observed): State<Arc<Observed>>) -> (StatusCode, Json<Report>) {
    let report = observed.health.report();
    let status = if report.is_up() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

async fn metrics(State(observed): State<Arc<Observed>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &observed.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics could not be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
