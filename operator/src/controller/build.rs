//! Step 3 of reconcile: which objects should exist. Pure.
//!
//! Takes only a [`ValidatedPipeline`], so it cannot fail and needs no cluster. To add a kind: one file here,
//! one field and one line in [`Desired`], one row in `kinds`, one rule in the chart's role.

mod api;
mod autoscaler;
mod disruption_budget;
#[cfg(test)]
mod golden;
mod http_route;
mod ingress;
mod kafka;
mod metadata;
mod network_policy;
mod pod;
mod pod_monitor;
mod processor;
mod prometheus_rule;
mod provider;
mod secret;
mod secrets_version;
mod service;
mod service_account;
pub(crate) mod strategic_merge;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Secret, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};

use crate::controller::{
    kinds::{self, Object, ScaledBy},
    validate::ValidatedPipeline,
};

pub(super) use api::MIGRATE_CONTAINER;
pub(super) use metadata::selector;
pub use metadata::{
    API_COMPONENT, COMPONENT_LABEL, MANAGED_SELECTOR, PROCESSOR_COMPONENT, pipeline_selector, pods_selector,
    processor_selector,
};
pub use pod::{HTTP_PORT, INTERNAL_PORT, METRICS_PORT};
pub(super) use secret::build as internal_secret;
pub use secrets_version::FOLLOWED as FOLLOWED_SECRETS_VERSION;

/// Every object that should exist for one pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Identities of the workloads that have none.
    pub service_accounts: Vec<ServiceAccount>,
    /// The tokens of internal calls.
    pub internal_secret: Secret,
    /// Addresses of the API.
    pub services: Vec<Service>,
    /// Who may reach the pods.
    pub network_policies: Vec<NetworkPolicy>,
    /// The HTTP API.
    pub api: Deployment,
    /// The fleet of processors.
    pub processor: Deployment,
    /// How many pods may be away.
    pub disruption_budgets: Vec<PodDisruptionBudget>,
    /// Says how many APIs run, where the pipeline does not.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// Leads to the API from outside.
    pub ingress: Option<Ingress>,
    /// What not every cluster can have.
    pub extensions: Vec<Object>,
}

/// Every object that should exist for `pipeline`.
pub fn build(pipeline: &ValidatedPipeline) -> Desired {
    Desired {
        service_accounts: service_account::build(pipeline),
        internal_secret: secret::build(pipeline),
        services: service::build(pipeline),
        network_policies: network_policy::build(pipeline),
        api: api::build(pipeline),
        processor: processor::build(pipeline),
        disruption_budgets: disruption_budget::build(pipeline),
        autoscaler: autoscaler::build(pipeline),
        ingress: ingress::build(pipeline),
        extensions: http_route::build(pipeline)
            .into_iter()
            .chain([pod_monitor::build(pipeline), prometheus_rule::build(pipeline)])
            .collect(),
    }
}

impl Desired {
    /// Every object, in the order in which they are applied: what pods need comes before them.
    pub fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::new();
        objects.extend(self.service_accounts.iter().map(|object| Object::new(&kinds::SERVICE_ACCOUNT, object)));
        objects.push(Object::new(&kinds::SECRET, &self.internal_secret));
        objects.extend(self.services.iter().map(|object| Object::new(&kinds::SERVICE, object)));
        objects.extend(self.network_policies.iter().map(|object| Object::new(&kinds::NETWORK_POLICY, object)));
        let scaled_by = if self.autoscaler.is_some() { ScaledBy::Autoscaler } else { ScaledBy::Pipeline };
        objects.push(Object { scaled_by, ..Object::new(&kinds::DEPLOYMENT, &self.api) });
        objects.push(Object::new(&kinds::DEPLOYMENT, &self.processor));
        objects.extend(self.disruption_budgets.iter().map(|object| Object::new(&kinds::DISRUPTION_BUDGET, object)));
        objects.extend(self.autoscaler.iter().map(|object| Object::new(&kinds::AUTOSCALER, object)));
        objects.extend(self.ingress.iter().map(|object| Object::new(&kinds::INGRESS, object)));
        objects.extend(self.extensions.iter().cloned());
        objects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{
        fixtures::{
            example_pipeline, images, pipeline, pipeline_with_api_keys, pipeline_with_http_provider,
            pipeline_with_secured_kafka, referenced, validated,
        },
        validate::validate,
    };
    use crate::crd::{RateLimit, SmsPipeline};
    use k8s_openapi::api::core::v1::PodSpec;

    fn built(pipeline: &SmsPipeline) -> Desired {
        build(&validated(pipeline))
    }

    fn pod(deployment: &Deployment) -> &PodSpec {
        deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()).expect("a pod template")
    }

    /// `None` where the API is not told of the setting.
    #[track_caller]
    fn check_api(pipeline: &SmsPipeline, expected: &[(&str, Option<&str>)]) {
        let api = built(pipeline).api;
        let environment = pod(&api).containers[0].env.clone().unwrap_or_default();
        for (name, expected) in expected {
            let found = environment.iter().find(|variable| variable.name == *name);
            assert_eq!(found.and_then(|variable| variable.value.as_deref()), *expected, "{name}");
        }
    }

    /// `UPDATE=1 cargo test` rewrites the files.
    #[test]
    fn the_examples_become_these_objects() {
        for example in ["quickstart", "api-keys", "twilio", "autoscaled", "overridden"] {
            let objects = built(&example_pipeline(example)).objects();
            let documents = objects.iter().map(|object| crate::yaml::write(&object.content).expect("it encodes"));
            let rendered: String = documents.flat_map(|document| ["---\n".to_owned(), document]).collect();
            golden::check(&format!("{example}.yaml"), &rendered);
        }
    }

    #[test]
    fn nothing_is_made_of_a_kind_that_the_table_lacks() {
        let built = built(&example_pipeline("autoscaled"));
        for object in built.objects() {
            let types = object.content.types.expect("it names its kind");
            assert_eq!((types.api_version, types.kind.as_str()), (object.kind.api_version(), object.kind.kind));
        }
    }

    #[test]
    fn no_secret_is_in_a_deployment() {
        let built = built(&pipeline_with_api_keys());
        let text = serde_json::to_string(&(&built.api, &built.processor)).expect("Deployments encode");
        assert!(!text.contains("internal-token") && !text.contains("sms:secret"), "{text}");
        assert!(!text.contains(r#"{\"keys\""#), "{text}");
        let processor = self::built(&pipeline_with_http_provider()).processor;
        assert!(!serde_json::to_string(&processor).expect("Deployment encodes").contains("hunter2"));
    }

    #[test]
    fn no_variable_that_the_operator_sets_can_be_set_by_a_pipeline() {
        let mut traced = pipeline_with_api_keys();
        traced.spec.telemetry.otlp_endpoint = Some("http://collector:4317".to_owned());
        for pipeline in [pipeline(), traced, pipeline_with_http_provider(), pipeline_with_secured_kafka()] {
            let desired = built(&pipeline);
            let variables = |deployment| pod(deployment).containers[0].env.clone().unwrap_or_default();
            for variable in variables(&desired.api) {
                let mut pipeline = pipeline.clone();
                pipeline.spec.api.pods.env = vec![variable.clone()];
                assert!(validate(&pipeline, &referenced(), &images()).is_err(), "{}", variable.name);
            }
            for variable in variables(&desired.processor) {
                let mut pipeline = pipeline.clone();
                pipeline.spec.processor.pods.env = vec![variable.clone()];
                assert!(validate(&pipeline, &referenced(), &images()).is_err(), "{}", variable.name);
            }
        }
    }

    #[test]
    fn what_a_pipeline_says_of_its_pods_reaches_them_and_the_template_has_the_last_word() {
        let mut pipeline = pipeline();
        pipeline.spec.processor.pods = serde_json::from_value(serde_json::json!({
            "serviceAccountName": "existing",
            "podAnnotations": { "team": "billing" },
            "env": [{ "name": "RUST_LOG", "value": "debug" }],
            "topologySpreadConstraints": [],
            "podTemplate": { "spec": { "containers": [{ "name": "processor", "image": "other:1" }] } },
        }))
        .expect("pod options");
        let desired = built(&pipeline);
        let pod = pod(&desired.processor);
        assert_eq!(pod.service_account_name.as_deref(), Some("existing"));
        // Pods of the template before may still use it.
        assert!(
            desired
                .service_accounts
                .iter()
                .any(|account| kube::ResourceExt::name_any(account) == "notifications-processor")
        );
        assert_eq!(pod.containers[0].image.as_deref(), Some("other:1"));
        let variables = pod.containers[0].env.iter().flatten();
        assert_eq!(variables.filter(|variable| variable.name == "RUST_LOG").count(), 1);
        assert!(pod.topology_spread_constraints.iter().flatten().next().is_none());
    }

    #[test]
    fn the_api_reads_its_keys_from_the_secret_mounted_for_it() {
        let expected = [("API_KEYS_FILE", Some("/etc/sms/secrets/api-keys/keys.json")), ("ANONYMOUS", None)];
        check_api(&pipeline_with_api_keys(), &expected);
        let api = built(&pipeline_with_api_keys()).api;
        let volumes = pod(&api).volumes.iter().flatten();
        let secrets = volumes.filter_map(|volume| Some((volume.name.as_str(), volume.secret.as_ref()?)));
        let secrets: Vec<_> = secrets.map(|(purpose, secret)| (purpose, secret.secret_name.as_deref())).collect();
        assert!(secrets.contains(&("api-keys", Some("notifications-api-keys"))), "{secrets:?}");
        let mounts = pod(&api).containers[0].volume_mounts.iter().flatten();
        let mounts: Vec<_> = mounts.map(|mount| (mount.name.as_str(), mount.mount_path.as_str())).collect();
        assert!(mounts.contains(&("api-keys", "/etc/sms/secrets/api-keys")), "{mounts:?}");
    }

    #[test]
    fn the_api_is_open_to_everybody_only_where_the_pipeline_says_so() {
        check_api(&pipeline(), &[("ANONYMOUS", Some("true")), ("API_KEYS_FILE", None)]);
    }

    #[test]
    fn the_api_is_told_every_setting_of_the_pipeline() {
        let expected = [
            ("RATE_LIMIT_REQUESTS_PER_SECOND", Some("500")),
            ("RATE_LIMIT_BURST", Some("1000")),
            ("NUMBER_VALIDATION", Some("strict")),
            ("MESSAGE_RETENTION", Some("90d")),
            ("IDEMPOTENCY_RETENTION", Some("24h")),
            ("RETRY_FAILED_EVERY", Some("30s")),
            ("RETRY_FAILED_MAX_ATTEMPTS", Some("3")),
        ];
        check_api(&pipeline_with_api_keys(), &expected);
    }

    #[test]
    fn without_a_burst_as_many_requests_may_come_at_once_as_in_a_second() {
        let mut pipeline = pipeline_with_api_keys();
        pipeline.spec.api.rate_limit = Some(RateLimit { requests_per_second: 50, burst: None });
        let expected = [("RATE_LIMIT_REQUESTS_PER_SECOND", Some("50")), ("RATE_LIMIT_BURST", Some("50"))];
        check_api(&pipeline, &expected);
        pipeline.spec.api.rate_limit = None;
        check_api(&pipeline, &[("RATE_LIMIT_REQUESTS_PER_SECOND", None), ("RATE_LIMIT_BURST", None)]);
    }

    #[test]
    fn pods_may_run_where_the_restricted_pod_security_standard_is_enforced() {
        let built = built(&pipeline());
        for deployment in [&built.api, &built.processor] {
            let pod = pod(deployment);
            let context = pod.security_context.as_ref().expect("a pod security context");
            assert_eq!(context.run_as_non_root, Some(true));
            assert_eq!(context.seccomp_profile.as_ref().map(|profile| profile.type_.as_str()), Some("RuntimeDefault"));
            for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
                let context = container.security_context.as_ref().expect("a container security context");
                assert_eq!(context.allow_privilege_escalation, Some(false));
                assert_eq!(context.read_only_root_filesystem, Some(true));
                let dropped = context.capabilities.as_ref().and_then(|capabilities| capabilities.drop.as_deref());
                assert_eq!(dropped, Some(["ALL".to_owned()].as_slice()));
            }
        }
    }
}
