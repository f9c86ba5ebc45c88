//! Wiring only: settings in, exit code out.

use std::process::ExitCode;

use clap::Parser;
use sms_processor::{config::Config, serve};
use telemetry::{Telemetry, error_chain};

/// Each message is a dozen allocations, and hundreds of thousands of messages are in work at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Config::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sms-processor: {}", error_chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::init("sms-processor", &config.telemetry)?;
    let shutdown = telemetry::shutdown::requested(&config.telemetry)?;
    let listener = telemetry::server::bind(config.telemetry.metrics_address, "metrics and health").await?;
    let result = serve(listener, config, shutdown).await;
    telemetry.flush();
    result
}
