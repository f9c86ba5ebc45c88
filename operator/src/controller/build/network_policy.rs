use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{
    metadata::{API_COMPONENT, PROCESSOR_COMPONENT, matching, metadata},
    pod::{HTTP_PORT, INTERNAL_PORT, METRICS_PORT, Port},
};
use crate::controller::validate::ValidatedPipeline;

/// Who may reach the pods: everybody the public port, the processors of this pipeline the internal one, and whoever is in
/// the cluster the metrics. Where the pods themselves may go is not restricted, because only the user knows where the
/// database, the brokers and the provider are.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<NetworkPolicy> {
    let processors = NetworkPolicyPeer {
        pod_selector: Some(matching(&pipeline.name, PROCESSOR_COMPONENT)),
        ..NetworkPolicyPeer::default()
    };
    let in_the_cluster =
        NetworkPolicyPeer { namespace_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() };
    let metrics = allowed(METRICS_PORT, Some(in_the_cluster));
    vec![
        policy(
            pipeline,
            &pipeline.names.api,
            API_COMPONENT,
            vec![allowed(HTTP_PORT, None), allowed(INTERNAL_PORT, Some(processors)), metrics.clone()],
        ),
        policy(pipeline, &pipeline.names.processor, PROCESSOR_COMPONENT, vec![metrics]),
    ]
}

fn policy(
    pipeline: &ValidatedPipeline,
    name: &str,
    component: &str,
    ingress: Vec<NetworkPolicyIngressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata(pipeline, name, component),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(matching(&pipeline.name, component)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// Lets `from` reach a port; everybody when there is none.
fn allowed(port: Port, from: Option<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: from.map(|from| vec![from]),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::String(port.name.to_owned())),
            protocol: Some("TCP".to_owned()),
            ..NetworkPolicyPort::default()
        }]),
    }
}
