//! The token of internal calls is replaced without one of them being refused.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::json;
use tests::{Cluster, Node, eventually};

use crate::cluster::{Applied, LIMIT};

/// How long a rotation may take here, where pods have six seconds to end.
const ROTATION: Duration = Duration::from_mins(2);

/// The files of tokens that the pods of a component are told of.
async fn token_files(cluster: &Cluster, component: &str) -> Vec<Vec<String>> {
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), &cluster.namespace);
    let of_component = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
    let files = |pod: Pod| {
        let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
        let mut variables = containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        let files = variables.find(|variable| variable.name == "INTERNAL_TOKEN_FILE")?.value?;
        Some(files.split(',').map(str::to_owned).collect())
    };
    pods.list(&of_component).await.expect("the API server lists").items.into_iter().filter_map(files).collect()
}

async fn secret(cluster: &Cluster) -> Secret {
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), &cluster.namespace);
    secrets.get("notifications-internal").await.expect("the Secret of the tokens exists")
}

/// The tokens by the files that pods know them by.
fn tokens(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    let file = |key: &String| format!("/etc/sms/secrets/internal/{key}");
    data.map(|(key, value)| (file(key), String::from_utf8(value.0.clone()).expect("UTF-8"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_processor_ever_presents_a_token_that_an_api_refuses_also_when_the_operator_crashes_meanwhile() {
    let mut applied = Applied::new().await;
    let _node = Node::start(&applied.cluster);
    // Each stage waits until pods that end have had their time; an API sleeps for five seconds of it.
    let pods = json!({ "podTemplate": { "spec": { "terminationGracePeriodSeconds": 6 } } });
    let patch = json!({ "spec": { "api": pods, "processor": pods } }).to_string();
    applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
    eventually("the pipeline is ready", LIMIT, async || (applied.condition("Ready")?.status == "True").then_some(()))
        .await;
    let before = tokens(&secret(&applied.cluster).await);
    assert_eq!(before.len(), 1);

    applied.cluster.kubectl(&["annotate", "smsp", "notifications", "smspipeline.dev/rotate-internal-token=2026-11"]);

    let asked = Instant::now();
    let (mut stages, mut crashed) = (Vec::new(), Vec::new());
    let mut seen = before.clone();
    eventually("the token is rotated", ROTATION, async || {
        // What is read first is older than what is read last, as in a pod that was told of it.
        let (processors, apis) =
            (token_files(&applied.cluster, "processor").await, token_files(&applied.cluster, "api").await);
        let now = secret(&applied.cluster).await;
        for presented in processors.iter().flatten() {
            for accepted in &apis {
                assert!(accepted.contains(presented), "{presented} is not among {accepted:?}");
            }
        }
        seen.extend(tokens(&now));
        let stage = now.annotations().get("smspipeline.dev/internal-token-stage").cloned();
        if stages.last() != Some(&stage) {
            stages.push(stage.clone());
            if stage.as_deref() == Some("Accepted") || stage.as_deref() == Some("Presented") {
                // The Secret tells of a stage whose objects are perhaps not applied.
                applied.operator.kill();
                crashed.push(std::mem::replace(&mut applied.operator, applied.cluster.operator()));
            }
        }
        (stage.is_none() && now.annotations().contains_key("smspipeline.dev/rotate-internal-token")).then_some(())
    })
    .await;

    println!("the token was rotated, with two crashes, in {:.1?}", asked.elapsed());
    let told: Vec<_> = stages.iter().flatten().map(String::as_str).collect();
    assert_eq!(told, ["Accepted", "Presented", "Alone"]);
    let after = tokens(&secret(&applied.cluster).await);
    let new: Vec<_> = after.keys().cloned().collect();
    assert_eq!(new, ["/etc/sms/secrets/internal/token-2"]);
    assert!(before.values().all(|token| !after.values().any(|new| new == token)), "it is another token");
    for component in ["api", "processor"] {
        let files = token_files(&applied.cluster, component).await;
        assert!(!files.is_empty() && files.iter().all(|files| *files == new), "{component}: {files:?}");
    }
    eventually("the events tell", LIMIT, async || {
        let events = applied.cluster.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
        ["InternalTokenRotating", "InternalTokenRotated"].iter().all(|reason| events.contains(reason)).then_some(())
    })
    .await;
    let shown = applied.cluster.kubectl(&["get", "smsp,deployments,pods,events", "-o", "yaml"]);
    crashed.push(applied.operator);
    for token in seen.values() {
        assert!(!shown.contains(token), "a token is shown");
        assert!(crashed.iter().all(|operator| !operator.output().contains(token)), "a token was logged");
    }
    assert_eq!(seen.len(), 2, "a crash makes no further token");
}
