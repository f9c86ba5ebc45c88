//! The running service: which tasks there are, and in which order they end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use prometheus_client::registry::Registry;
use sqlx::PgPool;
use telemetry::Health;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    access::AccessControl,
    config::{Config, Secret},
    dead_letters, http,
    ingest::Ingest,
    maintenance::{self, Retention},
    metrics::Metrics,
    readiness,
    relay::{self, Backlog, Limits, Topics},
    routes::{
        self, AppState,
        message_request::{NumberValidation, Rules},
    },
    schedule,
    store::{RetryFailed, Store},
};

/// How long requests in flight may take to end after SIGTERM.
const REQUESTS_DRAIN: Duration = Duration::from_secs(6);
/// How long stored messages may take to be published after that; what is left stays in the outbox.
const RELAY_DRAIN: Duration = Duration::from_secs(12);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The open ports of one process.
#[derive(Debug)]
pub struct Listeners {
    /// Of the public API.
    pub public: TcpListener,
    /// Of the internal API.
    pub internal: TcpListener,
    /// Of metrics and health.
    pub observability: TcpListener,
}

/// What the service works with.
pub struct Parts {
    /// Connections to PostgreSQL; need not work yet.
    pub database: PgPool,
    /// Where Kafka is; need not work yet.
    pub kafka: kafka::Settings,
    /// Topics to which accepted messages are published.
    pub topics: Topics,
    /// Where dead letters are read.
    pub dead_letters: dead_letters::Source,
    /// How many stored messages may wait for Kafka, and for how long.
    pub outbox: Limits,
    /// For how long messages are kept.
    pub message_retention: Retention,
    /// For how long idempotency keys are kept.
    pub idempotency_retention: Duration,
    /// How closely numbers are looked at.
    pub number_validation: NumberValidation,
    /// What follows a failure that may pass.
    pub retry_failed: RetryFailed,
    /// After what time a message that is still pending is published again.
    pub republish_after: Duration,
    /// Who may use the public API.
    pub access: AccessControl,
    /// Bearer tokens of the internal API, each of which is accepted.
    pub internal_tokens: Vec<Secret>,
    /// How many connections each port has, and for how long.
    pub http: http::Limits,
}

impl Listeners {
    /// Opens all ports or none.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            public: listen(config.http_address, config.reuse_port, "the public API")?,
            internal: listen(config.internal_address, config.reuse_port, "the internal API")?,
            observability: telemetry::server::bind(config.telemetry.metrics_address, "metrics and health").await?,
        })
    }
}

fn listen(address: SocketAddr, reuse_port: bool, purpose: &str) -> anyhow::Result<TcpListener> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.set_reuseport(reuse_port)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("cannot listen on {address} for {purpose}"))
}

/// Serves until `shutdown`, then ends in the order in which a message travels: requests, writers, relay. Metrics
/// and health answer to the very end.
pub async fn serve(listeners: Listeners, parts: Parts, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let health = Health::default();
    let stopping = shutdown.child_token();
    let (closing, finished) = (CancellationToken::new(), CancellationToken::new());
    // Whatever way this function ends, its tasks end, too.
    let (_closing, _finished) = (closing.clone().drop_guard(), finished.clone().drop_guard());

    let mut workers = JoinSet::new();
    let mut servers = JoinSet::new();
    let store = Store::new(parts.database.clone());
    let database = store.clone();
    let kafka_is_up = watch_dependencies(&parts, &health, &stopping, &mut workers)?;
    let relay_settings = relay::Settings { kafka: parts.kafka.clone(), topics: parts.topics.clone(), kafka_is_up };
    let (full, backlog) = watch::channel(Backlog::Bearable);
    let by_themselves = {
        let maintenance = maintenance::run(store.clone(), parts.message_retention);
        let schedule = schedule::run(store.clone(), parts.republish_after);
        let backlog = relay::watch_backlog(store.clone(), parts.outbox, full);
        let dead_letters = dead_letters::count_waiting(store.clone(), metrics.dead_letters_waiting.clone());
        Box::pin(async {
            tokio::join!(maintenance, schedule, backlog, dead_letters);
        })
    };
    spawn_until(&stopping, &mut workers, by_themselves);
    if let Some(upkeep) = parts.access.upkeep(&health, metrics.api_keys_last_reload_successful.clone()) {
        spawn_until(&stopping, &mut workers, upkeep);
    }
    let handover = relay::start(relay_settings, &store, &metrics, &stopping, &mut workers)?;
    let ingest = Ingest::start(&store, &handover, &metrics, backlog, &closing, &mut workers);
    // The relay ends when the writers, which hold the other handovers, have ended.
    drop(handover);
    dead_letters::start(&parts.kafka, parts.dead_letters, &store, &metrics, &stopping, &mut workers)?;

    let rules =
        Rules { number_validation: parts.number_validation, longest_delay: parts.message_retention.longest_delay() };
    let state = Arc::new(AppState {
        ingest,
        store,
        metrics,
        rules,
        idempotency_retention: parts.idempotency_retention,
        retry_failed: parts.retry_failed,
        republish_after: parts.republish_after,
    });
    let internal = routes::internal(Arc::clone(&state), parts.internal_tokens);
    let public = routes::public(state, parts.access);
    servers.spawn(http::serve(listeners.public, public, parts.http, stopping.clone()));
    servers.spawn(http::serve(listeners.internal, internal, parts.http, stopping.clone()));
    let observability =
        tokio::spawn(telemetry::server::serve(listeners.observability, registry, health, finished.clone()));

    let ended_early = tokio::select! {
        // First, because the tasks also see the shutdown and some end at once.
        biased;
        () = shutdown.cancelled() => None,
        Some(ended) = workers.join_next() => Some(ended.context("a background task failed")),
        Some(ended) = servers.join_next() => Some(ended.context("an HTTP server failed")),
    };
    stopping.cancel();
    drain("requests in flight", &mut servers, REQUESTS_DRAIN).await;
    closing.cancel();
    drain("stored messages", &mut workers, RELAY_DRAIN).await;
    timeout(Duration::from_secs(1), database.close()).await.ok();
    finished.cancel();
    observability.await.context("the metrics server failed")?.context("the metrics server failed")?;
    match ended_early {
        None => Ok(()),
        Some(Err(error)) => Err(error),
        Some(Ok(())) => anyhow::bail!("a background task ended before its time"),
    }
}

/// Starts the readiness checks; the answer tells whether Kafka can be reached.
fn watch_dependencies(
    parts: &Parts,
    health: &Health,
    stopping: &CancellationToken,
    workers: &mut JoinSet<()>,
) -> anyhow::Result<watch::Receiver<bool>> {
    let admin = kafka::Admin::new(&parts.kafka, "sms-api-readiness")?;
    let (is_up, kafka_is_up) = watch::channel(false);
    let database = readiness::watch_database((*parts.database.connect_options()).clone(), health.check("database"));
    let kafka = readiness::watch_kafka(admin, parts.topics.names(), health.check("kafka"), is_up);
    spawn_until(stopping, workers, database);
    spawn_until(stopping, workers, kafka);
    Ok(kafka_is_up)
}

/// Runs what never ends by itself until `stopping`.
fn spawn_until(
    stopping: &CancellationToken,
    workers: &mut JoinSet<()>,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let stopping = stopping.clone();
    workers.spawn(async move {
        stopping.run_until_cancelled(work).await;
    });
}

/// Waits for the tasks within a bound; those that take longer are ended.
async fn drain<T: 'static>(what: &'static str, tasks: &mut JoinSet<T>, bound: Duration) {
    let all = async { while tasks.join_next().await.is_some() {} };
    if timeout(bound, all).await.is_err() {
        tracing::warn!(what, seconds = bound.as_secs(), "not finished in time, ending anyway");
        tasks.shutdown().await;
    }
}
