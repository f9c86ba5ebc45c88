//! The data plane's way out: takes requested messages from Kafka, sends them, and reports what became of
//! them to sms-api.
//!
//! [`serve`] wires the parts; each of them knows one thing: [`consumer`] Kafka, [`provider`] the way to
//! phones, [`sms_api`] sms-api, [`decide`] the delivery policy. [`processing`] is the story of one record.

pub mod config;
pub mod consumer;
pub mod decide;
pub mod metrics;
pub mod pace;
pub mod processing;
pub mod provider;
pub mod record;
pub mod sms_api;

mod backoff;
mod cpu;
mod duration;
mod offsets;
mod outage;

use std::{future, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Json, Router, http::StatusCode, routing::get};
use contract::Load;
use prometheus_client::registry::Registry;
use telemetry::Health;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

use self::{
    config::Config,
    consumer::{DeadLetters, Outside},
    metrics::Metrics,
    pace::{Pace, Throttle},
    processing::Processing,
    provider::Provider,
    sms_api::SmsApi,
};

/// How long the last commit and leaving the group may take after the drain; longer only when no broker
/// answers, and then nobody waits for our goodbye.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Processes messages until `shutdown`, then drains. `listener` shows metrics and health meanwhile.
pub async fn serve(listener: TcpListener, config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let consumer = config.consumer()?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let health = Health::default();
    let sms_api =
        SmsApi::new(&config.report_url, &config.internal_token_file, health.check("sms-api"), metrics.clone())?;
    let dead_letters = DeadLetters::new(&config.dead_letter_topic, &config.kafka, health.check("dead-letters"))?;
    let sms_api_is_held_up = sms_api.is_held_up();
    let throttle = Throttle::new(Pace::new(config.provider.messages_per_second));
    let processing = Arc::new(Processing {
        provider: Provider::new(&config.provider, health.check("provider"))?,
        throttle: throttle.clone(),
        policy: config.policy()?,
        sms_api,
        dead_letters,
        metrics: metrics.clone(),
    });

    // Whoever drops this future, a test for example, ends the polling thread too.
    let stop = shutdown.child_token();
    let _stop_at_the_latest = stop.clone().drop_guard();
    let (load, loads) = watch::channel(None);
    let outside =
        Outside { check: health.check("kafka"), metrics, on_hold: sms_api_is_held_up, throttle, load, shutdown: stop };
    let handle = move |record, leaving| Arc::clone(&processing).process(record, leaving);
    let left = consumer::start(consumer, &config.kafka, outside, handle)?;

    let observed = CancellationToken::new();
    let server =
        tokio::spawn(telemetry::server::serve_with(listener, registry, health, load_report(loads), observed.clone()));
    let result = until_left(left, &shutdown, config.shutdown_timeout).await;
    observed.cancel();
    match server.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the metrics port failed"),
        Err(error) => tracing::error!(%error, "the metrics port failed"),
    }
    result
}

/// `GET /load`: what [`contract::Load`] tells.
fn load_report(loads: watch::Receiver<Option<Load>>) -> Router {
    let answer = move || {
        let load = loads.borrow().clone();
        future::ready(load.map(Json).ok_or(StatusCode::SERVICE_UNAVAILABLE))
    };
    Router::new().route("/load", get(answer))
}

async fn until_left(
    left: tokio::sync::oneshot::Receiver<()>,
    shutdown: &CancellationToken,
    drain: Duration,
) -> anyhow::Result<()> {
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain + LEAVE_TIMEOUT).await;
    };
    tokio::select! {
        left = left => left.context("the thread that polls Kafka has died"),
        () = overdue => {
            tracing::warn!("Kafka does not answer; ending without leaving the consumer group");
            Ok(())
        }
    }
}
