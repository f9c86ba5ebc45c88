use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvVar, Toleration, TopologySpreadConstraint},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the pods of a workload are told beside what the pipeline itself makes of them. The same for both workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodOptions {
    /// What each container may use, in place of the default. A processor has at most 1 CPU and 1Gi, so that each of them
    /// does about as much as any other; the API has no limit of CPU, because requests would wait for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Resources")]
    pub resources: Option<Resources>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Affinity of the pods, as in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub affinity: Option<Map<String, Value>>,
    /// How the pods spread; when absent, over hosts as evenly as can be, and `[]` for not at all. One without a
    /// labelSelector counts the pods of the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "constraints")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_annotations: BTreeMap<String, String>,
    /// ServiceAccount that the pods use; when absent, one is made that may do nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')").message("serviceAccountName must have characters of a-z, 0-9, '-' and '.', the first and the last a letter or digit"))]
    #[schemars(with = "String", length(max = 253))]
    pub service_account_name: Option<String>,
    /// More environment variables. What the operator itself sets cannot be set here. On one machine, without a cluster,
    /// those with `valueFrom` are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// Anything else: a strategic merge patch for the pod template, applied last. The containers are called `api`,
    /// `migrate` and `processor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: Option<Map<String, Value>>,
}

/// What one container may use.
// A number may be of any size: the schema lets each through, and one pipeline that cannot be read would keep the operator
// from seeing all others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What a node must have free, such as `{ cpu: 250m, memory: 256Mi }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub requests: BTreeMap<String, Quantity>,
    /// What it cannot exceed, such as `{ memory: 1Gi }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Resources {
    /// Both fields by their names.
    pub fn fields(&self) -> [(&'static str, &BTreeMap<String, Quantity>); 2] {
        [("requests", &self.requests), ("limits", &self.limits)]
    }
}

/// A number, with a unit where needed. A rule of CEL would cost more than the API server allows, because it cannot know how
/// long such a value is at most.
const QUANTITY: &str = "^[0-9]+([.][0-9]+)?([mkMGTPE]|[KMGTPE]i)?$";

fn quantities(_: &mut SchemaGenerator) -> Schema {
    let quantity = json_schema!({ "x-kubernetes-int-or-string": true, "pattern": QUANTITY });
    json_schema!({ "type": "object", "additionalProperties": quantity })
}

/// As Kubernetes has it, with the bounds of its numbers: what does not fit into 32 bits could not be read, and one pipeline
/// that cannot be read would keep the operator from seeing all others.
fn constraints(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<TopologySpreadConstraint>>();
    for field in ["maxSkew", "minDomains"] {
        if let Some(field) = schema.pointer_mut(&format!("/items/properties/{field}")).and_then(Value::as_object_mut) {
            field.extend([("minimum".to_owned(), 1.into()), ("maximum".to_owned(), i32::MAX.into())]);
        }
    }
    schema
}

/// The schema of these would be larger than that of all else; `controller/validate.rs` reads them strictly.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
