//! Which processors of a pipeline there are, and where each tells its load.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch},
};
use serde_json::json;
use telemetry::error_chain;

use crate::controller::{
    apply,
    build::{METRICS_PORT, processor_selector},
};

/// From how many restarts on a pod that is not ready counts as one that ends again and again.
pub const CRASH_LOOP: u32 = 3;
/// How long ago the last of them may be: restarts are counted as long as the pod lives, and it may start anew months later.
const CRASH_LOOP_WITHIN: Duration = Duration::from_mins(10);
/// What a pod loses when it ends, which says in which order pods are taken away (KEP-2255).
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// How many pods are weighed at once, and how long all of that may take.
const WEIGHED_AT_ONCE: usize = 4;
const WEIGH_TIMEOUT: Duration = Duration::from_secs(10);

/// One processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Where it tells its load; `None` as long as it has no address.
    pub address: Option<SocketAddr>,
    /// How far it has come.
    pub state: ReplicaState,
}

/// How far a processor has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    /// It runs and is ready.
    Ready,
    /// It starts, or waits for a place to run.
    Starting,
    /// It ends again and again.
    CrashLooping,
    /// It was told to end and finishes what it has begun.
    Draining,
}

/// The processors of one pipeline as they were at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The moment.
    pub at: Timestamp,
    /// All of them.
    pub replicas: Vec<Replica>,
}

/// Where the processors of pipelines run.
pub trait Fleet: Send + Sync {
    /// Those of one pipeline, and when they were so; an error says why they are not known.
    fn replicas(&self, namespace: &str, pipeline: &str) -> impl Future<Output = Result<Found, String>> + Send;

    /// Says before some are taken away how many messages each has in work: those with the fewest go first.
    fn weigh(&self, namespace: &str, in_work: &[(String, u32)]) -> impl Future<Output = ()> + Send;
}

/// Pods of a cluster.
#[derive(Clone)]
pub struct KubernetesFleet {
    client: Client,
}

impl KubernetesFleet {
    /// Those of this cluster.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

impl Fleet for KubernetesFleet {
    async fn replicas(&self, namespace: &str, pipeline: &str) -> Result<Found, String> {
        let processors = ListParams::default().labels(&processor_selector(pipeline));
        let at = Timestamp::now();
        match self.pods(namespace).list(&processors).await {
            Ok(pods) => Ok(Found { at, replicas: pods.items.iter().filter_map(|pod| replica(pod, at)).collect() }),
            Err(error) => Err(format!("pods cannot be listed: {}", error_chain(&error))),
        }
    }

    async fn weigh(&self, namespace: &str, in_work: &[(String, u32)]) {
        let pods = &self.pods(namespace);
        let weigh = async |(pod, messages): (String, u32)| {
            let cost = json!({ "metadata": { "annotations": { DELETION_COST: messages.to_string() } } });
            match pods.patch_metadata(&pod, &apply::merge(), &Patch::Merge(&cost)).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                // Without it another one goes, which drains all the same.
                Err(error) => {
                    tracing::warn!(pod, namespace, error = error_chain(&error), "what the pod would lose is not told");
                }
            }
        };
        let all = stream::iter(in_work.to_vec()).map(weigh).buffer_unordered(WEIGHED_AT_ONCE).collect::<()>();
        if tokio::time::timeout(WEIGH_TIMEOUT, all).await.is_err() {
            tracing::warn!(namespace, "what each pod would lose is not told of all: the API server is slow");
        }
    }
}

/// A pod as a replica; `None` for one that has ended.
fn replica(pod: &Pod, now: Timestamp) -> Option<Replica> {
    let status = pod.status.clone().unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let is_ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let containers =
        || status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let state = if pod.metadata.deletion_timestamp.is_some() {
        ReplicaState::Draining
    } else if is_ready {
        ReplicaState::Ready
    } else if containers().any(|container| loops(container, now)) {
        ReplicaState::CrashLooping
    } else {
        ReplicaState::Starting
    };
    let address = status.pod_ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    let port = u16::try_from(METRICS_PORT.number).ok()?;
    Some(Replica { name: pod.name_any(), address: address.map(|ip| SocketAddr::new(ip, port)), state })
}

fn loops(container: &ContainerStatus, now: Timestamp) -> bool {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at.as_ref());
    let is_recent = ended.is_some_and(|ended| now.duration_since(ended.0).unsigned_abs() <= CRASH_LOOP_WITHIN);
    reason == Some("CrashLoopBackOff")
        || is_recent && u32::try_from(container.restart_count).is_ok_and(|restarts| restarts >= CRASH_LOOP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pod: serde_json::Value, expected: Option<ReplicaState>) {
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let now = "2026-01-01T00:20:00Z".parse().expect("a time");
        assert_eq!(replica(&pod, now).map(|replica| replica.state), expected);
    }

    #[test]
    fn pods_are_told_apart_by_how_far_they_have_come() {
        let ready = json!([{ "type": "Ready", "status": "True" }]);
        check(json!({ "status": { "phase": "Pending" } }), Some(ReplicaState::Starting));
        check(json!({ "status": { "phase": "Running", "conditions": ready } }), Some(ReplicaState::Ready));
        let ends = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
        check(json!({ "metadata": ends, "status": { "conditions": ready } }), Some(ReplicaState::Draining));
        check(json!({ "status": { "phase": "Failed" } }), None);
    }

    #[test]
    fn a_pod_that_ends_again_and_again_is_told_from_one_that_starts() {
        let container = |restarts: i32, state: serde_json::Value, ended: &str| {
            let last_state = json!({ "terminated": { "exitCode": 1, "finishedAt": ended } });
            let container = json!({
                "name": "processor", "image": "", "imageID": "", "ready": false,
                "restartCount": restarts, "state": state, "lastState": last_state,
            });
            json!({ "status": { "phase": "Running", "containerStatuses": [container] } })
        };
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let running = json!({ "running": {} });
        let (just_now, long_ago) = ("2026-01-01T00:15:00Z", "2026-01-01T00:00:00Z");
        check(container(1, waiting, just_now), Some(ReplicaState::CrashLooping));
        check(container(2, running.clone(), just_now), Some(ReplicaState::Starting));
        check(container(3, running.clone(), just_now), Some(ReplicaState::CrashLooping));
        check(container(3, running, long_ago), Some(ReplicaState::Starting));
    }

    #[test]
    fn a_pod_tells_its_load_on_its_metrics_port() {
        let pod = json!({ "metadata": { "name": "a" }, "status": { "podIP": "10.0.0.7" } });
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        let address = "10.0.0.7:9090".parse().ok();
        assert_eq!(
            replica(&pod, Timestamp::UNIX_EPOCH),
            Some(Replica { name: "a".to_owned(), address, state: ReplicaState::Starting })
        );
    }
}
