use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An Ingress that leads to the HTTP API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Host name, such as `sms.example.com`.
    #[x_kube(validation = Rule::new("self.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("host must be a host name in lower case, such as sms.example.com"))]
    #[schemars(length(max = 253))]
    pub host: String,
    /// Name of the IngressClass; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub class_name: Option<String>,
    /// Name of the Secret with the certificate for the host; without one there is no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub tls_secret_name: Option<String>,
    /// Annotations of the Ingress, which controllers read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An HTTPRoute of the Gateway API that leads to the HTTP API. It is made where the cluster has that kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// The Gateways that the route is attached to.
    #[x_kube(validation = Rule::new("size(self) >= 1").message("parentRefs must name at least one Gateway"))]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// Host names of requests; those of the Gateways when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hostnames: Vec<String>,
}

/// One Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its name.
    #[x_kube(validation = Rule::new("size(self) >= 1 && size(self) <= 253").message("name must have 1 to 253 characters"))]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its namespace; that of the pipeline when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 63))]
    pub namespace: Option<String>,
    /// Its listener; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", length(max = 253))]
    pub section_name: Option<String>,
}
