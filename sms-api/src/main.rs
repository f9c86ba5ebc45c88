//! Wiring only: settings in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use sms_api::{
    Listeners, Parts,
    config::{Cli, Command, Config, MigrateConfig},
    migrate, serve, store,
};
use telemetry::Telemetry;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(config) => run_server(config).await,
        Command::Migrate(config) => run_migration(config).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_server(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::init("sms-api", &config.telemetry)?;
    let shutdown = telemetry::shutdown::requested(&config.telemetry)?;
    let parts = Parts {
        database: store::connect_lazily(config.database.connect_options()?),
        internal_token: config.internal_token()?,
        kafka: config.kafka.clone(),
        message_retention: config.message_retention,
        requests_topic: config.requests_topic.clone(),
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
