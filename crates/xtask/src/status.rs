//! `cargo xtask status`: what runs, where, and whether it is ready.

use std::{fs, process::ExitCode};

use crate::{arguments::Place, http::Client, supervisor};

/// Nothing runs.
const NOT_RUNNING: u8 = 3;

/// The exit code tells as much as the text: 0 ready, 1 running but not ready, 3 not running.
pub fn run(place: &Place) -> ExitCode {
    let folder = place.folder();
    let Some(state) = supervisor::running(&folder) else {
        println!("nothing is up in {}", folder.display());
        return ExitCode::from(NOT_RUNNING);
    };
    println!("{}", state.describe());
    println!("  API         http://{}", state.api_address);
    println!("  reports     http://{}", state.internal_address);
    println!("  metrics     http://{}/metrics", state.metrics_address);
    println!("  PostgreSQL  127.0.0.1:{}", state.postgres_port);
    println!("  Kafka       127.0.0.1:{}", state.kafka_port);
    println!("  logs        {}", folder.display());

    let (is_ready, why) = match Client::new().get(state.metrics_address, "/readyz") {
        Ok(answer) => (answer.status == 200, answer.body.trim().to_owned()),
        Err(error) => (false, format!("{error:#}")),
    };
    println!("{}", if is_ready { "ready".to_owned() } else { format!("not ready: {why}") });
    // Written by the operator; there is none before its first look at the pipeline.
    if let Ok(status) = fs::read_to_string(folder.join("pipeline/status.yaml")) {
        println!("\n{}", status.trim_end());
    }
    if is_ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
