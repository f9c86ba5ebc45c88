use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::Cluster;

/// How often pods are looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// Says of each pod of a namespace that it is ready, as the kubelet of a node would; nothing runs. It ends when dropped.
pub struct Node(JoinHandle<()>);

impl Node {
    /// A node for the pods of the cluster's namespace.
    pub fn start(cluster: &Cluster) -> Self {
        let pods = Api::<Pod>::namespaced(cluster.client.clone(), &cluster.namespace);
        Self(tokio::spawn(async move {
            loop {
                for pod in pods.list(&ListParams::default()).await.into_iter().flatten() {
                    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
                    if !conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                        let condition = json!({ "type": "Ready", "status": "True" });
                        let patch = json!({ "status": { "phase": "Running", "conditions": [condition] } });
                        // A pod may be gone by now.
                        let _ =
                            pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
                    }
                }
                tokio::time::sleep(INTERVAL).await;
            }
        }))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.0.abort();
    }
}
