//! The data plane's way out: takes requested messages from Kafka, sends them, and reports what became of
//! them to sms-api.
//!
//! [`serve`] wires the parts; each of them knows one thing: [`consumer`] Kafka, [`provider`] the way to
//! phones, [`reporter`] sms-api, [`decide`] the delivery policy. [`processing`] is the story of one record.

pub mod config;
pub mod consumer;
pub mod decide;
pub mod metrics;
pub mod processing;
pub mod provider;
pub mod record;
pub mod reporter;

mod backoff;
mod duration;
mod offsets;
mod outage;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use prometheus_client::registry::Registry;
use telemetry::Health;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::{
    config::Config,
    consumer::{DeadLetters, Outside},
    metrics::Metrics,
    processing::Processing,
    provider::Provider,
    reporter::Reporter,
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
    let reporter =
        Reporter::new(&config.report_url, &config.internal_token_file, health.check("sms-api"), metrics.clone())?;
    let dead_letters = DeadLetters::new(&config.dead_letter_topic, &config.kafka, health.check("dead-letters"))?;
    let reports_are_held_up = reporter.is_held_up();
    let processing = Arc::new(Processing {
        provider: Provider::new(&config.provider, health.check("provider"))?,
        policy: config.policy(),
        reporter,
        dead_letters,
        metrics: metrics.clone(),
    });

    // Whoever drops this future, a test for example, ends the polling thread too.
    let stop = shutdown.child_token();
    let _stop_at_the_latest = stop.clone().drop_guard();
    let outside = Outside { check: health.check("kafka"), metrics, on_hold: reports_are_held_up, shutdown: stop };
    let left = consumer::start(consumer, &config.kafka, outside, move |record| {
        let processing = Arc::clone(&processing);
        async move { processing.process(record).await }
    })?;

    let observed = CancellationToken::new();
    let server = tokio::spawn(telemetry::server::serve(listener, registry, health, observed.clone()));
    let result = until_left(left, &shutdown, config.shutdown_timeout).await;
    observed.cancel();
    match server.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the metrics port failed"),
        Err(error) => tracing::error!(%error, "the metrics port failed"),
    }
    result
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
