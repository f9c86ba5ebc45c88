//! A process of the operator, without what wakes it: who drives it says when a round is due, and what the watches show.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kafka::{Admin, Interceptor, Settings};
use kube::{Api, Client, Config, Resource, api::ListParams, client::ClientBuilder, runtime::watcher::Event};
use sms_operator::{
    brokers::Brokers,
    controller::{
        Context,
        apply::{self, Made, Served},
        backoff::Backoff,
        build::{pipeline_selector, pods_selector},
        events::Events,
        kinds,
        rotation::Rotations,
        secrets,
        seen::Seen,
        turns::Turns,
        validate::DefaultImages,
    },
    metrics::Metrics,
    scaling::{Metrics as ScalingMetrics, Scaling},
};

use crate::{brokers, faults::Calls, kubernetes, state};

/// How long the controllers of Kubernetes may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// The servers that all trials share.
pub struct Servers {
    pub kubernetes: Config,
    pub kafka: String,
    pub namespace: String,
}

/// One process of the operator, and what a trial looks with at what it does.
pub struct Process {
    pub context: Arc<Context>,
    pub client: Client,
    pub admin: Admin,
}

impl Process {
    pub fn start(servers: &Servers, calls: &Arc<Calls>) -> Self {
        let client = Client::try_from(servers.kubernetes.clone()).expect("a client");
        let admin = Admin::new(&Settings::plaintext(&servers.kafka), "campaign").expect("a client");
        let disturbed = ClientBuilder::try_from(servers.kubernetes.clone()).expect("a client");
        let disturbed = disturbed.with_layer(&kubernetes::Disturbing(Arc::clone(calls))).build();
        let context = context(disturbed, Arc::new(brokers::Disturbing::new(Arc::clone(calls))));
        Self { context: Arc::new(context), client, admin }
    }

    /// Shows the watches everything as it is.
    pub async fn tell(&self, namespace: &str, pipeline: &str) {
        for kind in kinds::ALL.into_iter().filter(|kind| **kind != kinds::SECRET) {
            let found = state::list(&self.client, namespace, kind, pipeline).await;
            let events = found.into_iter().map(Event::InitApply);
            for event in [Event::Init].into_iter().chain(events).chain([Event::InitDone]) {
                self.context.seen.take_in(kind, event, |object| {
                    let deployment = serde_json::to_value(object).and_then(serde_json::from_value);
                    (*kind == kinds::DEPLOYMENT).then(|| apply::state(&deployment.expect("a Deployment")))
                });
            }
        }
    }

    /// Waits until the controllers of Kubernetes have done what they do after the last round, so that each trial sees the
    /// same.
    pub async fn until_quiet(&self, namespace: &str, pipeline: &str) {
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), namespace);
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let of_pipeline = ListParams::default().labels(&pipeline_selector(pipeline));
        let of_pods = ListParams::default().labels(&pods_selector(pipeline));
        let look = async || {
            let mut listed = deployments.list(&of_pipeline).await.expect("the API server lists").items;
            listed.retain(|deployment| deployment.meta().deletion_timestamp.is_none());
            let progress = |deployment: &Deployment| {
                let (spec, status) = (deployment.spec.clone()?, deployment.status.clone()?);
                let (all, updated) = (status.replicas.unwrap_or_default(), status.updated_replicas.unwrap_or_default());
                let is_done = if spec.replicas == Some(0) { all == 0 } else { updated > 0 };
                let is_done = is_done && status.observed_generation == deployment.metadata.generation;
                is_done.then_some((spec.replicas == Some(0), all, updated))
            };
            listed.iter().map(progress).collect::<Option<Vec<_>>>()
        };
        let has_pods = async || !pods.list_metadata(&of_pods).await.expect("the API server lists").items.is_empty();
        let quiet = async {
            let mut before = None;
            loop {
                let now = look().await;
                let is_stopped = now.iter().flatten().any(|(is_stopped, ..)| *is_stopped);
                if now.is_some() && (now == before || now == Some(Vec::new())) && !(is_stopped && has_pods().await) {
                    break;
                }
                before = now;
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        };
        // Whoever waits for longer goes on: then the operator has to wait.
        let _ = tokio::time::timeout(PATIENCE, quiet).await;
    }
}

/// What a process remembers, as it begins.
pub fn context(client: Client, interceptor: Arc<dyn Interceptor>) -> Context {
    let image = |name: &str| format!("{name}:campaign");
    Context {
        client: client.clone(),
        served: Served::default(),
        seen: Seen::default(),
        secrets_seen: secrets::Seen::default(),
        rotations: Rotations::default(),
        made: Made::default(),
        brokers: Brokers::new(Vec::new(), interceptor),
        backoff: Backoff::default(),
        turns: Turns::default(),
        events: Events::new(client, "campaign".to_owned()),
        images: DefaultImages { api: image("sms-api"), processor: image("sms-processor") },
        metrics: Metrics::default(),
        installation: "campaign".to_owned(),
        scaling: Arc::new(Scaling::new(ScalingMetrics::default())),
    }
}

/// Runs `life` as a process does, and leaves behind what goes on when it has ended.
pub fn in_a_process<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a thread");
    let end = runtime.block_on(life);
    runtime.shutdown_background();
    end
}
