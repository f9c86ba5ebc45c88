//! `sms-operator local` with a pipeline whose processors are scaled.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::Duration,
};

use anyhow::Context;
use devstack::{Server, ServerSettings};
use serde_json::json;

use crate::servers::{Servers, programs, until_ready, write_secret};

/// The database of the pipeline.
pub const DATABASE: &str = "autoscale";
/// Within how many seconds a backlog is to be gone.
pub const DRAIN_WITHIN: u32 = 30;
/// The most processors.
pub const MAXIMUM: u32 = 6;
/// What a processor does each second with all its slots taken: 40 slots with answers after 200 ms.
pub const PER_PROCESSOR: f64 = 200.0;

/// A running operator with its replicas. Dropping it stops them.
#[derive(Debug)]
pub struct Fleet {
    server: Server,
    api: SocketAddr,
    operator: SocketAddr,
}

impl Fleet {
    /// Starts it and returns when everything is ready.
    pub async fn start(servers: &Servers) -> anyhow::Result<Fleet> {
        let folder = servers.folder().join("local");
        let secret = folder.join("state/secrets/notifications-db");
        fs::create_dir_all(&secret).with_context(|| format!("cannot create {}", secret.display()))?;
        write_secret(&secret.join("uri"), &servers.database_url(DATABASE))?;
        let manifest = folder.join("pipeline.json");
        fs::write(&manifest, manifest_text()).with_context(|| format!("cannot write {}", manifest.display()))?;
        // Of an address of its own, because replicas of an API share their ports with whoever else asks to share them.
        let own = Ipv4Addr::new(127, fastrand::u8(1..), fastrand::u8(..), fastrand::u8(1..255));
        let [api, internal, operator] = [8080, 8081, 9090].map(|port| SocketAddr::from((own, port)));
        let mut local = Command::new(programs()?.join("sms-operator"));
        local.args(["local", "-f"]).arg(&manifest).arg("--state-dir").arg(folder.join("state"));
        local.args(["--connect-to", &format!("kafka:9092={}", servers.bootstrap_servers())]);
        for (flag, address) in
            [("--api-address", api), ("--internal-address", internal), ("--metrics-address", operator)]
        {
            local.args([flag, &address.to_string()]);
        }
        let mut settings = ServerSettings::new("sms-operator", local, folder.join("sms-operator.log"));
        // It lets its replicas finish what they have begun.
        settings.stop_within = Duration::from_mins(1);
        let mut server = Server::start(settings)?;
        until_ready(&mut server, operator).await?;
        Ok(Fleet { server, api, operator })
    }

    /// Where messages are posted.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where the operator tells what it decides.
    pub fn operator(&self) -> SocketAddr {
        self.operator
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.server.stop();
    }
}

fn manifest_text() -> String {
    json!({
        "apiVersion": "smspipeline.dev/v1alpha1",
        "kind": "SmsPipeline",
        "metadata": { "name": "notifications" },
        "spec": {
            "database": { "urlSecretRef": { "name": "notifications-db", "key": "uri" } },
            "kafka": {
                "bootstrapServers": "kafka:9092",
                "topics": { "prefix": "sms", "partitions": 6, "replicationFactor": 1 },
            },
            "api": { "replicas": 1, "authentication": { "anonymous": {} } },
            "processor": {
                "maxInFlight": 40,
                "ordering": "None",
                "provider": { "simulated": { "minDelay": "200ms", "maxDelay": "200ms", "failurePercent": 0 } },
                "autoscaling": {
                    "minReplicas": 1,
                    "maxReplicas": MAXIMUM,
                    "drainWithin": format!("{DRAIN_WITHIN}s"),
                    "scaleDownAfter": "60s",
                },
            },
        },
    })
    .to_string()
}
