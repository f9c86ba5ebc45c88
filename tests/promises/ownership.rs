//! Topics belong to one pipeline, whoever else names them.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde_json::Value;
use tests::{Cluster, Environment, eventually, unique};

use crate::cluster::create_database_secret;

const LIMIT: Duration = Duration::from_secs(40);

fn apply(cluster: &Cluster, prefix: &str) {
    create_database_secret(cluster);
    apply_again(cluster, prefix);
}

fn apply_again(cluster: &Cluster, prefix: &str) {
    let manifest = include_str!("../../crds/examples/quickstart.yaml")
        .replace("kafka-bootstrap.kafka:9092", &Environment::get().kafka)
        .replace("prefix: sms", &format!("prefix: {prefix}"));
    cluster.apply(&manifest);
}

async fn until_told(cluster: &Cluster, reason: &str) -> Condition {
    eventually(reason, LIMIT, async || {
        let printed = cluster.kubectl(&["get", "smsp", "notifications", "-o", "json"]);
        let pipeline: Value = serde_json::from_str(&printed).ok()?;
        let conditions: Vec<Condition> = serde_json::from_value(pipeline["status"]["conditions"].clone()).ok()?;
        conditions.into_iter().find(|condition| condition.type_ == "TopicsReady" && condition.reason == reason)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_belong_to_the_pipeline_that_claimed_them_first_until_it_is_deleted() {
    let (first, second, prefix) = (Cluster::namespace().await, Cluster::namespace().await, unique("sms"));
    let _operators = (first.operator(), second.operator());
    apply(&first, &prefix);
    until_told(&first, "AsWanted").await;

    apply(&second, &prefix);

    let told = until_told(&second, "TopicOwnedByAnother").await;
    assert_eq!(told.status, "False");
    assert!(told.message.contains(&format!("{}/notifications", first.namespace)), "{}", told.message);

    first.kubectl(&["delete", "smsp", "notifications"]);
    until_told(&second, "AsWanted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_of_a_pipeline_that_went_unseen_are_taken_over_when_that_is_said() {
    let (first, second, prefix) = (Cluster::namespace().await, Cluster::namespace().await, unique("sms"));
    let mut operator = first.operator();
    apply(&first, &prefix);
    until_told(&first, "AsWanted").await;
    let uid = first.kubectl(&["get", "smsp", "notifications", "-o", "jsonpath={.metadata.uid}"]);
    operator.stop();
    first.kubectl(&["delete", "smsp", "notifications"]);
    let _operator = second.operator();
    apply(&second, &prefix);
    let told = until_told(&second, "TopicOwnedByAnother").await;
    assert!(told.message.contains(&uid), "{}", told.message);

    let taking = format!("smspipeline.dev/take-topics-from={uid}");
    second.kubectl(&["annotate", "smsp", "notifications", &taking]);

    until_told(&second, "AsWanted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_made_anew_while_no_operator_looks_has_its_topics_again() {
    let (cluster, prefix) = (Cluster::namespace().await, unique("sms"));
    let mut operator = cluster.operator();
    apply(&cluster, &prefix);
    until_told(&cluster, "AsWanted").await;
    operator.stop();
    cluster.kubectl(&["delete", "smsp", "notifications"]);
    apply_again(&cluster, &prefix);

    let _operator = cluster.operator();

    until_told(&cluster, "AsWanted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_runs_nothing_until_it_is_settled_whose_the_topics_are_and_nothing_when_they_are_another_s() {
    let (first, second, prefix) = (Cluster::namespace().await, Cluster::namespace().await, unique("sms"));
    let _operators = (first.operator(), second.operator());
    apply(&first, &prefix);
    let workloads = |cluster: &Cluster| {
        cluster.kubectl(&[
            "get",
            "deployments",
            "-o",
            "jsonpath={range .items[*]}{.metadata.name}={.spec.replicas} {end}",
        ])
    };
    eventually("the first runs", LIMIT, async || {
        (workloads(&first) == "notifications-api=1 notifications-processor=1 ").then_some(())
    })
    .await;

    create_database_secret(&second);
    let away = include_str!("../../crds/examples/quickstart.yaml")
        .replace("kafka-bootstrap.kafka:9092", "127.0.0.1:1")
        .replace("prefix: sms", &format!("prefix: {prefix}"));
    second.apply(&away);
    until_told(&second, "KafkaUnreachable").await;
    assert_eq!(workloads(&second), "");

    apply_again(&second, &prefix);
    until_told(&second, "TopicOwnedByAnother").await;
    assert_eq!(workloads(&second), "");

    let uid = first.kubectl(&["get", "smsp", "notifications", "-o", "jsonpath={.metadata.uid}"]);
    let taking = format!("smspipeline.dev/take-topics-from={uid}");
    second.kubectl(&["annotate", "smsp", "notifications", &taking]);
    until_told(&second, "AsWanted").await;
    first.kubectl(&["annotate", "smsp", "notifications", "example.com/look=again"]);
    until_told(&first, "TopicOwnedByAnother").await;
    eventually("the first is stopped", LIMIT, async || {
        (workloads(&first) == "notifications-api=0 notifications-processor=0 ").then_some(())
    })
    .await;
}
