//! Wiring only: settings in, exit code out.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use sms_api::{
    Listeners, Parts, api_keys,
    config::{Cli, Command, Config, MigrateConfig, RepublishConfig},
    http, migrate,
    relay::{Limits, Topics},
    schedule, serve,
    store::{self, RetryFailed, Store},
};
use telemetry::{Telemetry, error_chain};

/// A sixth of this service's time for a request went into allocations, often freed on another thread than the one that
/// made them (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(config) => run_server(*config).await,
        Command::Migrate(config) => run_migration(config).await,
        Command::Republish(config) => run_republishing(config).await,
        Command::NewApiKey(settings) => api_keys::print_new(&settings),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-api: {}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run_server(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::init("sms-api", &config.telemetry)?;
    let shutdown = telemetry::shutdown::requested(&config.telemetry)?;
    let parts = Parts {
        database: store::connect_lazily(config.database.connect_options()?),
        access: config.access.access_control()?,
        internal_tokens: config.internal_tokens()?,
        http: http::LIMITS,
        kafka: config.kafka.clone(),
        topics: Topics {
            high: config.high_priority_topic.clone(),
            normal: config.requests_topic.clone(),
            low: config.low_priority_topic.clone(),
        },
        dead_letters: config.dead_letters(),
        outbox: Limits { messages: config.outbox_max_messages, age: config.outbox_max_age },
        message_retention: config.message_retention,
        idempotency_retention: config.idempotency_retention,
        number_validation: config.number_validation,
        retry_failed: RetryFailed { every: config.retry_failed_every, max_attempts: config.retry_failed_max_attempts },
        republish_after: config.republish_after,
    };
    let result = serve(Listeners::bind(&config).await?, parts, shutdown).await;
    telemetry.flush();
    result
}

async fn run_migration(config: MigrateConfig) -> anyhow::Result<()> {
    let telemetry = Telemetry::init("sms-api", &config.telemetry)?;
    let shutdown = telemetry::shutdown::requested(&config.telemetry)?;
    let result = migrate::run(&config.database.connect_options()?, &shutdown).await;
    telemetry.flush();
    result
}

async fn run_republishing(config: RepublishConfig) -> anyhow::Result<()> {
    let telemetry = Telemetry::init("sms-api", &config.telemetry)?;
    let store = Store::new(store::connect_lazily(config.database.connect_options()?));
    let progress = |found| tracing::info!(messages = found, "looking for pending messages");
    let found = schedule::republish(&store, config.older_than, config.republish_after, progress).await;
    telemetry.flush();
    println!("{} pending messages are queued to be published again", found.context("not all messages were queued")?);
    Ok(())
}
