//! What the pods of a workload are told, proven to be what Kubernetes understands.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Affinity, EnvVar, PodTemplateSpec, ResourceRequirements, Toleration, TopologySpreadConstraint},
    apimachinery::pkg::api::resource::Quantity,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Invalid;
use crate::{
    controller::build::{API_COMPONENT, MIGRATE_CONTAINER, PROCESSOR_COMPONENT, selector, strategic_merge},
    crd,
};

/// What the pods of one workload are told beside what the pipeline itself makes of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodOptions {
    /// What each container may use.
    pub resources: ResourceRequirements,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods.
    pub affinity: Option<Affinity>,
    /// How the pods spread, where the pipeline says so.
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Annotations of the pods.
    pub annotations: BTreeMap<String, String>,
    /// An existing ServiceAccount in place of one that is made.
    pub service_account: Option<String>,
    /// More environment variables.
    pub environment: Vec<EnvVar>,
    /// A strategic merge patch for the pod template.
    pub template: Option<Map<String, Value>>,
}

/// Every variable that the operator may set, on either workload.
const RESERVED: [&str; 41] = [
    "ANONYMOUS",
    "API_KEYS_FILE",
    "CONSUMER_GROUP",
    "DATABASE_URL_FILE",
    "DEAD_LETTER_TOPIC",
    "FOLLOWED_SECRETS_VERSION",
    "GROUP_PROTOCOL",
    "HIGH_PRIORITY_TOPIC",
    "HTTP_ADDRESS",
    "IDEMPOTENCY_RETENTION",
    "INTERNAL_ADDRESS",
    "INTERNAL_TOKEN_FILE",
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_CA_FILE",
    "KAFKA_CERTIFICATE_FILE",
    "KAFKA_KEY_FILE",
    "KAFKA_PASSWORD_FILE",
    "KAFKA_SASL_MECHANISM",
    "KAFKA_SECURITY_PROTOCOL",
    "KAFKA_USERNAME",
    "KAFKA_USERNAME_FILE",
    "LOW_PRIORITY_TOPIC",
    "MAX_IN_FLIGHT",
    "MAX_RETRIES",
    "MESSAGE_RETENTION",
    "METRICS_ADDRESS",
    "NUMBER_VALIDATION",
    "ON_UNKNOWN_OUTCOME",
    "ORDERING",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PROVIDER",
    "RATE_LIMIT_BURST",
    "RATE_LIMIT_REQUESTS_PER_SECOND",
    "REPORT_URL",
    "REQUESTS_TOPIC",
    "RETRY_DELAY",
    "RETRY_FAILED_EVERY",
    "RETRY_FAILED_MAX_ATTEMPTS",
    "SECRETS_VERSION",
    "SHUTDOWN_TIMEOUT",
    "TRACE_SAMPLE_PERCENT",
];

/// Units of quantities; bytes have none.
const UNITS: [&str; 14] = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Proves the options of `spec.<component>` usable.
pub(super) fn pod_options(spec: &crd::PodOptions, component: &'static str) -> Result<PodOptions, Invalid> {
    let refused = |field: &str, problem| Invalid::PodOption { field: format!("spec.{component}.{field}"), problem };
    for (number, variable) in spec.env.iter().enumerate() {
        if RESERVED.contains(&variable.name.as_str()) {
            let problem = format!("{} is set by the operator: take it out", variable.name);
            return Err(refused(&format!("env[{number}].name"), problem));
        }
    }
    for (field, quantities) in spec.resources.iter().flat_map(crd::Resources::fields) {
        for (name, quantity) in quantities {
            if !is_quantity(quantity) {
                let problem = "must be a number, with a unit where needed, as in 250m, 1 or 512Mi".to_owned();
                return Err(refused(&format!("resources.{field}.{name}"), problem));
            }
        }
    }
    let affinity = spec.affinity.clone().map(|affinity| read_strictly(Value::Object(affinity)));
    let template = spec.pod_template.as_ref().map(with_texts_for_quantities);
    if let Some(template) = &template {
        check_template(template, component).map_err(|problem| refused("podTemplate", problem))?;
    }
    Ok(PodOptions {
        resources: spec.resources.as_ref().map_or_else(|| default_resources(component), resources),
        node_selector: spec.node_selector.clone(),
        tolerations: spec.tolerations.clone(),
        affinity: affinity.transpose().map_err(|problem| refused("affinity", problem))?,
        topology_spread_constraints: spec.topology_spread_constraints.clone(),
        annotations: spec.pod_annotations.clone(),
        service_account: spec.service_account_name.clone(),
        environment: spec.env.clone(),
        template,
    })
}

/// Whether Kubernetes reads it as a quantity; the same as the schema's pattern, for who reads no schema.
fn is_quantity(Quantity(text): &Quantity) -> bool {
    let unit = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number =
        number.split_once('.').map_or_else(|| digits(number), |(whole, rest)| digits(whole) && digits(rest));
    is_number && UNITS.contains(&unit)
}

/// A processor's limits are those of ADR-007. One of CPU makes replicas alike, whatever else a node has to do, which is
/// what scaling counts on; the API has none, because requests would wait for it. Requests are small, so that a pipeline
/// fits into a cluster for trying out.
fn default_resources(component: &str) -> ResourceRequirements {
    let limits: &[_] =
        if component == PROCESSOR_COMPONENT { &[("cpu", "1"), ("memory", "1Gi")] } else { &[("memory", "1Gi")] };
    let quantities = |quantities: &[(&str, &str)]| {
        quantities.iter().map(|&(name, quantity)| (name.to_owned(), Quantity(quantity.to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "250m"), ("memory", "256Mi")])),
        limits: Some(quantities(limits)),
        ..ResourceRequirements::default()
    }
}

fn resources(spec: &crd::Resources) -> ResourceRequirements {
    let quantities = |quantities: &BTreeMap<String, Quantity>| (!quantities.is_empty()).then(|| quantities.clone());
    ResourceRequirements {
        requests: quantities(&spec.requests),
        limits: quantities(&spec.limits),
        ..ResourceRequirements::default()
    }
}

/// Proves that the patch leaves a pod template with our container and labels.
fn check_template(patch: &Map<String, Value>, component: &str) -> Result<(), String> {
    strategic_merge::check(patch)?;
    read_strictly::<PodTemplateSpec>(Value::Object(strategic_merge::stripped(patch)))?;
    let labels = selector("pipeline", component);
    let mut base = json!({ "metadata": { "labels": labels }, "spec": { "containers": [{ "name": component }] } });
    if component == API_COMPONENT {
        base["spec"]["initContainers"] = json!([{ "name": MIGRATE_CONTAINER }]);
    }
    let base = base.as_object().cloned().unwrap_or_default();
    let merged = Value::Object(strategic_merge::merge(base, patch));
    for label in labels.keys() {
        if merged["metadata"]["labels"][label] != labels[label].as_str() {
            return Err(format!("metadata.labels must leave {label} as it is: it tells whose pods they are"));
        }
    }
    let containers = |list: &str| merged["spec"][list].as_array().cloned().unwrap_or_default();
    if containers("containers").first().is_none_or(|container| container["name"] != component) {
        return Err(format!("spec.containers must keep the container {component:?}"));
    }
    for container in containers("containers").iter().chain(&containers("initContainers")) {
        let ours = container["name"] == component || container["name"] == MIGRATE_CONTAINER;
        if !ours && container["image"].as_str().is_none_or(str::is_empty) {
            return Err(format!("container {} has no image, and is none of the operator's", container["name"]));
        }
    }
    Ok(())
}

/// Reads what the schema leaves open; a field that Kubernetes does not know is refused by its place.
fn read_strictly<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string().replace(".?", "")));
    match (read, unknown.first()) {
        (Ok(read), None) => Ok(read),
        (Ok(_), Some(unknown)) => Err(format!("unknown field {unknown:?}")),
        (Err(error), _) => Err(format!("{}: {error}", track.path())),
    }
}

/// Kubernetes takes a number for a quantity too.
fn with_texts_for_quantities(template: &Map<String, Value>) -> Map<String, Value> {
    fn within(value: &Value) -> Value {
        match value {
            Value::Object(object) => Value::Object(with_texts_for_quantities(object)),
            Value::Array(items) => items.iter().map(within).collect(),
            other => other.clone(),
        }
    }
    let text = |quantity: &Value| if quantity.is_number() { quantity.to_string().into() } else { quantity.clone() };
    let each = |(field, value): (&String, &Value)| match (field.as_str(), value) {
        ("requests" | "limits", Value::Object(quantities)) => {
            (field.clone(), quantities.iter().map(|(name, quantity)| (name.clone(), text(quantity))).collect())
        }
        (_, value) => (field.clone(), within(value)),
    };
    template.iter().map(each).collect()
}

#[cfg(test)]
mod tests;
