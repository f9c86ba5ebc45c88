//! The API server: filled with pipelines, asked what it was asked, and told that Deployments run.

use std::{cell::Cell, collections::BTreeSet, rc::Rc, time::Duration};

use anyhow::Context;
use devstack::ControlPlane;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Namespace, Secret},
        events::v1::Event,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::GroupVersionKind,
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;

/// Over how many namespaces the pipelines are spread.
const NAMESPACES: u32 = 20;
/// Requests at a time.
const CONCURRENCY: usize = 16;
const POLL: Duration = Duration::from_millis(200);

/// A client with every right.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    pipelines: ApiResource,
}

impl Cluster {
    /// Connects, and makes the CRD known.
    pub async fn connect(control_plane: &ControlPlane) -> anyhow::Result<Cluster> {
        let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).context("no usable kubeconfig")?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config).context("cannot make a Kubernetes client")?;
        let kind = GroupVersionKind::gvk("smspipeline.dev", "v1alpha1", "SmsPipeline");
        let cluster = Cluster { client, pipelines: ApiResource::from_gvk_with_plural(&kind, "smspipelines") };
        let crd: CustomResourceDefinition = serde_yaml::from_str(include_str!("../../../../crds/smspipelines.yaml"))?;
        let crds = Api::<CustomResourceDefinition>::all(cluster.client.clone());
        crds.create(&PostParams::default(), &crd).await.context("cannot make the CRD")?;
        let pipelines = Api::<DynamicObject>::all_with(cluster.client.clone(), &cluster.pipelines);
        while pipelines.list(&ListParams::default().limit(1)).await.is_err() {
            tokio::time::sleep(POLL).await;
        }
        Ok(cluster)
    }

    /// Makes so many pipelines of four topics with one partition each.
    pub async fn make_pipelines(&self, count: u32, kafka: &str, database_port: u16) -> anyhow::Result<()> {
        let parameters = PostParams::default();
        for number in 0..NAMESPACES.min(count) {
            let name = namespace(number);
            let object = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            Api::<Namespace>::all(self.client.clone()).create(&parameters, &object).await?;
            let uri = format!("postgresql://sms:bench@127.0.0.1:{database_port}/sms");
            let secret = json!({ "metadata": { "name": "database" }, "stringData": { "uri": uri } });
            let secrets = Api::<Secret>::namespaced(self.client.clone(), &name);
            secrets.create(&parameters, &serde_json::from_value(secret)?).await?;
        }
        let make = |number: u32| {
            let parameters = &parameters;
            async move {
                let namespace = namespace(number);
                let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &namespace, &self.pipelines);
                let pipeline = serde_json::from_value(pipeline(number, kafka))?;
                api.create(parameters, &pipeline).await.context("cannot make a pipeline")?;
                anyhow::Ok(())
            }
        };
        stream::iter((0..count).map(make)).buffer_unordered(CONCURRENCY).try_collect().await
    }

    /// From now on Deployments are told to run as asked for; gives how many pipelines are ready.
    pub fn follow(&self) -> Rc<Cell<u32>> {
        let ready = Rc::new(Cell::new(0));
        let (cluster, told) = (self.clone(), Rc::clone(&ready));
        tokio::task::spawn_local(async move { cluster.count_ready(&told).await });
        let cluster = self.clone();
        tokio::task::spawn_local(async move { cluster.run_deployments().await });
        ready
    }

    async fn count_ready(&self, count: &Cell<u32>) {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &self.pipelines);
        let mut ready = BTreeSet::new();
        let told = watcher(api, watcher::Config::default()).default_backoff().touched_objects();
        let mut told = std::pin::pin!(told);
        while let Some(told) = told.next().await {
            let Ok(pipeline) = told else { continue };
            let key = (pipeline.namespace(), pipeline.name_any());
            if is_ready(&pipeline) {
                ready.insert(key)
            } else {
                ready.remove(&key)
            };
            count.set(u32::try_from(ready.len()).unwrap_or(u32::MAX));
        }
    }

    /// In place of the controllers and nodes that would run Pods.
    async fn run_deployments(&self) {
        let told = watcher(Api::<Deployment>::all(self.client.clone()), watcher::Config::default());
        let told = told.default_backoff().applied_objects();
        told.for_each_concurrent(CONCURRENCY, |told| async {
            let Ok(deployment) = told else { return };
            let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
            if observed == deployment.metadata.generation {
                return;
            }
            let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let status = json!({ "status": {
                "observedGeneration": deployment.metadata.generation,
                "replicas": replicas, "updatedReplicas": replicas,
                "readyReplicas": replicas, "availableReplicas": replicas,
            } });
            let namespace = deployment.namespace().unwrap_or_default();
            let api = Api::<Deployment>::namespaced(self.client.clone(), &namespace);
            let patch = Patch::Merge(status);
            if let Err(error) = api.patch_status(&deployment.name_any(), &PatchParams::default(), &patch).await {
                println!("the status of a Deployment was not written: {error}");
            }
        })
        .await;
    }

    /// What events have told since then, which explains what was written.
    pub async fn told_since(&self, since: Timestamp) -> anyhow::Result<Vec<String>> {
        let events = Api::<Event>::all(self.client.clone()).list(&ListParams::default()).await?;
        let at = |event: &Event| {
            let last = event.series.as_ref().map(|series| &series.last_observed_time).or(event.event_time.as_ref());
            last.map(|time| time.0)
        };
        let new = events.items.into_iter().filter(|event| at(event).is_some_and(|at| at >= since));
        let text = |event: Event| {
            let about = event.regarding.and_then(|about| about.name).unwrap_or_default();
            let (reason, note) = (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
            format!("{about}: {reason}: {note}")
        };
        Ok(new.map(text).collect())
    }

    /// What the API server tells of itself.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        let request = kube::core::Request::new("/metrics").list(&ListParams::default())?;
        let text = self.client.request_text(request).await;
        text.context("the API server tells no metrics")
    }
}

fn namespace(number: u32) -> String {
    format!("team-{}", number % NAMESPACES)
}

fn pipeline(number: u32, kafka: &str) -> serde_json::Value {
    json!({
        "apiVersion": "smspipeline.dev/v1alpha1",
        "kind": "SmsPipeline",
        "metadata": { "name": format!("pipeline-{number}"), "namespace": namespace(number) },
        "spec": {
            "database": { "urlSecretRef": { "name": "database", "key": "uri" } },
            "kafka": {
                "bootstrapServers": kafka,
                "topics": { "prefix": format!("sms-{number}"), "partitions": 1, "replicationFactor": 1 },
            },
            "api": { "replicas": 1, "authentication": { "anonymous": {} } },
            "processor": { "replicas": 1, "provider": { "simulated": {} } },
        },
    })
}

fn is_ready(pipeline: &DynamicObject) -> bool {
    let conditions = pipeline.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
