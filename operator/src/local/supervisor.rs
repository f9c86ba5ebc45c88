//! Local mode's place for Deployments: makes the processes of this machine what was built.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::{
    fleet::LocalFleet,
    ordinals,
    replica::Running,
    secrets,
    translate::{self, Places, Replica},
};
use crate::{
    controller::{
        build::{COMPONENT_LABEL, Desired, PROCESSOR_COMPONENT},
        status::{WorkloadState, Workloads},
    },
    scaling::{self, CRASH_LOOP, ReplicaState},
};

/// How long a replica may take to tell whether it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(1);

/// All replicas of one pipeline.
pub struct Supervisor {
    places: Places,
    /// The operator's own metrics address; the replicas get the ports above it.
    metrics_address: SocketAddr,
    replicas_file: PathBuf,
    running: BTreeMap<String, Running>,
    /// Those that were told to end and have not ended yet.
    draining: Vec<Running>,
    client: reqwest::Client,
    listed: String,
    fleet: LocalFleet,
}

/// One line of `replicas.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    name: &'a str,
    component: &'a str,
    pid: Option<u32>,
    metrics_address: SocketAddr,
}

/// What of `/readyz` tells why a replica is not ready.
#[derive(Debug, Deserialize)]
struct Readiness {
    checks: Vec<ReadinessCheck>,
}

#[derive(Debug, Deserialize)]
struct ReadinessCheck {
    name: String,
    data: Option<ReadinessDetail>,
}

#[derive(Debug, Deserialize)]
struct ReadinessDetail {
    reason: String,
}

impl Supervisor {
    /// A supervisor without replicas.
    pub fn new(places: Places, metrics_address: SocketAddr, state_dir: &Path) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(READY_TIMEOUT)
            .no_proxy()
            .build()
            .context("failed to set up an HTTP client")?;
        let replicas_file = state_dir.join("replicas.json");
        Ok(Self {
            places,
            metrics_address,
            replicas_file,
            running: BTreeMap::new(),
            draining: Vec::new(),
            client,
            listed: String::new(),
            fleet: LocalFleet::default(),
        })
    }

    /// The processors, as they were seen last.
    pub fn fleet(&self) -> LocalFleet {
        self.fleet.clone()
    }

    /// How many processors run; `None` where there are none.
    pub fn processors(&self) -> Option<i32> {
        let processors = self.running.values().filter(|running| running.replica.component == PROCESSOR_COMPONENT);
        i32::try_from(processors.count()).ok().filter(|&count| count > 0)
    }

    /// Makes the processes of this machine what was built, and tells how far they have come.
    pub async fn run(&mut self, desired: &Desired) -> anyhow::Result<Workloads> {
        self.apply(desired).await?;
        self.observe(desired).await
    }

    /// Makes the processes of this machine what was built. What has changed is stopped and started again, one replica after
    /// the other; nobody waits for what is wanted no longer.
    async fn apply(&mut self, desired: &Desired) -> anyhow::Result<()> {
        secrets::write(&self.places.secrets, &desired.internal_secret)?;
        self.draining.retain(|running| !running.has_ended());
        let wanted = self.wanted(desired)?;
        let unwanted: Vec<_> = self.running.keys().filter(|&name| !wanted.contains_key(name)).cloned().collect();
        self.drain(&unwanted);
        for (name, replica) in wanted {
            match self.running.remove(&name) {
                Some(running) if running.replica == replica => {
                    self.running.insert(name, running);
                    continue;
                }
                Some(running) => running.stop().await,
                None => {}
            }
            tracing::info!(replica = name, "starting");
            self.running.insert(name, Running::start(replica));
        }
        Ok(())
    }

    /// How far the workloads have come; also keeps `replicas.json` up to date.
    async fn observe(&mut self, desired: &Desired) -> anyhow::Result<Workloads> {
        let at = Timestamp::now();
        let answers = join_all(self.running.values().map(|running| self.not_ready(&running.replica))).await;
        let seen = self.running.values().zip(&answers).map(|(running, not_ready)| seen(running, not_ready.is_none()));
        let draining = self.draining.iter().map(|running| processor(running, ReplicaState::Draining));
        self.fleet.show(at, seen.chain(draining).flatten().collect());
        let answers: Vec<_> = self.running.values().map(|running| &running.replica).zip(answers).collect();
        let workloads = Workloads {
            api: state(&desired.api, &answers),
            processor: state(&desired.processor, &answers),
            left_out: Vec::new(),
        };
        self.list()?;
        Ok(workloads)
    }

    /// Ends everything: processors first, so that the API still takes their last reports.
    pub async fn stop_all(mut self) {
        let (processors, others): (Vec<_>, Vec<_>) =
            self.running.keys().cloned().partition(|name| self.running[name].replica.component == PROCESSOR_COMPONENT);
        self.stop(&processors).await;
        self.stop(&others).await;
        if let Err(error) = self.list() {
            tracing::warn!(error = format!("{error:#}"), "the list of replicas is out of date");
        }
    }

    async fn stop(&mut self, names: &[String]) {
        self.drain(names);
        join_all(self.draining.drain(..).map(Running::stop)).await;
    }

    fn drain(&mut self, names: &[String]) {
        for running in names.iter().filter_map(|name| self.running.remove(name)) {
            tracing::info!(replica = running.replica.name, "stopping");
            running.ask_to_end();
            self.draining.push(running);
        }
        self.fleet.drain(names);
    }

    fn wanted(&self, desired: &Desired) -> anyhow::Result<BTreeMap<String, Replica>> {
        let mut wanted = BTreeMap::new();
        let mut next = self.metrics_address.port();
        for deployment in [&desired.api, &desired.processor] {
            let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            for ordinal in self.ordinals(&deployment.name_any(), usize::try_from(replicas).unwrap_or_default()) {
                let place = |address| {
                    translate::replica(deployment, &desired.services, ordinal, address, &self.places)
                        .context("the Deployment has no command")
                };
                let mut replica = place(self.metrics_address)?;
                replica = match self.running.get(&replica.name) {
                    Some(running) => place(running.replica.metrics_address)?,
                    None => place(self.free_address(&mut next)?)?,
                };
                wanted.insert(replica.name.clone(), replica);
            }
        }
        Ok(wanted)
    }

    /// The numbers of the replicas that a Deployment is to have.
    fn ordinals(&self, deployment: &str, count: usize) -> Vec<i32> {
        let ordinal =
            |running: &Running| running.replica.name.strip_prefix(deployment)?.strip_prefix('-')?.parse::<i32>().ok();
        let running = self.running.values().filter_map(ordinal);
        let running = running.map(|ordinal| (ordinal, self.fleet.in_work(&format!("{deployment}-{ordinal}"))));
        ordinals::choose(running.collect(), &self.draining.iter().filter_map(ordinal).collect(), count)
    }

    /// The next address for metrics that neither a replica of ours nor anybody else has.
    fn free_address(&self, last: &mut u16) -> anyhow::Result<SocketAddr> {
        while let Some(port) = last.checked_add(1) {
            *last = port;
            let address = SocketAddr::new(self.metrics_address.ip(), port);
            let mut others = self.running.values().chain(&self.draining);
            let taken = others.any(|running| running.replica.metrics_address == address);
            if !taken && TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        bail!(
            "no port above {} is free for a replica's metrics: choose a lower --metrics-address",
            self.metrics_address
        )
    }

    /// Why a replica is not ready; `None` when it is.
    async fn not_ready(&self, replica: &Replica) -> Option<String> {
        let url = format!("http://{}/readyz", replica.metrics_address);
        let Ok(response) = self.client.get(url).send().await else { return Some("not started yet".to_owned()) };
        if response.status().is_success() {
            return None;
        }
        let checks = response.json::<Readiness>().await.map(|readiness| readiness.checks).unwrap_or_default();
        let reasons = checks.into_iter().filter_map(|check| Some(format!("{}: {}", check.name, check.data?.reason)));
        Some(reasons.collect::<Vec<_>>().join(", "))
    }

    fn list(&mut self) -> anyhow::Result<()> {
        let listed: Vec<_> = self
            .running
            .values()
            .chain(&self.draining)
            .map(|running| Listed {
                name: &running.replica.name,
                component: &running.replica.component,
                pid: running.process_id(),
                metrics_address: running.replica.metrics_address,
            })
            .collect();
        let text = serde_json::to_string_pretty(&listed).context("failed to render the list of replicas")?;
        if text != self.listed {
            super::replace_file(&self.replicas_file, &text)?;
            self.listed = text;
        }
        Ok(())
    }
}

/// A replica that is to run as the autoscaler sees it; `None` where it is no processor.
fn seen(running: &Running, is_ready: bool) -> Option<scaling::Replica> {
    let state = match (is_ready, running.restarts() >= CRASH_LOOP) {
        (true, _) => ReplicaState::Ready,
        (false, true) => ReplicaState::CrashLooping,
        (false, false) => ReplicaState::Starting,
    };
    processor(running, state)
}

fn processor(running: &Running, state: ReplicaState) -> Option<scaling::Replica> {
    let Replica { name, component, metrics_address, .. } = &running.replica;
    let replica = scaling::Replica { name: name.clone(), address: Some(*metrics_address), state };
    (component == PROCESSOR_COMPONENT).then_some(replica)
}

fn state(deployment: &Deployment, answers: &[(&Replica, Option<String>)]) -> WorkloadState {
    let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let component = deployment.labels().get(COMPONENT_LABEL).cloned().unwrap_or_default();
    let own: Vec<_> = answers.iter().filter(|(replica, _)| replica.component == component).collect();
    let ready = own.iter().filter(|(_, reason)| reason.is_none()).count();
    let detail = own.iter().find_map(|(replica, reason)| Some(format!("{}: {}", replica.name, reason.as_ref()?)));
    let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    WorkloadState { desired, existing: count(own.len()), ready: count(ready), detail }
}
