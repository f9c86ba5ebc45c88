use k8s_openapi::api::apps::v1::Deployment;

use super::{
    metadata::API_COMPONENT,
    pod::{HTTP_PORT, INTERNAL_PORT, METRICS_PORT, Pod, deployment, secret_file},
};
use crate::controller::{names::INTERNAL_TOKEN_KEY, validate::ValidatedPipeline};

pub(super) fn build(pipeline: &ValidatedPipeline) -> Deployment {
    let (database, internal) = (&pipeline.database_url, &pipeline.names.internal_secret);
    deployment(
        pipeline,
        &Pod {
            component: API_COMPONENT,
            name: pipeline.names.api.clone(),
            workload: pipeline.api.clone(),
            before: vec![("migrate", vec!["sms-api", "migrate"])],
            command: vec!["sms-api", "serve"],
            ports: vec![HTTP_PORT, INTERNAL_PORT, METRICS_PORT],
            environment: vec![
                ("HTTP_ADDRESS", HTTP_PORT.everywhere()),
                ("INTERNAL_ADDRESS", INTERNAL_PORT.everywhere()),
                ("DATABASE_URL_FILE", secret_file("database", &database.key)),
                ("INTERNAL_TOKEN_FILE", secret_file("internal", INTERNAL_TOKEN_KEY)),
                ("MESSAGE_RETENTION", pipeline.message_retention.clone()),
            ],
            secrets: vec![("database", database.name.clone()), ("internal", internal.clone())],
            termination_grace_seconds: 35,
        },
    )
}
