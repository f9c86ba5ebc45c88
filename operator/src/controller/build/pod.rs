//! What the pods of both workloads have in common.

use std::borrow::Cow;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec},
        core::v1::{
            Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, Lifecycle, LifecycleHandler,
            PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext,
            SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
        },
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};

use serde_json::{Map, Value};

use super::{
    kafka,
    metadata::{matching, metadata, selector},
    strategic_merge,
};
use crate::controller::validate::{PodOptions, ValidatedPipeline, Workload};

/// One port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the pod.
    pub name: &'static str,
    /// Its number in the container.
    pub number: i32,
}

/// Public HTTP.
pub const HTTP_PORT: Port = Port { name: "http", number: 8080 };
/// Delivery reports, from processors only.
pub const INTERNAL_PORT: Port = Port { name: "internal", number: 8081 };
/// Metrics and health, of every workload.
pub const METRICS_PORT: Port = Port { name: "metrics", number: 9090 };

/// How long Services may take to forget a pod that ends.
const SERVICES_FORGET_SECONDS: i64 = 5;

/// Where Secrets are mounted, each in a folder of its own.
const SECRETS: &str = "/etc/sms/secrets";

impl Port {
    /// The address to listen on, on every interface.
    pub(super) fn everywhere(self) -> String {
        format!("0.0.0.0:{}", self.number)
    }
}

/// What differs between the pods of the workloads.
pub(super) struct Pod {
    pub component: &'static str,
    pub name: String,
    pub workload: Workload,
    /// Commands that run to their end before the container starts.
    pub before: Vec<(&'static str, Vec<&'static str>)>,
    pub command: Vec<&'static str>,
    pub ports: Vec<Port>,
    pub environment: Vec<(&'static str, String)>,
    /// The Secrets to mount: what they are for, and their names.
    pub secrets: Vec<(Cow<'static, str>, String)>,
    pub termination_grace_seconds: i64,
}

/// The file that holds `key` of the Secret mounted for `purpose`. The purpose names the volume, because not every
/// name of a Secret can.
pub(super) fn secret_file(purpose: &str, key: &str) -> String {
    format!("{SECRETS}/{purpose}/{key}")
}

pub(super) fn environment(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

pub(super) fn deployment(pipeline: &ValidatedPipeline, pod: &Pod) -> Deployment {
    let options = &pod.workload.pods;
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(selector(&pipeline.name, pod.component)),
            annotations: (!options.annotations.is_empty()).then(|| options.annotations.clone()),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(pipeline, pod)),
    };
    Deployment {
        metadata: metadata(pipeline, &pod.name, pod.component),
        spec: Some(DeploymentSpec {
            replicas: Some(pod.workload.replicas.at_first()),
            selector: matching(&pipeline.name, pod.component),
            template: match &options.template {
                Some(patch) => patched(&template, patch),
                None => template,
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// The template with what the pipeline says of it itself. Both are proven to be pod templates, and so is what they make
/// together.
fn patched(template: &PodTemplateSpec, patch: &Map<String, Value>) -> PodTemplateSpec {
    let template = serde_json::to_value(template).expect("a pod template encodes");
    let template = template.as_object().cloned().unwrap_or_default();
    let merged = strategic_merge::merge(template, patch);
    serde_json::from_value(Value::Object(merged)).expect("a pod template and a checked patch make a pod template")
}

fn pod_spec(pipeline: &ValidatedPipeline, pod: &Pod) -> PodSpec {
    let options = &pod.workload.pods;
    let container = |name: &str, command: &[&str]| Container {
        name: name.to_owned(),
        image: Some(pod.workload.image.clone()),
        command: Some(command.iter().map(|&part| part.to_owned()).collect()),
        env: Some(variables(pipeline, pod)),
        volume_mounts: Some(pod.secrets.iter().map(|(purpose, _)| mount(purpose)).collect()),
        resources: Some(options.resources.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    };
    PodSpec {
        service_account_name: Some(options.service_account.clone().unwrap_or_else(|| pod.name.clone())),
        automount_service_account_token: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
            ..PodSecurityContext::default()
        }),
        init_containers: (!pod.before.is_empty())
            .then(|| pod.before.iter().map(|(name, command)| container(name, command)).collect()),
        containers: vec![Container {
            ports: Some(pod.ports.iter().map(|&port| container_port(port)).collect()),
            liveness_probe: Some(probe("/healthz", 10, 3)),
            readiness_probe: Some(probe("/readyz", 2, 2)),
            lifecycle: pod.ports.contains(&HTTP_PORT).then(leave_services_first),
            ..container(pod.component, &pod.command)
        }],
        volumes: Some(pod.secrets.iter().map(|(purpose, secret)| volume(purpose, secret)).collect()),
        termination_grace_period_seconds: Some(pod.termination_grace_seconds),
        node_selector: (!options.node_selector.is_empty()).then(|| options.node_selector.clone()),
        tolerations: (!options.tolerations.is_empty()).then(|| options.tolerations.clone()),
        affinity: options.affinity.clone(),
        topology_spread_constraints: Some(spread(options, &matching(&pipeline.name, pod.component))),
        ..PodSpec::default()
    }
}

/// Over hosts as evenly as can be, where the pipeline says nothing else; pods of another template do not count, because
/// they are about to end.
fn spread(options: &PodOptions, pods: &LabelSelector) -> Vec<TopologySpreadConstraint> {
    let Some(constraints) = &options.topology_spread_constraints else {
        return vec![TopologySpreadConstraint {
            topology_key: "kubernetes.io/hostname".to_owned(),
            max_skew: 1,
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(pods.clone()),
            match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
            ..TopologySpreadConstraint::default()
        }];
    };
    let of_these_pods = |constraint: &TopologySpreadConstraint| TopologySpreadConstraint {
        label_selector: Some(constraint.label_selector.clone().unwrap_or_else(|| pods.clone())),
        ..constraint.clone()
    };
    constraints.iter().map(of_these_pods).collect()
}

fn variables(pipeline: &ValidatedPipeline, pod: &Pod) -> Vec<EnvVar> {
    let mut variables: Vec<_> = pod.environment.iter().map(|(name, value)| environment(name, value)).collect();
    variables.extend(kafka::environment(pipeline).into_iter().map(|(name, value)| environment(name, value)));
    let topics = &pipeline.kafka.topics;
    for (name, topic) in [
        ("REQUESTS_TOPIC", &topics.requests),
        ("HIGH_PRIORITY_TOPIC", &topics.high_priority),
        ("LOW_PRIORITY_TOPIC", &topics.low_priority),
        ("DEAD_LETTER_TOPIC", &topics.dead_letter),
    ] {
        variables.push(environment(name, &topic.name));
    }
    variables.push(environment("METRICS_ADDRESS", METRICS_PORT.everywhere()));
    if let Some(endpoint) = &pipeline.otlp_endpoint {
        variables.push(environment("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint));
        variables.push(environment("TRACE_SAMPLE_PERCENT", pipeline.sample_percent.to_string()));
    }
    variables.extend(pod.workload.pods.environment.clone());
    variables
}

fn container_port(port: Port) -> ContainerPort {
    ContainerPort {
        name: Some(port.name.to_owned()),
        container_port: port.number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A pod that is asked to end is sent requests for some moments more, until every node has heard of it.
fn leave_services_first() -> Lifecycle {
    let sleep = SleepAction { seconds: SERVICES_FORGET_SECONDS };
    Lifecycle {
        pre_stop: Some(LifecycleHandler { sleep: Some(sleep), ..LifecycleHandler::default() }),
        ..Lifecycle::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(METRICS_PORT.name.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

fn volume(purpose: &str, secret: &str) -> Volume {
    Volume {
        name: purpose.to_owned(),
        secret: Some(SecretVolumeSource { secret_name: Some(secret.to_owned()), ..SecretVolumeSource::default() }),
        ..Volume::default()
    }
}

fn mount(purpose: &str) -> VolumeMount {
    VolumeMount {
        name: purpose.to_owned(),
        mount_path: format!("{SECRETS}/{purpose}"),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
