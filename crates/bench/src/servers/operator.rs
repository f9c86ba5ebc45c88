//! The operator as a child process.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, ensure};
use devstack::{Server, ServerSettings};

use super::{free_address, programs, until_ready};
use crate::http::Connection;

/// A running operator. Dropping it stops it.
#[derive(Debug)]
pub struct Operator {
    server: Server,
    metrics: SocketAddr,
}

impl Operator {
    /// Starts it for all namespaces and returns when it leads and knows the pipelines.
    pub async fn start(folder: &Path, kubeconfig: &Path) -> anyhow::Result<Operator> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let metrics = free_address()?;
        let mut command = Command::new(programs()?.join("sms-operator"));
        command.arg("run").env("KUBECONFIG", kubeconfig).env("METRICS_ADDRESS", metrics.to_string());
        // As the image does.
        command.env("MALLOC_ARENA_MAX", "2");
        command.env("API_IMAGE", "sms-api:bench").env("PROCESSOR_IMAGE", "sms-processor:bench");
        let settings = ServerSettings::new("sms-operator", command, folder.join("sms-operator.log"));
        let mut server = Server::start(settings)?;
        until_ready(&mut server, metrics).await?;
        Ok(Operator { server, metrics })
    }

    /// What it tells of itself.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let mut connection = Connection::open(self.metrics).await?;
        ensure!(connection.get("/metrics").await? == 200, "the operator tells no metrics");
        Ok(connection.body())
    }

    /// An error if it has ended by itself, as one does that has lost its Lease.
    pub fn ensure_it_runs(&mut self) -> anyhow::Result<()> {
        match self.server.exited() {
            Some(status) => Err(self.server.failure(&format!("ended by itself ({status})")).into()),
            None => Ok(()),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.server.stop();
    }
}
