//! On a cluster the operator scales the processors' Deployment, with the rights of the chart and no others.

use std::{process::Command, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use tests::{Binary, Cluster, Environment, Processors, eventually, unique};

use crate::{chart::Installed, cluster::create_database_secret};

const LIMIT: Duration = Duration::from_mins(1);
const PARTITIONS: usize = 3;
const HOLD: &str = "smspipeline.dev/hold-replicas-until";

/// What is asked for, and how often that has changed.
async fn deployment(cluster: &Cluster) -> Option<(i32, i64)> {
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &cluster.namespace);
    let found = deployments.get_opt("notifications-processor").await.expect("the API server answers")?;
    Some((found.spec?.replicas?, found.metadata.generation?))
}

/// Waits until so many processors are asked for and run.
async fn until_processors(cluster: &Cluster, processors: &Processors, count: usize) {
    eventually(&format!("{count} processors"), LIMIT, async || {
        let (replicas, _) = deployment(cluster).await?;
        (usize::try_from(replicas) == Ok(count) && processors.in_work().len() == count).then_some(())
    })
    .await;
}

/// Which events tell of this reason.
fn events(cluster: &Cluster, reason: &str) -> String {
    let selector = format!("--field-selector=reason={reason}");
    cluster.kubectl(&["get", "events", &selector, "-o", "jsonpath={range .items[*]}{.message}{end}"])
}

fn active(cluster: &Cluster) -> Option<String> {
    let printed = cluster.kubectl(&["get", "smsp", "notifications", "-o", "json"]);
    let pipeline: Value = serde_json::from_str(&printed).ok()?;
    let conditions = pipeline["status"]["conditions"].as_array()?;
    let active = conditions.iter().find(|condition| condition["type"] == "AutoscalerActive")?;
    active["reason"].as_str().map(str::to_owned)
}

fn change(cluster: &Cluster, autoscaling: &str) {
    let patch = format!(r#"{{"spec":{{"processor":{{"autoscaling":{autoscaling}}}}}}}"#);
    cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
}

/// Puts records into the topic of normal priority, a thousand into each partition.
fn produce(topic: &str) {
    let settings = kafka::Settings::plaintext(&Environment::get().kafka);
    let config = settings.client_config("tests").expect("settings of a client");
    let producer: BaseProducer = config.create().expect("a producer");
    for partition in 0..3 {
        for _ in 0..1000 {
            let record = BaseRecord::<(), str>::to(topic).partition(partition).payload("waits");
            producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
        }
    }
    producer.flush(LIMIT).expect("Kafka takes the records");
}

/// `sms-operator explain`, which decides again from what the operator tells.
fn explain(cluster: &Cluster, operator: &Binary) -> (String, String) {
    let mut explain = Command::new(Environment::get().bin_dir.join("sms-operator"));
    let operator = operator.url().expect("it has an address");
    explain.args(["explain", "smsp/notifications", "--last", "500", "-n", &cluster.namespace, "--from", &operator]);
    let told = explain.output().expect("the command starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(told.status.success(), "{}", text(&told.stderr));
    (text(&told.stdout), text(&told.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_cluster_processors_come_with_a_backlog_and_those_with_the_least_in_work_go_after_it() {
    let cluster = Cluster::namespace().await;
    let mut chart = Installed::for_namespace(&cluster).await;
    chart.variables.insert("LAG_INTERVAL_SECONDS".to_owned(), "1".to_owned());
    let mut operator = chart.operator(&cluster);
    let prefix = unique("sms");
    let processors = Processors::start(&cluster, &prefix, PARTITIONS);
    create_database_secret(&cluster);
    let autoscaling =
        "autoscaling: { maxReplicas: 3, drainWithin: 10s, scaleDownAfter: 1h, initialMessagesPerSecond: 10 }";
    let manifest = include_str!("../../crds/examples/quickstart.yaml")
        .replace("kafka-bootstrap.kafka:9092", &Environment::get().kafka)
        .replace("prefix: sms", &format!("prefix: {prefix}"))
        .replace("partitions: 6", &format!("partitions: {PARTITIONS}"))
        .replace("processor:\n    replicas: 1", &format!("processor:\n    {autoscaling}"));
    cluster.apply(&manifest);
    until_processors(&cluster, &processors, 1).await;

    produce(&format!("{prefix}.requests"));
    until_processors(&cluster, &processors, 3).await;
    eventually("the step is an event", LIMIT, async || {
        events(&cluster, "ScaledUp").contains("1 → 3 replicas").then_some(())
    })
    .await;

    let (_, before) = deployment(&cluster).await.expect("it is there");
    cluster.kubectl(&["scale", "deployment/notifications-processor", "--replicas=1"]);
    eventually("the count of somebody else is taken back", LIMIT, async || {
        let (replicas, generation) = deployment(&cluster).await?;
        (replicas == 3 && generation >= before + 2).then_some(())
    })
    .await;
    until_processors(&cluster, &processors, 3).await;

    let (_, before) = deployment(&cluster).await.expect("it is there");
    assert_eq!(operator.stop(), 0);
    let operator = chart.operator(&cluster);
    let labels = format!(r#"{{namespace="{}",pipeline="notifications"}}"#, cluster.namespace);
    eventually("an operator that begins anew decides", LIMIT, async || {
        operator.metric(&format!("smspipeline_autoscaler_desired_replicas{labels}")).await
    })
    .await;
    assert_eq!(deployment(&cluster).await, Some((3, before)), "it goes on from what there is");

    cluster.kubectl(&["annotate", "smsp", "notifications", &format!("{HOLD}=2h")]);
    let held = async |reason: &str| {
        eventually(reason, LIMIT, async || (active(&cluster)? == reason).then_some(())).await;
    };
    held("InvalidHold").await;
    cluster.kubectl(&["annotate", "smsp", "notifications", "--overwrite", &format!("{HOLD}=2999-12-24T18:00:00Z")]);
    held("Held").await;
    processors.finish();
    change(&cluster, r#"{"scaleDownAfter":"2s"}"#);
    eventually("what would be done is only told", LIMIT, async || {
        events(&cluster, "ScalingTold").contains("3 → 2 replicas").then_some(())
    })
    .await;
    assert_eq!(deployment(&cluster).await.map(|(replicas, _)| replicas), Some(3));

    let busiest = processors.in_work().into_iter().max_by_key(|(_, messages)| *messages).expect("there are some");
    cluster.kubectl(&["annotate", "smsp", "notifications", &format!("{HOLD}-")]);
    until_processors(&cluster, &processors, 1).await;
    assert_eq!(processors.in_work(), [busiest].into(), "the one that would have lost most is left");
    eventually("each step is an event", LIMIT, async || {
        let told = events(&cluster, "ScaledDown");
        (told.contains("3 → 2 replicas") && told.contains("2 → 1 replica")).then_some(())
    })
    .await;

    let (printed, notes) = explain(&cluster, &operator);
    assert!(notes.contains("each gave the same answer"), "{notes}");
    assert!(printed.contains("fewer have been enough"), "{printed}");
    assert!(!operator.output().contains("orbidden"), "{}", operator.output());
}
