//! Every change of every field of the CRD on a real API server and with the operator itself: what is refused, by whom and
//! with which words, and that a change which is taken back leaves nothing behind. The operator's own test of the same
//! name tries the same changes without a cluster.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    time::Duration,
};

use futures::{StreamExt, stream};
use kube::{
    Api, Resource as _,
    api::{DynamicObject, PostParams},
    core::{GroupVersionKind, Request},
    discovery::ApiResource,
};
use mutation::{Change, Mutations, Resource};
use serde_json::{Value, json};
use tests::{Cluster, Environment, eventually};

use crate::{
    cluster::{Applied, LIMIT},
    objects::autoscaled,
    rules::{Row, examples},
};

/// How many questions are put to the API server at once.
const AT_ONCE: usize = 16;

/// How many changes are carried out and taken back by the operator.
const CARRIED_OUT: usize = 12;

/// The schema that the API server has of the CRD.
fn schema(cluster: &Cluster) -> Value {
    let printed = cluster.kubectl(&["get", "crd", "smspipelines.smspipeline.dev", "-o", "json"]);
    let crd: Value = serde_json::from_str(&printed).expect("kubectl prints JSON");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("smspipeline.dev", "v1alpha1", "SmsPipeline"))
}

/// Asks the API server whether it would take a new pipeline, as strictly as kubectl does; gives its words when not.
async fn would_take(cluster: &Cluster, object: &Value) -> Result<(), String> {
    let path = DynamicObject::url_path(&resource(), Some(&cluster.namespace));
    let body = serde_json::to_vec(object).expect("an object encodes");
    let mut request = Request::new(path).create(&PostParams::default(), body).expect("a request");
    let uri = format!("{}dryRun=All&fieldValidation=Strict", request.uri());
    *request.uri_mut() = uri.parse().expect("a URI");
    match cluster.client.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => panic!("the API server does not answer: {error}"),
    }
}

/// What `sms-operator validate` says of each of many pipelines, by their names; nothing of those that are valid.
fn told_without_a_cluster(cluster: &Cluster, pipelines: &[Value]) -> BTreeMap<String, Vec<String>> {
    let documents: Vec<_> = pipelines.iter().map(Value::to_string).collect();
    let documents = documents.join("\n---\n");
    let file = cluster.file("pipelines.yaml", &documents);
    let mut command = Command::new(Environment::get().bin_dir.join("sms-operator"));
    let output = command.args(["validate", "-f"]).arg(&file).output().expect("sms-operator starts");
    let printed = String::from_utf8(output.stdout).expect("it prints text");
    let (mut told, mut valid) = (BTreeMap::<String, Vec<String>>::new(), 0);
    for line in printed.lines() {
        let line = line.strip_prefix(&format!("{}: ", file.display())).expect("a line begins with the file");
        if line.starts_with("SmsPipeline ") {
            valid += 1;
            continue;
        }
        let (name, sentence) = line.split_once(": ").expect("a line names its pipeline");
        told.entry(name.to_owned()).or_default().push(sentence.to_owned());
    }
    assert_eq!(told.len() + valid, pipelines.len(), "{}", String::from_utf8_lossy(&output.stderr));
    told
}

/// Whether a sentence told without a cluster names the same field as the words of an API server, or has the same words. A
/// value of a map is named in another way by an API server's rules than by its schema.
fn are_alike(sentence: &str, words: &str) -> bool {
    let (field, message) = sentence.split_once(": ").unwrap_or((sentence, sentence));
    words.contains(field) || words.contains(message)
}

/// Every Secret that an example names.
fn create_secrets(cluster: &Cluster) {
    let literal = |name: &str, literals: &[&str]| {
        let literals: Vec<_> = literals.iter().map(|literal| format!("--from-literal={literal}")).collect();
        let arguments = ["create", "secret", "generic", name].into_iter().chain(literals.iter().map(String::as_str));
        cluster.kubectl(&arguments.collect::<Vec<_>>());
    };
    literal("notifications-db", &["uri=postgresql://sms:hunter2@127.0.0.1:1/sms"]);
    literal("notifications-api-keys", &[r#"keys.json={"keys":[]}"#]);
    literal("twilio", &["accountSid=a", "authToken=b"]);
    literal("vonage", &["apiKey=a", "apiSecret=b"]);
    literal("kafka-cluster-ca-cert", &["ca.crt=-----BEGIN CERTIFICATE-----"]);
    literal("notifications-kafka", &["password=hunter2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_field_is_refused_alike_by_an_api_server_and_without_one_or_by_the_operator_in_its_status() {
    let cluster = Cluster::namespace().await;
    let examples = examples(&cluster);
    let accepted = Row::all().into_iter().flat_map(|row| row.accepted(&examples));
    let named = examples.iter().map(|(name, object)| Resource { name: name.clone(), object: object.clone() });
    let accepted = accepted.map(|object| Resource { name: "a rule".to_owned(), object });
    let mutations = Mutations::of(&schema(&cluster), named.chain(accepted).collect::<Vec<_>>());
    let pipeline = |(number, change): (usize, &Change)| {
        let mut pipeline = mutations.changed(change);
        pipeline["metadata"]["name"] = format!("change-{number}").into();
        pipeline
    };
    let pipelines: Vec<_> = mutations.changes.iter().enumerate().map(pipeline).collect();
    let answers = stream::iter(&pipelines).map(|pipeline| would_take(&cluster, pipeline)).buffered(AT_ONCE);
    let answers: Vec<_> = answers.collect().await;
    let told = told_without_a_cluster(&cluster, &pipelines);

    let (mut diverging, mut by_the_operator, mut refused) = (Vec::new(), Vec::new(), 0);
    for ((pipeline, change), answer) in pipelines.iter().zip(&mutations.changes).zip(&answers) {
        let name = pipeline["metadata"]["name"].as_str().expect("a name");
        match (answer, told.get(name)) {
            (Ok(()), None) => {}
            (Ok(()), Some(sentences)) => by_the_operator.push((name, pipeline, sentences)),
            (Err(words), Some(sentences)) if sentences.iter().any(|sentence| are_alike(sentence, words)) => {
                refused += 1;
            }
            (Err(words), sentences) => diverging.push(format!("{change}: {words} / {sentences:?}")),
        }
    }
    println!(
        "{} changes: {refused} refused by the API server and without one, {} by the operator, {} diverging",
        pipelines.len(),
        by_the_operator.len(),
        diverging.len()
    );
    assert!(diverging.is_empty(), "{}", diverging.join("\n"));

    create_secrets(&cluster);
    let operator = cluster.operator();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": by_the_operator.iter().map(|(_, pipeline, _)| pipeline).collect::<Vec<_>>() });
    let file = cluster.file("refused.json", &list.to_string());
    cluster.kubectl(&["create", "-f", &file.display().to_string()]);
    eventually("the status of each tells what was told without a cluster", Cluster::PATIENCE, async || {
        let found: Value = serde_json::from_str(&cluster.kubectl(&["get", "smsp", "-o", "json"])).ok()?;
        let messages: BTreeSet<_> = found["items"].as_array()?.iter().flat_map(messages).collect();
        let is_told = |(name, _, sentences): &(&str, &Value, &Vec<String>)| {
            sentences.iter().all(|sentence| messages.contains(&((*name).to_owned(), sentence.clone())))
        };
        by_the_operator.iter().all(is_told).then_some(())
    })
    .await;
    let made = cluster.all_versions().await;
    assert!(made.keys().all(|name| !name.contains("change-")), "nothing is made of what is refused: {made:?}");
    drop(operator);
}

/// The name of a pipeline with each message that its conditions tell.
fn messages(pipeline: &Value) -> Vec<(String, String)> {
    let conditions = pipeline["status"]["conditions"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    conditions.map(|condition| (text(&pipeline["metadata"]["name"]), text(&condition["message"]))).collect()
}

/// What the operator said of all that it made, without what others write.
fn made(cluster: &Cluster) -> BTreeMap<String, Value> {
    let kinds = "serviceaccount,service,networkpolicy,deployment,poddisruptionbudget,horizontalpodautoscaler,ingress,\
                 httproute,podmonitor,prometheusrule";
    let selector = "app.kubernetes.io/managed-by=sms-operator";
    let printed = cluster.kubectl(&["get", kinds, "-l", selector, "-o", "json"]);
    let mut list: Value = serde_json::from_str(&printed).expect("kubectl prints JSON");
    let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let as_made = |mut object: Value| {
        let (kind, metadata) = (object["kind"].as_str().unwrap_or_default().to_owned(), object["metadata"].take());
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let mut annotations = metadata["annotations"].clone();
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        if kind == "Deployment" && name.ends_with("-api") {
            // The autoscaler's.
            object["spec"]["replicas"].take();
        }
        let owner = &metadata["ownerReferences"][0]["uid"];
        let without_empty = annotations.as_object().filter(|annotations| !annotations.is_empty());
        (format!("{kind}/{name}"), json!([metadata["labels"], owner, without_empty, object["spec"]]))
    };
    items.into_iter().map(as_made).collect()
}

/// Partitions and settings of the topics.
async fn topics(applied: &Applied) -> String {
    let settings = kafka::Settings::plaintext(&Environment::get().kafka);
    let admin = kafka::Admin::new(&settings, "tests").expect("a client");
    let names = [".requests", ".high-priority", ".low-priority", "-requests-dlq"];
    let names: Vec<_> = names.iter().map(|topic| format!("{}{topic}", applied.prefix)).collect();
    let described = admin.describe_topics(names.clone()).await.expect("Kafka answers");
    let configs = names.into_iter().map(kafka::Configurable::Topic).collect();
    format!("{described:?} {:?}", admin.describe_configs(configs).await.expect("Kafka answers"))
}

/// Puts `spec` in place of the pipeline's, if the API server takes it; gives the pipeline when the operator has seen it.
async fn replace(applied: &Applied, spec: &Value) -> Option<Value> {
    let cluster = &applied.cluster;
    let api = Api::<DynamicObject>::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource());
    let replaced = loop {
        let mut live = api.get("notifications").await.expect("the pipeline exists");
        live.data["spec"] = spec.clone();
        match api.replace("notifications", &PostParams::default(), &live).await {
            Ok(replaced) => break replaced,
            // The status was written meanwhile.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(kube::Error::Api(status)) if status.code == 422 => return None,
            Err(error) => panic!("the API server does not answer: {error}"),
        }
    };
    let generation = replaced.metadata.generation;
    let seen = eventually("the operator has seen it", LIMIT, async || {
        let live = api.get("notifications").await.expect("the pipeline exists");
        (live.data["status"]["observedGeneration"].as_i64() >= generation).then_some(live.data)
    });
    Some(seen.await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_taken_back_leaves_every_object_and_topic_as_it_was() {
    let (applied, _) = autoscaled().await;
    let cluster = &applied.cluster;
    let printed = cluster.kubectl(&["get", "smsp", "notifications", "-o", "json"]);
    let live: Value = serde_json::from_str(&printed).expect("kubectl prints JSON");
    let object = json!({ "apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": { "name": "tried" }, "spec": live["spec"] });
    let mutations = Mutations::of(&schema(cluster), [Resource { name: "autoscaled".to_owned(), object }]);
    // One for each field, the first that an API server takes.
    let mut chosen: Vec<&Change> = Vec::new();
    for change in mutations.changes.iter().filter(|change| change.resource == 0) {
        let is_new = chosen.last().is_none_or(|last| last.field != change.field);
        let changed = mutations.changed(change);
        if is_new && changed["spec"] != live["spec"] && would_take(cluster, &changed).await.is_ok() {
            chosen.push(change);
        }
    }
    let before = (made(cluster), topics(&applied).await);
    let (mut visible, mut refused, mut not_taken) = (0, 0, 0);
    for change in chosen.iter().step_by(chosen.len().div_ceil(CARRIED_OUT)) {
        let Some(seen) = replace(&applied, &mutations.changed(change)["spec"]).await else {
            not_taken += 1;
            continue;
        };
        let conditions = seen["status"]["conditions"].as_array().expect("conditions").iter();
        let is_refused =
            conditions.into_iter().any(|found| found["type"] == "SecretsResolved" && found["status"] != "True");
        let changed = (made(cluster), topics(&applied).await) != before;
        assert!(!(is_refused && changed), "{change} is refused and changes what runs");
        visible += u32::from(changed);
        refused += u32::from(is_refused);
        replace(&applied, &live["spec"]).await.expect("it was there before");
        eventually(&format!("everything is as it was before {change}"), Duration::from_secs(10), async || {
            (made(cluster) == before.0 && topics(&applied).await == before.1).then_some(())
        })
        .await;
    }
    println!("{visible} visible, {refused} refused by the operator, {not_taken} refused as an edit, all taken back");
    assert!(visible > 5, "{visible} visible, {refused} refused");
}
