//! Every kind of object that is made from a pipeline, in one table: what is applied, watched and pruned goes by it, and
//! the chart's role must allow it.

use kube::{
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde::Serialize;
use serde_json::Value;

/// One kind of object.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Its API group; empty for the core group.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its name.
    pub kind: &'static str,
    /// Its name in URLs and roles.
    pub plural: &'static str,
    /// Whether each cluster has it.
    pub origin: Origin,
    /// Whether a pipeline has such objects all its life.
    pub wanted: Wanted,
}

/// Whether each cluster has a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Kubernetes has it.
    Kubernetes,
    /// A CustomResourceDefinition that may be absent defines it.
    Extension,
}

/// Whether a pipeline has objects of a kind all its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// From its first reconcile to its end, when they go with it.
    Always,
    /// An edit can make that an object is no longer wanted; it is then deleted.
    Sometimes,
}

/// ServiceAccount.
pub const SERVICE_ACCOUNT: Kind = kubernetes("", "v1", "ServiceAccount", "serviceaccounts", Wanted::Always);
/// Secret. Followed with those that pipelines name, by `secrets`, and not by kind.
pub const SECRET: Kind = kubernetes("", "v1", "Secret", "secrets", Wanted::Always);
/// Service.
pub const SERVICE: Kind = kubernetes("", "v1", "Service", "services", Wanted::Always);
/// NetworkPolicy.
pub const NETWORK_POLICY: Kind =
    kubernetes("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", Wanted::Always);
/// Deployment.
pub const DEPLOYMENT: Kind = kubernetes("apps", "v1", "Deployment", "deployments", Wanted::Always);
/// PodDisruptionBudget.
pub const DISRUPTION_BUDGET: Kind =
    kubernetes("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", Wanted::Always);
/// HorizontalPodAutoscaler.
pub const AUTOSCALER: Kind =
    kubernetes("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", Wanted::Sometimes);
/// Ingress.
pub const INGRESS: Kind = kubernetes("networking.k8s.io", "v1", "Ingress", "ingresses", Wanted::Sometimes);
/// HTTPRoute of the Gateway API.
pub const HTTP_ROUTE: Kind = extension("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", Wanted::Sometimes);
/// PodMonitor of the Prometheus operator.
pub const POD_MONITOR: Kind = extension("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", Wanted::Always);
/// PrometheusRule of the Prometheus operator.
pub const PROMETHEUS_RULE: Kind =
    extension("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules", Wanted::Always);

/// Every kind.
pub const ALL: [&Kind; 11] = [
    &SERVICE_ACCOUNT,
    &SECRET,
    &SERVICE,
    &NETWORK_POLICY,
    &DEPLOYMENT,
    &DISRUPTION_BUDGET,
    &AUTOSCALER,
    &INGRESS,
    &HTTP_ROUTE,
    &POD_MONITOR,
    &PROMETHEUS_RULE,
];

const fn kubernetes(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    wanted: Wanted,
) -> Kind {
    Kind { group, version, kind, plural, origin: Origin::Kubernetes, wanted }
}

const fn extension(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    wanted: Wanted,
) -> Kind {
    Kind { group, version, kind, plural, origin: Origin::Extension, wanted }
}

impl Kind {
    /// How the API server is asked for it.
    pub fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, self.version, self.kind), self.plural)
    }

    /// The group and version as objects name them.
    pub fn api_version(&self) -> String {
        self.resource().api_version
    }
}

/// One object that should exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub kind: &'static Kind,
    /// The object itself.
    pub content: DynamicObject,
    /// Who says how many replicas it has, for a workload.
    pub scaled_by: ScaledBy,
}

/// Who says how many replicas a workload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaledBy {
    /// The pipeline, always.
    Pipeline,
    /// The pipeline at first, and then an autoscaler.
    Autoscaler,
}

impl Object {
    /// The object of kind `kind` that `content` describes.
    pub fn new(kind: &'static Kind, content: &impl Serialize) -> Self {
        let content = serde_json::to_value(content).expect("a Kubernetes object encodes");
        let content: DynamicObject = serde_json::from_value(content).expect("a Kubernetes object has metadata");
        Self { kind, content, scaled_by: ScaledBy::Pipeline }
    }

    /// The object of kind `kind` with this metadata and `spec`.
    pub fn with_spec(kind: &'static Kind, metadata: &impl Serialize, spec: &Value) -> Self {
        let (api_version, name) = (kind.api_version(), kind.kind);
        Self::new(
            kind,
            &serde_json::json!({ "apiVersion": api_version, "kind": name, "metadata": metadata, "spec": spec }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = include_str!("../../../charts/sms-operator/templates/rbac.yaml");
    const NARROWED: &str = include_str!("../../../charts/sms-operator/templates/rbac-secrets.yaml");

    /// The verbs that the chart's role grants for a kind.
    fn verbs(kind: &Kind) -> Vec<&'static str> {
        let role = ROLE;
        let group = format!("apiGroups: [{}]", if kind.group.is_empty() { "\"\"" } else { kind.group });
        let list = |line: &'static str| {
            let items = line.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(items, _)| items);
            items.unwrap_or_default().split(", ").collect::<Vec<_>>()
        };
        let rules = role.split("  - ").filter(|rule| rule.starts_with(&group));
        let mut rules = rules.filter_map(|rule| {
            let mut lines = rule.lines().skip(1);
            list(lines.next()?).contains(&kind.plural).then(|| lines.next().map(list))?
        });
        rules.next().unwrap_or_default()
    }

    #[test]
    fn narrowed_rights_on_secrets_are_no_others_than_the_wide_ones() {
        let verbs = NARROWED.lines().filter_map(|line| line.trim().strip_prefix("verbs: "));
        let wide = format!("[{}]", self::verbs(&SECRET).join(", "));
        assert_eq!(verbs.collect::<Vec<_>>(), ["[get, list, watch]", &wide, &wide]);
    }

    #[test]
    fn the_chart_grants_for_each_kind_what_is_done_with_it_and_nothing_else() {
        for kind in ALL {
            let expected: &[_] = match kind.wanted {
                Wanted::Always => &["get", "list", "watch", "create", "patch"],
                Wanted::Sometimes => &["get", "list", "watch", "create", "patch", "delete"],
            };
            assert_eq!(verbs(kind), expected, "{}", kind.plural);
        }
    }
}
