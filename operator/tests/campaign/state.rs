//! How everything is, without what differs from one trial to the next and without what others than the operator write.

use std::collections::BTreeMap;

use kafka::{Admin, Configurable};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
};
use serde_json::{Value, json};
use sms_operator::{
    controller::{
        apply::FIELD_MANAGER,
        build::pipeline_selector,
        kinds::{self, Kind},
        topics::owners::OWNERS_TOPIC,
    },
    crd::SmsPipeline,
};

pub const TOPICS: [&str; 4] = [".requests", ".high-priority", ".low-priority", "-requests-dlq"];

/// Where a trial looks.
pub struct Place<'a> {
    pub client: &'a Client,
    pub admin: &'a Admin,
    pub namespace: &'a str,
    /// The names of its pipelines; that of the first is the prefix of the topics.
    pub pipelines: &'a [String],
}

/// Everything, in an order of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub pipelines: BTreeMap<String, Value>,
    pub objects: BTreeMap<String, Value>,
    pub topics: BTreeMap<String, Value>,
    /// The names of those who claim the prefix.
    pub claims: Vec<String>,
    /// What tells one thing from another in its place, which is not compared itself.
    identities: BTreeMap<String, String>,
}

impl State {
    pub async fn look(place: &Place<'_>) -> Self {
        let mut state = Self::default();
        for name in place.pipelines {
            let api = Api::<SmsPipeline>::namespaced(place.client.clone(), place.namespace);
            let Some(pipeline) = api.get_opt(name).await.expect("the API server answers") else { continue };
            let uid = pipeline.uid().unwrap_or_default();
            state.add_objects(place, name, &uid).await;
            state.identities.insert(name.clone(), uid);
            state.pipelines.insert(name.clone(), of_pipeline(&pipeline));
        }
        state.add_topics(place).await;
        state.claims = claims(place).await;
        state
    }

    async fn add_objects(&mut self, place: &Place<'_>, pipeline: &str, uid: &str) {
        for kind in kinds::ALL {
            for object in list(place.client, place.namespace, kind, pipeline).await {
                if object.owner_references().iter().any(|owner| owner.uid == uid) {
                    let name = format!("{} {}", kind.kind, object.name_any());
                    self.identities.insert(name.clone(), object.uid().unwrap_or_default());
                    let (content, drawn) = content(kind, &object);
                    self.identities.extend(drawn.map(|drawn| (format!("secret of {name}"), drawn)));
                    self.objects.insert(name, content);
                }
            }
        }
    }

    async fn add_topics(&mut self, place: &Place<'_>) {
        let names = TOPICS.map(|topic| format!("{}{topic}", place.pipelines[0]));
        let described = place.admin.describe_topics(names.to_vec()).await.expect("Kafka answers");
        for (name, topic) in described {
            let settings = place.admin.describe_configs(vec![Configurable::Topic(name.clone())]).await;
            let retention = settings.ok().and_then(|mut found| found.pop()?.remove("retention.ms"));
            self.identities.insert(name.clone(), topic.topic_id);
            self.topics.insert(name, json!({ "partitions": topic.partitions, "retention": retention }));
        }
    }

    /// What is not as it was `before`, of what could be replaced by another one that looks alike.
    pub fn replaced_since(&self, before: &Self) -> Vec<String> {
        let kept = |name: &String| before.identities.get(name).zip(self.identities.get(name));
        let names = before.identities.keys().filter(|name| kept(name).is_some_and(|(before, now)| before != now));
        names.cloned().collect()
    }

    /// As text, which two trials with the same outcome have alike.
    pub fn text(&self, before: &Self) -> String {
        let everything = json!({
            "pipelines": self.pipelines,
            "objects": self.objects,
            "topics": self.topics,
            "claims": self.claims,
            "replaced": self.replaced_since(before),
        });
        format!("{everything:#}")
    }
}

/// The objects of a kind that bear the labels of a pipeline.
pub async fn list(client: &Client, namespace: &str, kind: &Kind, pipeline: &str) -> Vec<DynamicObject> {
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource());
    match api.list(&ListParams::default().labels(&pipeline_selector(pipeline))).await {
        Ok(listed) => listed.items,
        // The cluster does not have it.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => panic!("the API server does not list {}: {error}", kind.kind),
    }
}

fn of_pipeline(pipeline: &SmsPipeline) -> Value {
    let status = pipeline.status.clone().unwrap_or_default();
    let conditions: BTreeMap<_, _> = status
        .conditions
        .iter()
        .map(|condition| (condition.type_.as_str(), json!([condition.status, condition.reason])))
        .collect();
    let topics: BTreeMap<_, _> = status.topics.iter().map(|topic| (&topic.name, topic.partitions)).collect();
    json!({
        "finalizers": pipeline.finalizers(),
        "conditions": conditions,
        "topics": topics,
        "observedGeneration": status.observed_generation,
        "selector": status.selector,
    })
}

/// What was made, and what of it follows a secret.
fn content(kind: &Kind, object: &DynamicObject) -> (Value, Option<String>) {
    let (mut spec, data) = (object.data["spec"].clone(), &object.data["data"]);
    let is_autoscaled = *kind == kinds::DEPLOYMENT && !holds(object, "f:replicas");
    let foreign = ["/clusterIP", "/clusterIPs"].into_iter().chain(is_autoscaled.then_some("/replicas"));
    for pointer in foreign {
        spec.pointer_mut(pointer).map(Value::take);
    }
    let mut drawn = (!data.is_null()).then(|| data.to_string());
    for containers in ["containers", "initContainers"] {
        let variables = spec.pointer_mut(&format!("/template/spec/{containers}/0/env")).and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten().filter(|variable| variable["name"] == "SECRETS_VERSION") {
            drawn = Some(variable["value"].take().to_string());
        }
    }
    let keys = data.as_object().map(|data| data.keys().cloned().collect::<Vec<_>>());
    let owners: Vec<_> = object.owner_references().iter().map(|owner| json!([owner.kind, owner.name])).collect();
    let content = json!({ "labels": object.labels(), "owners": owners, "spec": spec, "keys": keys });
    (content, drawn)
}

/// Whether the operator has applied a field of the spec.
fn holds(object: &DynamicObject, field: &str) -> bool {
    let entries = object.managed_fields().iter().filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    let mut fields = entries.filter_map(|entry| entry.fields_v1.as_ref());
    fields.any(|fields| fields.0["f:spec"].get(field).is_some())
}

async fn claims(place: &Place<'_>) -> Vec<String> {
    let found = place.admin.describe_topics(vec![OWNERS_TOPIC.to_owned()]).await.expect("Kafka answers");
    if found.is_empty() {
        return Vec::new();
    }
    let entries = place.admin.read_log(OWNERS_TOPIC).await.expect("Kafka answers");
    let prefix = format!("{}/", place.pipelines[0]);
    let standing = entries.into_iter().filter(|entry| entry.key.starts_with(&prefix));
    let claimant = |value: String| Some(serde_json::from_str::<Value>(&value).ok()?["name"].as_str()?.to_owned());
    standing.filter_map(|entry| claimant(entry.value?)).collect()
}
