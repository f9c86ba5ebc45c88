//! The Helm chart installs all that the operator needs, and no right beyond it.

use std::{collections::BTreeMap, path::PathBuf, process::Command, time::Duration};

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::Value;
use tests::{Binary, Cluster, Environment, Node, eventually, unique};

use crate::cluster::create_database_secret;

const RELEASE: &str = "sms-operator";

fn helm(arguments: &[&str]) -> std::process::Output {
    let environment = Environment::get();
    Command::new(&environment.helm)
        .args(arguments)
        .arg(chart())
        .env("KUBECONFIG", &environment.kubeconfig)
        .output()
        .expect("helm starts")
}

fn chart() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/sms-operator")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_rights_of_the_chart_and_no_others_the_operator_does_its_work() {
    let cluster = Cluster::namespace().await;
    let chart = Installed::for_namespace(&cluster).await;
    let (operator, account) = (chart.operator(&cluster), &chart.account);
    let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &cluster.namespace);
    apply_quickstart(&cluster);
    for name in ["notifications-api", "notifications-processor"] {
        eventually("the pipeline's Deployments exist", Duration::from_secs(30), async || {
            deployments.get_opt(name).await.expect("the API server answers").map(drop)
        })
        .await;
    }
    eventually("the status is written", Duration::from_secs(30), async || {
        let columns = cluster.kubectl(&["get", "smsp", "notifications", "--no-headers"]);
        columns.contains("ReplicasNotReady").then_some(())
    })
    .await;
    eventually("the operator is ready, as its Deployment asks", Duration::from_secs(30), async || {
        operator.is_ready().await.then_some(())
    })
    .await;
    for (api, exists) in [
        (r#"{"replicas":null,"autoscaling":{"maxReplicas":3},"ingress":{"host":"sms.example.com"}}"#, true),
        (r#"{"replicas":1,"autoscaling":null,"ingress":null}"#, false),
    ] {
        let patch = format!(r#"{{"spec":{{"api":{api}}}}}"#);
        cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
        for name in ["ingress/notifications-api", "horizontalpodautoscaler/notifications-api"] {
            eventually(&format!("{name}: {exists}"), Duration::from_secs(30), async || {
                (cluster.try_kubectl(&["get", name]).status.success() == exists).then_some(())
            })
            .await;
        }
    }
    assert!(!operator.output().contains("orbidden"), "{}", operator.output());

    let user = format!("--as=system:serviceaccount:{}:{account}", cluster.namespace);
    let refused = [
        ["delete", "secrets"],
        ["update", "secrets"],
        ["delete", "deployments"],
        ["update", "deployments"],
        ["delete", "services"],
        ["delete", "networkpolicies"],
        ["create", "roles"],
        ["create", "pods"],
        ["delete", "smspipelines"],
    ];
    for [verb, resource] in refused {
        let answer = cluster.try_kubectl(&["auth", "can-i", verb, resource, &user]);
        assert_eq!(text(&answer.stdout).trim(), "no", "{verb} {resource}");
    }
}

/// The chart as it was installed.
pub(crate) struct Installed {
    /// The environment of the operator.
    pub variables: BTreeMap<String, String>,
    account: String,
    kubeconfig: PathBuf,
}

impl Installed {
    /// Installs the chart.
    pub async fn new(cluster: &Cluster, install: &[&str]) -> Self {
        let installed = helm(install);
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        let deployments = Api::<Deployment>::namespaced(cluster.client.clone(), &cluster.namespace);
        let operator = deployments.get(RELEASE).await.expect("the chart installs a Deployment");
        let pod = operator.spec.and_then(|spec| spec.template.spec).expect("a pod template");
        let variables = pod.containers[0].env.iter().flatten();
        let variables = variables.filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)));
        let account = pod.service_account_name.expect("a ServiceAccount");
        let kubeconfig = kubeconfig_of(cluster, &account);
        Self { variables: variables.collect(), account, kubeconfig }
    }

    /// Installs the chart for the cluster's namespace alone.
    pub async fn for_namespace(cluster: &Cluster) -> Self {
        let watched = format!("watchNamespace={}", cluster.namespace);
        // The CRD is there already: the API server is shared, and only one release can hold it.
        let install =
            ["install", RELEASE, "--namespace", &cluster.namespace, "--set", &watched, "--set", "crds.install=false"];
        Self::new(cluster, &install).await
    }

    /// Runs the operator as its Deployment says, with the rights of its ServiceAccount.
    pub fn operator(&self, cluster: &Cluster) -> Binary {
        cluster.operator_with(&self.kubeconfig, &self.variables)
    }
}

fn apply_quickstart(cluster: &Cluster) {
    create_database_secret(cluster);
    let manifest = include_str!("../../crds/examples/quickstart.yaml")
        .replace("kafka-bootstrap.kafka:9092", &Environment::get().kafka)
        .replace("prefix: sms", &format!("prefix: {}", unique("sms")));
    cluster.apply(&manifest);
}

fn condition(cluster: &Cluster, kind: &str) -> Option<Value> {
    let printed = cluster.kubectl(&["get", "smsp", "notifications", "-o", "json"]);
    let pipeline: Value = serde_json::from_str(&printed).ok()?;
    let conditions = pipeline["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == kind).cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rights_on_the_named_secrets_alone_a_pipeline_becomes_ready_is_followed_and_no_other_secret_can_be_read() {
    let cluster = Cluster::namespace().await;
    let values = serde_json::json!({
        "watchNamespace": cluster.namespace,
        "crds": { "install": false },
        "secrets": { "namespaces": [
            { "namespace": cluster.namespace, "pipelines": ["notifications"], "names": ["notifications-db"] },
        ] },
    });
    let values = cluster.file("values.yaml", &values.to_string()).display().to_string();
    let install = ["install", RELEASE, "--namespace", &cluster.namespace, "--values", &values];
    let chart = Installed::new(&cluster, &install).await;
    let (operator, account) = (chart.operator(&cluster), &chart.account);
    let _node = Node::start(&cluster);
    apply_quickstart(&cluster);
    eventually("the pipeline is ready", Duration::from_secs(40), async || {
        (condition(&cluster, "Ready")?["status"] == "True").then_some(())
    })
    .await;

    let template = || {
        let path = "jsonpath={.spec.template}";
        cluster.kubectl(&["get", "deployment", "notifications-api", "-o", path])
    };
    let before = template();
    let rotated = r#"{"stringData":{"uri":"postgresql://sms:hunter3@127.0.0.1:1/sms"}}"#;
    cluster.kubectl(&["patch", "secret", "notifications-db", "--type=merge", "-p", rotated]);
    eventually("the changed Secret is followed", Duration::from_secs(30), async || {
        (template() != before).then_some(())
    })
    .await;
    assert!(!operator.output().contains("orbidden"), "{}", operator.output());

    let user = format!("--as=system:serviceaccount:{}:{account}", cluster.namespace);
    for (verb, resource, expected) in [
        ("get", "secrets/notifications-db", "yes"),
        ("watch", "secrets/notifications-db", "yes"),
        ("patch", "secrets/notifications-db", "no"),
        ("get", "secrets/notifications-internal", "yes"),
        ("patch", "secrets/notifications-internal", "yes"),
        ("get", "secrets/another", "no"),
        ("watch", "secrets/another", "no"),
        ("patch", "secrets/another", "no"),
        ("create", "secrets", "no"),
        ("get", "secrets", "no"),
        ("list", "secrets", "no"),
        ("watch", "secrets", "no"),
        ("delete", "secrets/notifications-internal", "no"),
    ] {
        let answer = cluster.try_kubectl(&["auth", "can-i", verb, resource, &user]);
        assert_eq!(text(&answer.stdout).trim(), expected, "{verb} {resource}");
    }

    cluster.kubectl(&["create", "secret", "generic", "another", "--from-literal=uri=postgresql://a:hunter4@b/c"]);
    let patch = r#"{"spec":{"database":{"urlSecretRef":{"name":"another"}}}}"#;
    cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", patch]);
    let told = eventually("the condition tells", Duration::from_secs(30), async || {
        condition(&cluster, "SecretsResolved").filter(|condition| condition["reason"] == "ReadFailed")
    })
    .await;
    let message = told["message"].as_str().expect("a message");
    assert!(message.contains(r#"failed to read Secret "another""#), "{message}");
    assert!(message.contains("secrets.namespaces") && message.contains("forbidden"), "{message}");
}

#[test]
fn rights_on_secrets_are_roles_of_namespaces_and_reach_over_the_cluster_only_where_that_is_asked_for() {
    let check = |set: &str, expected: &[(&str, Option<&str>)]| {
        let rendered = helm(&["template", RELEASE, "--namespace", "release", "--set", set]);
        let rendered = text(&rendered.stdout);
        let documents = rendered.split("\n---\n").filter(|document| document.contains("resources: [secrets]"));
        let places: Vec<_> = documents
            .map(|document| {
                let line = |name: &str| document.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
                (line("kind:").expect("a kind"), line("namespace:"))
            })
            .collect();
        assert_eq!(places, expected, "{set}: {rendered}");
    };
    check("replicas=1", &[("Role", Some("release"))]);
    check("watchNamespace=a", &[("Role", Some("a"))]);
    let two = "secrets.namespaces[0].namespace=a,secrets.namespaces[1].namespace=b";
    check(two, &[("Role", Some("a")), ("Role", Some("b"))]);
    check("secrets.allNamespaces=true", &[("ClusterRole", None)]);
}

#[test]
fn the_chart_holds_the_crd_and_the_images_of_its_own_version() {
    let rendered = helm(&["template", RELEASE]);
    let rendered = text(&rendered.stdout);
    assert!(rendered.contains("name: smspipelines.smspipeline.dev"), "{rendered}");
    for image in ["sms-operator", "sms-api", "sms-processor"] {
        assert!(rendered.contains(&format!("{image}:{}", env!("CARGO_PKG_VERSION"))), "{image} in {rendered}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_default_values_everything_in_the_chart_is_accepted_by_the_api_server() {
    let cluster = Cluster::namespace().await;
    let rendered = helm(&["template", RELEASE, "--namespace", &cluster.namespace]);
    let file = cluster.file("rendered.yaml", &text(&rendered.stdout));
    let accepted = cluster.kubectl(&["apply", "--dry-run=server", "-f", &file.display().to_string()]);
    for kind in ["customresourcedefinition", "clusterrole", "clusterrolebinding", "serviceaccount", "deployment"] {
        assert!(accepted.contains(kind), "{kind} in {accepted}");
    }
}

#[test]
fn a_value_that_the_chart_does_not_know_is_refused_by_its_name() {
    for (value, named) in [
        ("wathcNamespace=x", "wathcNamespace"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.operator.digest=sha256:abc", "digest"),
        ("tracing.otlpEndpoint=collector:4317", "otlpEndpoint"),
        ("resources.limits.memory=lots", "memory"),
        ("secrets.namespaces[0].names[0]=a", "namespace"),
        ("secrets.namespaces[0].namespace=a,secrets.namespaces[0].names[0]=a", "pipelines"),
        ("watchNamespace=a,secrets.namespaces[0].namespace=b", "watchNamespace is a"),
        ("watchNamespace=a,secrets.allNamespaces=true", "watchNamespace is a"),
        ("secrets.allNamespaces=true,secrets.namespaces[0].namespace=b", "either all namespaces"),
    ] {
        let refused = helm(&["template", RELEASE, "--set", value]);
        let error = text(&refused.stderr);
        assert!(!refused.status.success() && error.contains(named), "{error}");
    }
}

#[test]
fn the_dashboard_is_a_config_map_for_grafana_where_it_is_asked_for() {
    let rendered = |set: &str| text(&helm(&["template", RELEASE, "--set", set]).stdout);
    assert!(!rendered("replicas=1").contains("grafana_dashboard"));
    let shown = rendered("dashboard.install=true");
    let written = shown.lines().find_map(|line| line.trim().strip_prefix("smspipeline.json: "));
    let written: String = serde_json::from_str(written.expect("the dashboard")).expect("one text");
    let written: Value = serde_json::from_str(&written).expect("a dashboard");
    let file: Value =
        serde_json::from_str(include_str!("../../charts/sms-operator/files/dashboard.json")).expect("JSON");
    assert!(shown.contains("grafana_dashboard: \"1\"") && written == file, "{shown}");
}

#[test]
fn the_chart_is_clean() {
    let linted = helm(&["lint", "--strict"]);
    assert!(linted.status.success(), "{}{}", text(&linted.stdout), text(&linted.stderr));
}

/// A kubeconfig with a token of the ServiceAccount, as its pod would have it.
fn kubeconfig_of(cluster: &Cluster, account: &str) -> PathBuf {
    let token = cluster.kubectl(&["create", "token", account]);
    let admin = std::fs::read_to_string(&Environment::get().kubeconfig).expect("the kubeconfig is readable");
    let file = cluster.file("kubeconfig", &admin);
    let path = file.display().to_string();
    let token = format!("--token={}", token.trim());
    cluster.kubectl(&["config", "--kubeconfig", &path, "set-credentials", "operator", &token]);
    cluster.kubectl(&["config", "--kubeconfig", &path, "set-context", "--current", "--user=operator"]);
    file
}
