//! What is made from a pipeline stays as it was made, and goes when it is no longer wanted.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Cluster, Environment, eventually, unique};

use crate::cluster::{Applied, LIMIT, create_database_secret};

/// How soon a change by somebody else is undone.
pub(crate) const DRIFT: Duration = Duration::from_secs(10);

const AUTOSCALED: &str = include_str!("../../crds/examples/autoscaled.yaml");

/// Every object of the example and a change that somebody might make of it.
fn objects() -> Vec<(&'static str, Value)> {
    vec![
        ("serviceaccount/notifications-api", json!({ "automountServiceAccountToken": true })),
        ("serviceaccount/notifications-processor", json!({ "metadata": { "labels": null } })),
        ("service/notifications-api", json!({ "spec": { "selector": { "app.kubernetes.io/component": "x" } } })),
        ("service/notifications-api-internal", json!({ "spec": { "type": "NodePort" } })),
        ("networkpolicy/notifications-api", json!({ "spec": { "ingress": null } })),
        ("networkpolicy/notifications-processor", json!({ "spec": { "podSelector": { "matchLabels": null } } })),
        ("deployment/notifications-api", json!({ "spec": { "template": { "spec": { "serviceAccountName": "x" } } } })),
        ("deployment/notifications-processor", json!({ "spec": { "replicas": 7 } })),
        ("poddisruptionbudget/notifications-api", json!({ "spec": { "maxUnavailable": 2 } })),
        ("poddisruptionbudget/notifications-processor", json!({ "spec": { "maxUnavailable": "50%" } })),
        ("horizontalpodautoscaler/notifications-api", json!({ "spec": { "maxReplicas": 99 } })),
        ("ingress/notifications-api", json!({ "spec": { "ingressClassName": "other" } })),
        ("httproute/notifications-api", json!({ "spec": { "hostnames": ["other.example.com"] } })),
        ("podmonitor/notifications", json!({ "spec": { "podTargetLabels": [] } })),
        ("prometheusrule/notifications", json!({ "spec": { "groups": [] } })),
    ]
}

/// The kinds that not every cluster has, with schemas that let everything through.
fn install_extensions(cluster: &Cluster) {
    let mut crds = Vec::new();
    for (group, kind, plural) in [
        ("gateway.networking.k8s.io", "HTTPRoute", "httproutes"),
        ("monitoring.coreos.com", "PodMonitor", "podmonitors"),
        ("monitoring.coreos.com", "PrometheusRule", "prometheusrules"),
    ] {
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let mut crd = json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.{group}") },
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
                "versions": [
                    { "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } },
                ],
            },
        });
        if group.ends_with("k8s.io") {
            // The API server lets only approved definitions into groups of Kubernetes.
            let annotations = json!({ "api-approved.kubernetes.io": "unapproved, a test" });
            crd["metadata"]["annotations"] = annotations;
        }
        crds.push(crd);
    }
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": crds });
    let file = cluster.file("extensions.json", &list.to_string());
    cluster.kubectl(&["apply", "--server-side", "-f", &file.display().to_string()]);
    for name in ["httproutes.gateway.networking.k8s.io", "podmonitors.monitoring.coreos.com"] {
        cluster.kubectl(&["wait", "--for=condition=Established", &format!("crd/{name}"), "--timeout=30s"]);
    }
    let rules = "crd/prometheusrules.monitoring.coreos.com";
    cluster.kubectl(&["wait", "--for=condition=Established", rules, "--timeout=30s"]);
}

/// The autoscaled example with the operator running, and all of it made.
pub(crate) async fn autoscaled() -> (Applied, String) {
    let cluster = Cluster::namespace().await;
    install_extensions(&cluster);
    create_database_secret(&cluster);
    let keys = r#"--from-literal=keys.json={"keys":[]}"#;
    cluster.kubectl(&["create", "secret", "generic", "notifications-api-keys", keys]);
    let operator = cluster.operator();
    let applied = Applied { cluster, operator, prefix: unique("sms") };
    let manifest = AUTOSCALED
        .replace("kafka-bootstrap.kafka:9092", &Environment::get().kafka)
        .replace("replicationFactor: 3", "replicationFactor: 1")
        .replace("prefix: sms", &format!("prefix: {}", applied.prefix));
    applied.cluster.apply(&manifest);
    for (name, _) in objects() {
        eventually(&format!("{name} exists"), LIMIT, async || find(&applied.cluster, name)).await;
    }
    applied.until_applied().await;
    (applied, manifest)
}

fn find(cluster: &Cluster, name: &str) -> Option<Value> {
    let output = cluster.try_kubectl(&["get", name, "-o", "json"]);
    serde_json::from_slice(&output.stdout).ok()
}

/// What the operator said of an object, without what others write.
fn as_made(mut object: Value) -> Value {
    let metadata = object["metadata"].take();
    let uid = metadata["ownerReferences"][0]["uid"].clone();
    object["metadata"] = json!({ "labels": metadata["labels"], "owner": uid });
    object["status"].take();
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_changes_or_deletes_is_restored_within_ten_seconds() {
    let (applied, _) = autoscaled().await;
    let cluster = &applied.cluster;
    for (name, change) in objects() {
        let made = find(cluster, name).map(as_made).expect("the object exists");
        cluster.kubectl(&["patch", name, "--type=merge", "-p", &change.to_string()]);
        eventually(&format!("the change of {name} is undone"), DRIFT, async || {
            (find(cluster, name).map(as_made)? == made).then_some(())
        })
        .await;
        cluster.kubectl(&["delete", name, "--wait=false"]);
        eventually(&format!("{name} is there again"), DRIFT, async || {
            let found = find(cluster, name)?;
            let lives = found["metadata"]["deletionTimestamp"].is_null();
            (lives && as_made(found)["metadata"] == made["metadata"]).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn once_everything_is_made_nothing_is_written_any_more() {
    let (applied, _) = autoscaled().await;
    let versions = || {
        let version =
            |(name, _): &(&str, Value)| find(&applied.cluster, name)?["metadata"]["resourceVersion"].take().into();
        objects().iter().map(version).collect::<Vec<Option<Value>>>()
    };
    // The controllers of Kubernetes write too, until the Deployments' Pods exist.
    let settled = eventually("nothing changes any more", LIMIT, async || {
        let before = versions();
        applied.reconciled_times(2).await;
        (versions() == before).then_some(before)
    })
    .await;
    applied.reconciled_times(2).await;
    assert_eq!(versions(), settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_longer_wanted_is_deleted_and_what_is_not_ours_stays() {
    let (applied, manifest) = autoscaled().await;
    let cluster = &applied.cluster;
    let ours = find(cluster, "ingress/notifications-api").expect("the Ingress exists");
    let foreign = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "spec": ours["spec"],
        "metadata": { "name": "foreign", "labels": ours["metadata"]["labels"] },
    });
    cluster.apply(&foreign.to_string());

    let (before, rest) = manifest.split_once("    ingress:\n").expect("the example has an Ingress");
    let (_, after) = rest.split_once("  processor:\n").expect("the example has processors");
    let plain = format!("{before}  processor:\n{after}")
        .replace("    autoscaling: { minReplicas: 2, maxReplicas: 10, targetCPUPercent: 70 }\n", "    replicas: 1\n");
    cluster.apply(&plain);

    let unwanted =
        ["ingress/notifications-api", "httproute/notifications-api", "horizontalpodautoscaler/notifications-api"];
    for name in unwanted {
        eventually(&format!("{name} is gone"), LIMIT, async || find(cluster, name).is_none().then_some(())).await;
    }
    applied.reconciled_times(2).await;
    for (name, _) in objects().iter().filter(|(name, _)| !unwanted.contains(name)) {
        assert!(find(cluster, name).is_some(), "{name} stays");
    }
    assert!(find(cluster, "ingress/foreign").is_some(), "labels alone make nothing ours");
    let deployment = find(cluster, "deployment/notifications-api").expect("the Deployment exists");
    assert_eq!(deployment["spec"]["replicas"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_takes_the_replicas_over_as_they_are_and_keeps_them() {
    let applied = Applied::new().await;
    applied.until_applied().await;
    let cluster = &applied.cluster;
    let replicas = || find(cluster, "deployment/notifications-api").map(|found| found["spec"]["replicas"].clone());
    let patch = |api: Value| {
        let patch = json!({ "spec": { "api": api } }).to_string();
        cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
    };
    patch(json!({ "replicas": 3 }));
    eventually("three replicas", LIMIT, async || (replicas()? == 3).then_some(())).await;

    patch(json!({ "replicas": null, "autoscaling": { "minReplicas": 1, "maxReplicas": 8 } }));
    let autoscaler = "horizontalpodautoscaler/notifications-api";
    eventually("the autoscaler exists", LIMIT, async || find(cluster, autoscaler)).await;
    applied.reconciled_times(2).await;
    assert_eq!(replicas(), Some(json!(3)), "the number was handed over");

    // As the autoscaler does it.
    cluster.kubectl(&["scale", "deployment", "notifications-api", "--replicas=5"]);
    applied.reconciled_times(2).await;
    assert_eq!(replicas(), Some(json!(5)), "the number is the autoscaler's");

    patch(json!({ "replicas": 2, "autoscaling": null }));
    eventually("two replicas", LIMIT, async || (replicas()? == 2).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_are_scaled_with_kubectl_scale_unless_they_follow_their_lag() {
    let applied = Applied::new().await;
    let cluster = &applied.cluster;
    let replicas = || find(cluster, "deployment/notifications-processor")?["spec"]["replicas"].as_i64();
    eventually("there are processors", LIMIT, async || replicas()).await;
    let scale = || cluster.try_kubectl(&["scale", "smsp/notifications", "--replicas=5"]);

    assert!(scale().status.success());
    eventually("five processors", LIMIT, async || (replicas()? == 5).then_some(())).await;

    let patch = json!({ "spec": { "processor": { "replicas": null, "autoscaling": { "maxReplicas": 2 } } } });
    cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch.to_string()]);
    let refused = scale();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("either replicas or autoscaling"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pod_template_is_told_in_a_condition_and_what_runs_stays() {
    let applied = Applied::new().await;
    applied.until_applied().await;
    let patch = json!({ "spec": { "api": { "podTemplate": { "spec": { "hostNetworking": true } } } } });
    applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch.to_string()]);
    let condition = eventually("the condition tells", LIMIT, async || {
        applied.condition("SecretsResolved").filter(|condition| condition.status == "False")
    })
    .await;
    assert_eq!(condition.reason, "InvalidPodOption");
    assert_eq!(condition.message, r#"spec.api.podTemplate: unknown field "spec.hostNetworking""#);
    assert!(find(&applied.cluster, "deployment/notifications-api").is_some());
}
