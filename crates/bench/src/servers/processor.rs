//! The processor as a child process.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::Context;
use devstack::{Server, ServerSettings};

use super::{free_address, programs, until_ready};
use crate::topics::Topics;

/// A provider that answers at once.
pub const INSTANT_PROVIDER: &str = r#"{"simulated":{"minDelay":"0ms","maxDelay":"0ms","failurePercent":0}}"#;
/// How many messages the product has in work at most, unless told otherwise.
pub const DEFAULT_IN_FLIGHT: u32 = 4000;

/// What differs between the processors that are measured; all else is as by default.
#[derive(Clone, Copy, Debug)]
pub struct ProcessorSettings<'a> {
    /// What it reads.
    pub topics: &'a Topics,
    /// The consumer group that it joins.
    pub group: &'a str,
    /// Where its reports go.
    pub report_url: &'a str,
    /// What they bring along.
    pub token_file: &'a Path,
    /// How many messages may be in work at once.
    pub max_in_flight: u32,
    /// `spec.processor.provider`, as JSON.
    pub provider: &'a str,
}

/// A running processor. Dropping it stops it.
#[derive(Debug)]
pub struct Processor {
    server: Server,
    metrics: SocketAddr,
}

impl Processor {
    /// Starts it; it takes records as soon as the group has given it partitions.
    pub fn start(folder: &Path, settings: ProcessorSettings<'_>) -> anyhow::Result<Processor> {
        let ProcessorSettings { topics, group, report_url, token_file, max_in_flight, provider } = settings;
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let metrics = free_address()?;
        let mut command = Command::new(programs()?.join("sms-processor"));
        command.env("KAFKA_BOOTSTRAP_SERVERS", topics.bootstrap_servers()).env("CONSUMER_GROUP", group);
        command.env("REQUESTS_TOPIC", topics.requests()).env("HIGH_PRIORITY_TOPIC", topics.high_priority());
        command.env("LOW_PRIORITY_TOPIC", topics.low_priority()).env("DEAD_LETTER_TOPIC", topics.dead_letters());
        command.env("REPORT_URL", report_url).env("INTERNAL_TOKEN_FILE", token_file);
        command.env("MAX_IN_FLIGHT", max_in_flight.to_string()).env("PROVIDER", provider);
        command.env("METRICS_ADDRESS", metrics.to_string());
        let settings = ServerSettings::new("sms-processor", command, folder.join("sms-processor.log"));
        Ok(Processor { server: Server::start(settings)?, metrics })
    }

    /// Waits until it has partitions.
    pub async fn until_ready(&mut self) -> anyhow::Result<()> {
        until_ready(&mut self.server, self.metrics).await
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.server.exited()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// An error that shows the end of its log.
    pub fn failure(&self, reason: &str) -> anyhow::Error {
        self.server.failure(reason).into()
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.server.stop();
    }
}
