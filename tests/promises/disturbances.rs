//! Whatever happens to the operator and to what it talks to: in the end everything is as if nothing had.

use std::{collections::BTreeMap, time::Duration};

use devstack::{Cache, ControlPlane, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, KubernetesBinaries, Silent};
use kafka::{Admin, Configurable, Settings};
use serde_json::{Value, json};
use tests::{Binary, Cluster, Environment, eventually, unique};

use crate::cluster::create_database_secret;

const LIMIT: Duration = Duration::from_mins(1);
const KILLS: u32 = 50;
const TOPICS: [&str; 4] = [".requests", ".high-priority", ".low-priority", "-requests-dlq"];

/// What an operator makes of a pipeline.
const KINDS: &str = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,\
                     horizontalpodautoscalers,ingresses,secrets";

fn manifest(kafka: &str, prefix: &str) -> String {
    include_str!("../../crds/examples/quickstart.yaml")
        .replace("kafka-bootstrap.kafka:9092", kafka)
        .replace("prefix: sms", &format!("prefix: {prefix}\n      partitionGrowth: Acknowledge"))
}

fn get(cluster: &Cluster, what: &[&str]) -> Value {
    let printed = cluster.kubectl(&[&["get", "-o", "json"], what].concat());
    serde_json::from_str(&printed).expect("kubectl prints JSON")
}

/// Everything that was made from the pipeline, by kind and name, without what differs from one namespace to another and
/// without what others than the operator write.
fn made(cluster: &Cluster, prefix: &str) -> BTreeMap<String, Value> {
    let list = get(cluster, &[KINDS, "-l", "app.kubernetes.io/managed-by=sms-operator"]);
    let uid = get(cluster, &["smsp", "notifications"])["metadata"]["uid"].as_str().expect("a uid").to_owned();
    let text = list.to_string().replace(&cluster.namespace, "NAMESPACE").replace(prefix, "PREFIX").replace(&uid, "UID");
    let list: Value = serde_json::from_str(&text).expect("JSON stays JSON");
    let items = list["items"].as_array().expect("a list");
    let is_autoscaled = items.iter().any(|object| object["kind"] == "HorizontalPodAutoscaler");
    let own = |object: &Value| {
        let (metadata, mut spec) = (&object["metadata"], object["spec"].clone());
        let mut foreign = vec!["/clusterIP", "/clusterIPs"];
        if is_autoscaled && metadata["name"] == "notifications-api" {
            foreign.push("/replicas");
        }
        for pointer in foreign {
            spec.pointer_mut(pointer).map(Value::take);
        }
        for containers in ["containers", "initContainers"] {
            let variables =
                spec.pointer_mut(&format!("/template/spec/{containers}/0/env")).and_then(Value::as_array_mut);
            // Made from a token that is drawn at random.
            let is_version =
                |variable: &Value| variable["name"].as_str().is_some_and(|name| name.ends_with("SECRETS_VERSION"));
            let random = variables.into_iter().flatten().filter(|variable| is_version(variable));
            random.for_each(|variable| drop(variable["value"].take()));
        }
        let keys = object["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>());
        let made =
            json!({ "labels": metadata["labels"], "owners": metadata["ownerReferences"], "spec": spec, "keys": keys });
        (format!("{}/{}", object["kind"], metadata["name"]), made)
    };
    items.iter().map(own).collect()
}

/// Partitions and retention of each topic.
async fn topics(admin: &Admin, prefix: &str) -> Option<Vec<(i32, String)>> {
    let names = TOPICS.map(|topic| format!("{prefix}{topic}"));
    let described = admin.describe_topics(names.to_vec()).await.ok()?;
    let configs = admin.describe_configs(names.iter().cloned().map(Configurable::Topic).collect()).await.ok()?;
    let told = names.iter().zip(configs);
    told.map(|(name, config)| Some((described.get(name)?.partitions, config.get("retention.ms")?.clone()))).collect()
}

async fn topic_ids(admin: &Admin, prefix: &str) -> Option<Vec<String>> {
    let names = TOPICS.map(|topic| format!("{prefix}{topic}"));
    let described = admin.describe_topics(names.to_vec()).await.ok()?;
    names.iter().map(|name| Some(described.get(name)?.topic_id.clone())).collect()
}

fn admin(kafka: &str) -> Admin {
    Admin::new(&Settings::plaintext(kafka), "tests").expect("a client")
}

/// Waits until the operator has done with the spec as it is now, as far as it goes without nodes.
async fn until_carried_out(cluster: &Cluster) {
    eventually("the spec is carried out", LIMIT, async || {
        let pipeline = get(cluster, &["smsp", "notifications"]);
        let (status, metadata) = (&pipeline["status"], &pipeline["metadata"]);
        let reason = |kind: &str| {
            let conditions = status["conditions"].as_array()?;
            conditions.iter().find(|condition| condition["type"] == kind).map(|condition| condition["reason"].clone())
        };
        let is_current = status["observedGeneration"] == metadata["generation"];
        let is_made = reason("TopicsReady")? == "AsWanted" && reason("ProcessorAvailable")? == "ReplicasNotReady";
        (is_current && is_made).then_some(())
    })
    .await;
}

/// Makes one of the changes that people make.
fn change(cluster: &Cluster, random: &mut fastrand::Rng, partitions: &mut i32) {
    let patch = |spec: Value| {
        let patch = json!({ "spec": spec }).to_string();
        cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
    };
    match random.u32(0..9) {
        0 => {
            *partitions += 1;
            patch(json!({ "kafka": { "topics": { "partitions": *partitions } } }));
        }
        1 => patch(json!({ "processor": { "replicas": random.u32(1..7) } })),
        2 => patch(
            json!({ "api": { "autoscaling": { "minReplicas": 2, "maxReplicas": random.u32(2..9) }, "replicas": null } }),
        ),
        3 => patch(json!({ "api": { "autoscaling": null, "replicas": random.u32(1..4) } })),
        4 => patch(json!({ "api": { "ingress": { "host": format!("sms-{}.example.com", random.u32(0..9)) } } })),
        5 => patch(json!({ "api": { "ingress": null } })),
        6 => patch(json!({ "kafka": { "topics": { "retention": format!("{}d", random.u32(1..9)) } } })),
        7 => patch(json!({ "processor": { "maxInFlight": random.u32(1..99) } })),
        _ => {
            let name = random.choice(["notifications-api", "notifications-processor"]).expect("one of two");
            cluster.try_kubectl(&["delete", "deployment,networkpolicy,poddisruptionbudget", name, "--wait=false"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_is_killed_fifty_times_while_the_spec_changes_gets_where_an_undisturbed_one_gets() {
    let (disturbed, undisturbed) = (Cluster::namespace().await, Cluster::namespace().await);
    let (prefix, other_prefix) = (unique("sms"), unique("sms"));
    let (kafka, seed) = (&Environment::get().kafka, fastrand::u64(..));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (admin, mut partitions) = (admin(kafka), 6);
    create_database_secret(&disturbed);
    disturbed.apply(&manifest(kafka, &prefix));
    let mut ids = None;
    for _ in 0..KILLS {
        let mut operator = disturbed.operator();
        tokio::time::sleep(Duration::from_millis(random.u64(100..1500))).await;
        change(&disturbed, &mut random, &mut partitions);
        tokio::time::sleep(Duration::from_millis(random.u64(0..600))).await;
        operator.kill();
        // Its Lease has run out, as it does after 12 s.
        let free = r#"{"spec":{"holderIdentity":null}}"#;
        disturbed.try_kubectl(&["patch", "lease", "sms-operator", "--type=merge", "-p", free]);
        let found = topic_ids(&admin, &prefix).await;
        assert!(ids.is_none() || ids == found, "no topic was made anew");
        ids = found;
    }
    let _operator = disturbed.operator();
    until_carried_out(&disturbed).await;

    let mut pipeline = get(&disturbed, &["smsp", "notifications"]);
    pipeline["metadata"] = json!({ "name": "notifications" });
    pipeline["spec"]["kafka"]["topics"]["prefix"] = json!(other_prefix);
    create_database_secret(&undisturbed);
    undisturbed.apply(&pipeline.to_string());
    let _another = undisturbed.operator();
    until_carried_out(&undisturbed).await;

    eventually("both have the same objects", LIMIT, async || {
        (made(&disturbed, &prefix) == made(&undisturbed, &other_prefix)).then_some(())
    })
    .await;
    assert_eq!(topics(&admin, &prefix).await, topics(&admin, &other_prefix).await);
    assert_eq!(topic_ids(&admin, &prefix).await, ids);
}

/// An operator that is started again when it ends, as its Deployment sees to.
struct Kept<'a> {
    start: Box<dyn Fn() -> Binary + 'a>,
    operator: Binary,
}

impl<'a> Kept<'a> {
    fn new(start: impl Fn() -> Binary + 'a) -> Self {
        Self { operator: start(), start: Box::new(start) }
    }

    fn keep(&mut self) {
        if self.operator.exit_code().is_some() {
            self.operator = (self.start)();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_at_once_carry_everything_out_although_api_server_and_broker_crash() {
    let (cache, folder) = (Cache::of_this_machine().expect("a cache"), tempfile::tempdir().expect("a folder"));
    let binaries = KubernetesBinaries::install(&cache, &Silent).expect("Kubernetes");
    let mut control_plane = ControlPlane::start(&binaries, &folder.path().join("kubernetes")).expect("it starts");
    let binaries = KafkaBinaries::install(&cache, &Silent).expect("Kafka");
    let data = folder.path().join("kafka");
    let settings = KafkaSettings { folder: &data, port: None, tuning: JavaTuning::QuickStart };
    let mut broker = Kafka::start(&binaries, &settings).expect("the broker starts");
    let cluster = Cluster::on(&control_plane.kubeconfig()).await;
    cluster.install_crd();
    create_database_secret(&cluster);
    let (admin, prefix) = (admin(&broker.bootstrap_servers()), unique("sms"));

    // Each has a Lease of its own, so both lead.
    let mut operators = [Kept::new(|| cluster.operator()), Kept::new(|| cluster.operator_for_all_namespaces())];
    cluster.apply(&manifest(&broker.bootstrap_servers(), &prefix));
    until_carried_out(&cluster).await;
    let ids = topic_ids(&admin, &prefix).await;
    assert!(ids.is_some());
    let edit = |number: i32| {
        let spec = json!({ "processor": { "replicas": number }, "kafka": { "topics": { "partitions": 6 + number } } });
        let patch = json!({ "spec": spec }).to_string();
        cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
    };
    for number in 1..=4 {
        edit(number);
        if number % 2 == 0 {
            control_plane.kill_api_server();
            control_plane.restart_api_server().expect("the API server starts again");
        } else {
            broker.kill();
            broker.restart().expect("the broker starts again");
        }
        eventually("the edit is carried out", LIMIT, async || {
            operators.iter_mut().for_each(Kept::keep);
            let partitions = topics(&admin, &prefix).await?.first()?.0;
            let deployment = cluster.try_kubectl(&["get", "deployment", "notifications-processor", "-o", "json"]);
            let deployment: Value = serde_json::from_slice(&deployment.stdout).ok()?;
            (deployment["spec"]["replicas"] == number && partitions == 6 + number).then_some(())
        })
        .await;
    }
    until_carried_out(&cluster).await;
    eventually("neither writes any more", LIMIT, async || {
        let before = cluster.all_versions().await;
        let rounds = async |operator: &Kept<'_>| {
            operator.operator.metric("smspipeline_reconciles_total{result=\"done\"}").await.unwrap_or_default()
        };
        let [first, second] = [rounds(&operators[0]).await + 2.0, rounds(&operators[1]).await + 2.0];
        eventually("both have looked twice", LIMIT, async || {
            let again = format!("example.com/look={}", unique(""));
            cluster.kubectl(&["annotate", "smsp", "notifications", &again, "--overwrite"]);
            (rounds(&operators[0]).await >= first && rounds(&operators[1]).await >= second).then_some(())
        })
        .await;
        (cluster.all_versions().await == before).then_some(())
    })
    .await;
    assert_eq!(topic_ids(&admin, &prefix).await, ids);
}
