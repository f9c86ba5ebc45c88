//! A pipeline that cannot be made as wanted costs little, whatever is told of it.

use std::time::Duration;

use serde_json::json;
use tests::{Cluster, eventually, unique};
use tokio::net::TcpListener;

use crate::cluster::{Applied, create_database_secret};

/// Lets nothing of a kind into the namespace: an admission webhook that hangs up. The API server mostly tells so in words that
/// differ each time, because the port of its connection is among them.
async fn refuse(cluster: &Cluster, plural: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // Not before the greeting has come: until then it may be the connecting that fails, in the same words each time.
            if connection.readable().await.is_ok() {
                connection.set_zero_linger().expect("a reset instead of an end");
            }
        }
    });
    let webhook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": cluster.namespace },
        "webhooks": [{
            "name": "hangs-up.example.com",
            "clientConfig": { "url": url },
            "rules": [{ "apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": [plural] }],
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": cluster.namespace } },
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    });
    cluster.apply(&webhook.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_stays_is_tried_less_than_once_in_ten_seconds() {
    let cluster = Cluster::namespace().await;
    refuse(&cluster, "services").await;
    create_database_secret(&cluster);
    let operator = cluster.operator();
    let applied = Applied { cluster, operator, prefix: unique("sms") };
    applied.apply(3, "Forbid", 1);
    let failures = async || applied.operator.metric("smspipeline_reconciles_total{result=\"failed\"}").await;
    let told = || applied.condition("ApiAvailable").map(|condition| condition.message);

    eventually("the first failure", Cluster::PATIENCE, async || (failures().await? >= 1.0).then_some(())).await;
    eventually("it is told", Cluster::PATIENCE, async || told().filter(|told| told.contains("Service"))).await;
    let before = eventually("the fifth failure", Cluster::PATIENCE, async || {
        failures().await.filter(|failures| *failures >= 5.0)
    })
    .await;
    // That nothing happens cannot be awaited.
    tokio::time::sleep(Duration::from_secs(20)).await;

    let since = failures().await.expect("the operator tells") - before;
    assert!((1.0..=2.0).contains(&since), "{since} failures in 20 s");
    applied.cluster.kubectl(&["delete", "validatingwebhookconfiguration", &applied.cluster.namespace]);
}
