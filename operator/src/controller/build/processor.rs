use k8s_openapi::api::apps::v1::Deployment;

use super::{
    kafka,
    metadata::PROCESSOR_COMPONENT,
    pod::{INTERNAL_PORT, METRICS_PORT, Pod, deployment, secret_file},
    provider, secrets_version,
};
use crate::{
    controller::validate::ValidatedPipeline,
    crd::{GroupProtocol, OnUnknownOutcome, Ordering},
};

/// Time beyond the drain for the process to leave its group and end.
const EXIT_MARGIN_SECONDS: u64 = 5;

pub(super) fn build(pipeline: &ValidatedPipeline) -> Deployment {
    let internal = &pipeline.names.internal_secret;
    let group_protocol = match pipeline.kafka.group_protocol {
        GroupProtocol::Consumer => "consumer",
        GroupProtocol::Classic => "classic",
    };
    let ordering = match pipeline.ordering {
        Ordering::Recipient => "recipient",
        Ordering::None => "none",
    };
    let on_unknown_outcome = match pipeline.on_unknown_outcome {
        OnUnknownOutcome::Resend => "resend",
        OnUnknownOutcome::Hold => "hold",
        OnUnknownOutcome::Query => "query",
    };
    let drain = pipeline.drain_timeout.as_secs();
    deployment(
        pipeline,
        &Pod {
            component: PROCESSOR_COMPONENT,
            name: pipeline.names.processor.clone(),
            workload: pipeline.processor.clone(),
            before: Vec::new(),
            command: vec!["sms-processor"],
            ports: vec![METRICS_PORT],
            environment: [
                ("CONSUMER_GROUP", pipeline.kafka.consumer_group.clone()),
                ("GROUP_PROTOCOL", group_protocol.to_owned()),
                ("REPORT_URL", format!("http://{}:{}", pipeline.names.api_internal, INTERNAL_PORT.number)),
                ("INTERNAL_TOKEN_FILE", secret_file("internal", &pipeline.internal_tokens.presented().key)),
                ("MAX_IN_FLIGHT", pipeline.max_in_flight.to_string()),
                ("ORDERING", ordering.to_owned()),
                ("MAX_RETRIES", pipeline.max_retries.to_string()),
                ("RETRY_DELAY", pipeline.retry_delay.clone()),
                ("ON_UNKNOWN_OUTCOME", on_unknown_outcome.to_owned()),
                ("PROVIDER", provider::settings(&pipeline.provider)),
                ("SHUTDOWN_TIMEOUT", format!("{drain}s")),
            ]
            .into_iter()
            .chain(secrets_version::of_processor(pipeline))
            .collect(),
            secrets: [("internal".into(), internal.clone())]
                .into_iter()
                .chain(provider::secrets(&pipeline.provider))
                .chain(kafka::secrets(pipeline))
                .collect(),
            termination_grace_seconds: i64::try_from(drain + EXIT_MARGIN_SECONDS).unwrap_or(i64::MAX),
        },
    )
}
