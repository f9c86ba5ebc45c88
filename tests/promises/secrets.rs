//! A Secret of a pipeline is followed, whatever the pipeline is at.

use std::time::{Duration, Instant};

use devstack::{Cache, ControlPlane, KubernetesBinaries, Silent};
use tests::{Cluster, Node, eventually};

use crate::{
    cluster::{Applied, LIMIT},
    objects::DRIFT,
};

/// How soon a changed Secret has to be found in the pods' template.
const FOLLOWED: Duration = Duration::from_secs(30);

async fn ready() -> (Applied, Node) {
    let applied = Applied::new().await;
    let node = Node::start(&applied.cluster);
    until_just_looked_at(&applied).await;
    (applied, node)
}

/// Waits until the pipeline is ready and was looked at just now, so that the next look by resync is not due in time.
async fn until_just_looked_at(applied: &Applied) {
    eventually("the pipeline is ready", LIMIT, async || (applied.condition("Ready")?.status == "True").then_some(()))
        .await;
    applied.reconciled_times(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_of_the_database_of_a_ready_pipeline_is_in_the_pods_template_within_thirty_seconds() {
    let (applied, _node) = ready().await;
    let template = |name| applied.cluster.kubectl(&["get", "deployment", name, "-o", "jsonpath={.spec.template}"]);
    let (api, processor) = (template("notifications-api"), template("notifications-processor"));

    rotate_password(&applied);

    let changed = Instant::now();
    eventually("the API gets another template", FOLLOWED, async || {
        (template("notifications-api") != api).then_some(())
    })
    .await;
    println!("the changed Secret was in the template after {:.1?}", changed.elapsed());
    assert_eq!(template("notifications-processor"), processor);
    let shown = applied.cluster.kubectl(&["get", "smsp,deployments,events", "-o", "yaml"]);
    assert!(!shown.contains("hunter") && !applied.operator.output().contains("hunter"), "no secret is shown");
}

fn rotate_password(applied: &Applied) {
    let rotated = r#"{"stringData":{"uri":"postgresql://sms:hunter3@127.0.0.1:1/sms"}}"#;
    applied.cluster.kubectl(&["patch", "secret", "notifications-db", "--type=merge", "-p", rotated]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_found_although_the_api_server_has_crashed_before() {
    let (cache, folder) = (Cache::of_this_machine().expect("a cache"), tempfile::tempdir().expect("a folder"));
    let binaries = KubernetesBinaries::install(&cache, &Silent).expect("Kubernetes");
    let mut control_plane = ControlPlane::start(&binaries, folder.path()).expect("it starts");
    let cluster = Cluster::on(&control_plane.kubeconfig()).await;
    cluster.install_crd();
    let applied = Applied::on(cluster);
    let _node = Node::start(&applied.cluster);
    until_just_looked_at(&applied).await;
    control_plane.kill_api_server();
    control_plane.restart_api_server().expect("the API server starts again");
    until_just_looked_at(&applied).await;

    let template =
        || applied.cluster.kubectl(&["get", "deployment", "notifications-api", "-o", "jsonpath={.spec.template}"]);
    let before = template();
    rotate_password(&applied);
    eventually("the API gets another template", FOLLOWED, async || (template() != before).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_api_keys_and_another_secret_of_the_provider_replace_the_pods_that_use_them_within_thirty_seconds() {
    let (applied, _node) = ready().await;
    let spec = r#"{"spec":{
        "api":{"authentication":{"anonymous":null,
            "apiKeysSecretRef":{"name":"notifications-api-keys","key":"keys.json"}}},
        "processor":{"provider":{"simulated":null,"http":{
            "url":"http://127.0.0.1:1/send","json":{"text":"{{ secrets.token }}"},
            "secrets":{"token":{"name":"notifications-provider","key":"token"}},
            "responses":[{"when":{"status":"200"},"outcome":"Delivered"}]}}}}}"#;
    let secrets = [("notifications-api-keys", r#"keys.json={"keys":[]}"#), ("notifications-provider", "token=hunter1")];
    for (name, literal) in secrets {
        applied.cluster.kubectl(&["create", "secret", "generic", name, &format!("--from-literal={literal}")]);
    }
    applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", spec]);
    let template = |name| applied.cluster.kubectl(&["get", "deployment", name, "-o", "jsonpath={.spec.template}"]);
    let both = || (template("notifications-api"), template("notifications-processor"));
    eventually("both use their Secrets", LIMIT, async || {
        let (api, processor) = both();
        (api.contains("notifications-api-keys") && processor.contains("notifications-provider")).then_some(())
    })
    .await;

    let before = both();
    let change = |name, data: &str| {
        applied.cluster.kubectl(&[
            "patch",
            "secret",
            name,
            "--type=merge",
            "-p",
            &format!(r#"{{"stringData":{data}}}"#),
        ])
    };
    change("notifications-api-keys", r#"{"keys.json":"{\"keys\": []}"}"#);
    eventually("the API gets another template", FOLLOWED, async || (both().0 != before.0).then_some(())).await;
    assert_eq!(both().1, before.1, "processors have no API keys");

    let before = both();
    change("notifications-provider", r#"{"token":"hunter2"}"#);
    eventually("processors get another template", FOLLOWED, async || (both().1 != before.1).then_some(())).await;
    assert_eq!(both().0, before.0, "the API has no secret of the provider");
    let shown = applied.cluster.kubectl(&["get", "smsp,deployments,events", "-o", "yaml"]);
    assert!(!shown.contains("hunter") && !applied.operator.output().contains("hunter"), "no secret is shown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_deleted_under_a_ready_pipeline_is_made_anew_within_ten_seconds() {
    let (applied, _node) = ready().await;
    let name = "notifications-internal";
    let token =
        || applied.cluster.kubectl(&["get", "secret", name, "--ignore-not-found", "-o", "jsonpath={.data.token}"]);
    let before = token();
    applied.cluster.kubectl(&["delete", "secret", name]);
    let after = eventually("there is another one", DRIFT, async || Some(token()).filter(|now| !now.is_empty())).await;
    assert_ne!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_deleted_under_a_ready_pipeline_is_told_within_thirty_seconds() {
    let (applied, _node) = ready().await;
    applied.cluster.kubectl(&["delete", "secret", "notifications-db"]);
    eventually("the condition tells", FOLLOWED, async || {
        (applied.condition("SecretsResolved")?.reason == "SecretNotFound").then_some(())
    })
    .await;
}
