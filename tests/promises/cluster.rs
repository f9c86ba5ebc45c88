//! The operator on a real API server.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Service},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kafka::{Admin, Configurable};
use kube::{Api, discovery::ApiResource};
use serde_json::Value;
use tests::{Cluster, Environment, eventually, unique};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A pipeline applied with kubectl, with the operator running.
pub(crate) struct Applied {
    // Before the cluster, whose folder has its output.
    pub operator: tests::Binary,
    pub cluster: Cluster,
    pub prefix: String,
}

impl Applied {
    pub async fn new() -> Self {
        Self::on(Cluster::namespace().await)
    }

    pub fn on(cluster: Cluster) -> Self {
        Self::with_prefix(cluster, unique("sms"))
    }

    fn with_prefix(cluster: Cluster, prefix: String) -> Self {
        let operator = cluster.operator();
        let applied = Self { operator, cluster, prefix };
        create_database_secret(&applied.cluster);
        applied.apply(3, "Forbid", 2);
        applied
    }

    pub fn apply(&self, partitions: i32, growth: &str, replicas: i32) {
        let manifest = include_str!("../../crds/examples/quickstart.yaml")
            .replace("kafka-bootstrap.kafka:9092", &Environment::get().kafka)
            .replace("prefix: sms", &format!("prefix: {}\n      partitionGrowth: {growth}", self.prefix))
            .replace("partitions: 6", &format!("partitions: {partitions}"))
            .replace("processor:\n    replicas: 1", &format!("processor:\n    replicas: {replicas}"));
        self.cluster.apply(&manifest);
    }

    async fn partitions(&self, topic: &str) -> Option<i32> {
        let settings = kafka::Settings::plaintext(&Environment::get().kafka);
        let admin = Admin::new(&settings, "tests").expect("a client");
        let name = format!("{}{topic}", self.prefix);
        Some(admin.describe_topics(vec![name.clone()]).await.ok()?.get(&name)?.partitions)
    }

    async fn deployment(&self, name: &str) -> Option<Deployment> {
        let api = Api::<Deployment>::namespaced(self.cluster.client.clone(), &self.cluster.namespace);
        api.get_opt(name).await.expect("the API server answers")
    }

    fn pipeline(&self) -> Value {
        let printed = self.cluster.kubectl(&["get", "smsp", "notifications", "-o", "json"]);
        serde_json::from_str(&printed).expect("kubectl prints JSON")
    }

    pub fn condition(&self, kind: &str) -> Option<Condition> {
        let conditions: Vec<Condition> =
            serde_json::from_value(self.pipeline()["status"]["conditions"].clone()).ok()?;
        conditions.into_iter().find(|condition| condition.type_ == kind)
    }

    /// Waits until the operator has reconciled so many times more.
    pub async fn reconciled_times(&self, times: u32) {
        let count = async || self.operator.metric("smspipeline_reconciles_total{result=\"done\"}").await;
        let enough = count().await.unwrap_or_default() + f64::from(times);
        eventually("the operator reconciles", Cluster::PATIENCE, async || (count().await? >= enough).then_some(()))
            .await;
    }

    pub async fn until_applied(&self) {
        eventually("the pipeline was applied", LIMIT, async || {
            let topics = self.condition("TopicsReady")?.status == "True";
            let applied = self.condition("ProcessorAvailable")?.reason == "ReplicasNotReady";
            (topics && applied).then_some(())
        })
        .await;
    }
}

/// The Secret that the example names, of a database that is away.
pub(crate) fn create_database_secret(cluster: &Cluster) {
    let uri = "--from-literal=uri=postgresql://sms:hunter2@127.0.0.1:1/sms";
    cluster.kubectl(&["create", "secret", "generic", "notifications-db", uri]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_becomes_topics_and_objects_follows_its_edits_and_leaves_its_topics_behind() {
    let applied = Applied::new().await;
    applied.until_applied().await;

    for (topic, partitions) in [(".requests", 3), (".high-priority", 3), (".low-priority", 3), ("-requests-dlq", 1)] {
        assert_eq!(applied.partitions(topic).await, Some(partitions), "{topic}");
    }
    let versions = applied.cluster.all_versions().await;
    let expected = [
        "Deployment/notifications-api",
        "Deployment/notifications-processor",
        "Secret/notifications-internal",
        "Service/notifications-api",
        "Service/notifications-api-internal",
        "ServiceAccount/notifications-api",
        "ServiceAccount/notifications-processor",
    ];
    for name in expected {
        assert!(versions.contains_key(name), "{name} is among {versions:?}");
    }
    let columns = applied.cluster.kubectl(&["get", "smsp"]);
    for column in ["READY", "REASON", "REPLICAS", "DESIRED", "PARTITIONS", "AGE"] {
        assert!(columns.contains(column), "{columns}");
    }

    applied.apply(5, "Acknowledge", 4);
    eventually("the topics have grown", LIMIT, async || (applied.partitions(".requests").await? == 5).then_some(()))
        .await;
    eventually("the Deployment has four replicas", LIMIT, async || {
        let replicas = applied.deployment("notifications-processor").await?.spec?.replicas?;
        (replicas == 4).then_some(())
    })
    .await;

    let manifest = r#"[{"op":"replace","path":"/spec/processor/provider/simulated/failurePercent","value":33}]"#;
    applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=json", "-p", manifest]);
    eventually("the processors get the provider's new settings", LIMIT, async || {
        let deployment = applied.deployment("notifications-processor").await?;
        serde_json::to_string(&deployment.spec).ok()?.contains(r#"\"failurePercent\":33"#).then_some(())
    })
    .await;

    applied.cluster.kubectl(&["delete", "smsp", "notifications"]);
    eventually("everything that the pipeline owned is gone", Cluster::PATIENCE, async || {
        let versions = applied.cluster.all_versions().await;
        expected.iter().all(|name| !versions.contains_key(*name)).then_some(())
    })
    .await;
    assert_eq!(applied.partitions(".requests").await, Some(5), "topics stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reconcile_writes_nothing() {
    let applied = Applied::new().await;
    applied.until_applied().await;
    // The controllers of Kubernetes write too, until the Deployments' Pods exist.
    let settled = eventually("nothing changes any more", LIMIT, async || {
        let before = (applied.cluster.all_versions().await, applied.pipeline());
        applied.reconciled_times(1).await;
        let after = (applied.cluster.all_versions().await, applied.pipeline());
        (before == after).then_some(after)
    })
    .await;

    applied.reconciled_times(2).await;
    assert_eq!((applied.cluster.all_versions().await, applied.pipeline()), settled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_told_in_a_condition_and_found_when_it_comes() {
    let cluster = Cluster::namespace().await;
    let operator = cluster.operator();
    let applied = Applied { cluster, operator, prefix: unique("sms") };
    applied.apply(3, "Forbid", 1);
    let condition = eventually("the condition tells", LIMIT, async || {
        applied.condition("SecretsResolved").filter(|condition| condition.status == "False")
    })
    .await;
    assert_eq!(condition.reason, "SecretNotFound");
    assert!(condition.message.contains("spec.database.urlSecretRef"), "{}", condition.message);

    create_database_secret(&applied.cluster);
    applied.until_applied().await;
    let unavailable = applied.condition("ApiAvailable").expect("the condition is there");
    assert!(unavailable.message.contains("PostgreSQL at 127.0.0.1:1 does not answer"), "{}", unavailable.message);
    assert!(!applied.operator.output().contains("hunter2"), "no secret is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_somebody_else_is_refused_and_left_alone() {
    let cluster = Cluster::namespace().await;
    cluster.kubectl(&["create", "service", "clusterip", "notifications-api", "--tcp=80:80"]);
    let foreign = cluster.versions(&ApiResource::erase::<Service>(&())).await;
    let operator = cluster.operator();
    let applied = Applied { cluster, operator, prefix: unique("sms") };
    create_database_secret(&applied.cluster);
    applied.apply(3, "Forbid", 1);

    let condition = eventually("the condition tells", LIMIT, async || {
        applied.condition("ApiAvailable").filter(|condition| condition.reason == "NameConflict")
    })
    .await;

    assert!(condition.message.contains(r#"Service "notifications-api""#), "{}", condition.message);
    let service = applied.cluster.versions(&ApiResource::erase::<Service>(&())).await;
    assert_eq!(service["Service/notifications-api"], foreign["Service/notifications-api"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pipeline_is_not_changed_until_it_goes_on_and_its_events_tell_so() {
    let applied = Applied::new().await;
    applied.until_applied().await;
    let pause = |paused: bool| {
        let patch = format!(r#"{{"spec":{{"paused":{paused},"processor":{{"replicas":7}}}}}}"#);
        applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
    };
    let replicas = async || applied.deployment("notifications-processor").await?.spec?.replicas;
    pause(true);
    eventually("the condition tells", LIMIT, async || {
        applied.condition("Paused").filter(|condition| condition.status == "True")
    })
    .await;
    let name = "notifications-api";
    applied.cluster.kubectl(&["label", "deployment", name, "app.kubernetes.io/managed-by=somebody", "--overwrite"]);
    applied.reconciled_times(2).await;
    assert_eq!(replicas().await, Some(2));
    let label = "jsonpath={.metadata.labels.app\\.kubernetes\\.io/managed-by}";
    assert_eq!(applied.cluster.kubectl(&["get", "deployment", name, "-o", label]), "somebody");
    assert_eq!(applied.condition("TopicsReady").map(|condition| condition.status), Some("True".to_owned()));

    // The annotation says the same, without a change of the spec.
    applied.cluster.kubectl(&["annotate", "smsp", "notifications", "smspipeline.dev/paused=true"]);
    pause(false);
    eventually("the condition tells of the annotation", LIMIT, async || {
        let paused = applied.condition("Paused").filter(|condition| condition.status == "True")?;
        paused.message.contains("annotation").then_some(())
    })
    .await;
    assert_eq!(replicas().await, Some(2));

    applied.cluster.kubectl(&["annotate", "smsp", "notifications", "smspipeline.dev/paused-"]);
    eventually("the edit is carried out", LIMIT, async || (replicas().await? == 7).then_some(())).await;
    eventually("the events tell, each in its own words", LIMIT, async || {
        let events = applied.cluster.kubectl(&["get", "events", "-o", "json"]);
        let events: Value = serde_json::from_str(&events).expect("kubectl prints JSON");
        let events = events["items"].as_array().expect("a list");
        let tells = |reason: &str, words: &str| {
            let mut told = events.iter().filter(|event| event["reason"] == reason);
            told.any(|event| event["message"].as_str().is_some_and(|message| message.contains(words)))
        };
        let all = [
            ("TopicInUse", ".high-priority"),
            ("TopicInUse", ".low-priority"),
            ("AsWanted", ""),
            ("ObjectsChanged", "ServiceAccount"),
            ("ObjectsChanged", "changed Deployment"),
            ("Paused", "spec.paused"),
            ("NotPaused", ""),
        ];
        all.iter().all(|(reason, words)| tells(reason, words)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_finds_failures_late_is_set_to_find_them_soon() {
    let (cluster, prefix) = (Cluster::namespace().await, unique("sms"));
    let admin = Admin::new(&kafka::Settings::plaintext(&Environment::get().kafka), "tests").expect("a client");
    let group = Configurable::Group(format!("{prefix}.processor"));
    let (session, heartbeat) = ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms");
    let is = async |expected: [&str; 2]| {
        let config = admin.describe_configs(vec![group.clone()]).await.ok()?.remove(0);
        ([&*config[session], &*config[heartbeat]] == expected).then_some(())
    };
    let late = [(session, "60000".to_owned()), (heartbeat, "6000".to_owned())];
    admin.alter_configs(BTreeMap::from([(group.clone(), late.into())])).await.expect("it is set");
    eventually("the broker knows it", LIMIT, async || is(["60000", "6000"]).await).await;

    let _applied = Applied::with_prefix(cluster, prefix);

    // The broker's own, which are shorter than what would be set otherwise.
    eventually("session and heartbeat are short", LIMIT, async || is(["3000", "300"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_go_with_a_pipeline_that_says_so_after_all_who_use_them() {
    let applied = Applied::new().await;
    let patch = r#"{"spec":{"kafka":{"topics":{"onDelete":"Delete"}}}}"#;
    applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", patch]);
    applied.until_applied().await;
    // What goes together with the pipeline can go before it.
    applied.cluster.kubectl(&["delete", "secret", "notifications-db"]);
    applied.cluster.kubectl(&["delete", "smsp", "notifications", "--timeout=60s"]);
    for topic in [".requests", ".high-priority", ".low-priority", "-requests-dlq"] {
        eventually("every broker has forgotten the topic", LIMIT, async || {
            applied.partitions(topic).await.is_none().then_some(())
        })
        .await;
    }
    let events = applied.cluster.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert!(events.contains("TopicsDeleted"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_goes_within_a_minute_although_no_operator_runs() {
    let mut applied = Applied::new().await;
    applied.until_applied().await;
    applied.operator.stop();
    let namespace = applied.cluster.namespace.clone();
    applied.cluster.kubectl(&["delete", "namespace", &namespace, "--timeout=60s"]);
    assert_eq!(applied.partitions(".requests").await, Some(3), "topics stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_of_the_database_replaces_the_api_and_nothing_else_does() {
    let applied = Applied::new().await;
    applied.until_applied().await;
    let template = async |name: &str| applied.deployment(name).await?.spec.map(|spec| spec.template);
    let before = (template("notifications-api").await, template("notifications-processor").await);
    applied.reconciled_times(1).await;
    assert_eq!((template("notifications-api").await, template("notifications-processor").await), before);

    let uri = r#"{"stringData":{"uri":"postgresql://sms:hunter3@127.0.0.1:1/sms"}}"#;
    applied.cluster.kubectl(&["patch", "secret", "notifications-db", "--type=merge", "-p", uri]);
    eventually("the API gets another template", LIMIT, async || {
        (template("notifications-api").await? != before.0.clone()?).then_some(())
    })
    .await;
    assert_eq!(template("notifications-processor").await, before.1);
    let shown = applied.cluster.kubectl(&["get", "deployments,events", "-o", "yaml"]);
    assert!(!shown.contains("hunter") && !applied.operator.output().contains("hunter"), "no secret is shown");
}
