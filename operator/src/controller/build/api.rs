use k8s_openapi::api::apps::v1::Deployment;

use super::{
    kafka,
    metadata::API_COMPONENT,
    pod::{HTTP_PORT, INTERNAL_PORT, METRICS_PORT, Pod, deployment, secret_file},
    secrets_version,
};
use crate::{
    controller::validate::{Authentication, ValidatedPipeline},
    crd::NumberValidation,
};

/// The container that brings the database's schema up to date before the API starts.
pub(in crate::controller) const MIGRATE_CONTAINER: &str = "migrate";

pub(super) fn build(pipeline: &ValidatedPipeline) -> Deployment {
    let (database, internal) = (&pipeline.database_url, &pipeline.names.internal_secret);
    let internal_tokens = pipeline.internal_tokens.accepted().into_iter();
    let internal_tokens: Vec<_> = internal_tokens.map(|token| secret_file("internal", &token.key)).collect();
    let mut environment = vec![
        ("HTTP_ADDRESS", HTTP_PORT.everywhere()),
        ("INTERNAL_ADDRESS", INTERNAL_PORT.everywhere()),
        ("DATABASE_URL_FILE", secret_file("database", &database.key)),
        ("INTERNAL_TOKEN_FILE", internal_tokens.join(",")),
        ("NUMBER_VALIDATION", number_validation(pipeline.number_validation).to_owned()),
        ("MESSAGE_RETENTION", pipeline.message_retention.clone()),
        ("IDEMPOTENCY_RETENTION", pipeline.idempotency_retention.clone()),
        ("RETRY_FAILED_EVERY", pipeline.retry_failed.every.clone()),
        ("RETRY_FAILED_MAX_ATTEMPTS", pipeline.retry_failed.max_attempts.to_string()),
    ];
    environment.extend(secrets_version::of_api(pipeline));
    let mut secrets = vec![("database".into(), database.name.clone()), ("internal".into(), internal.clone())];
    match &pipeline.authentication {
        Authentication::ApiKeys(reference, _) => {
            environment.push(("API_KEYS_FILE", secret_file("api-keys", &reference.key)));
            secrets.push(("api-keys".into(), reference.name.clone()));
        }
        Authentication::Anonymous => environment.push(("ANONYMOUS", "true".to_owned())),
    }
    secrets.extend(kafka::secrets(pipeline));
    if let Some(limit) = pipeline.rate_limit {
        let burst = limit.burst.unwrap_or(limit.requests_per_second);
        environment.push(("RATE_LIMIT_REQUESTS_PER_SECOND", limit.requests_per_second.to_string()));
        environment.push(("RATE_LIMIT_BURST", burst.to_string()));
    }
    deployment(
        pipeline,
        &Pod {
            component: API_COMPONENT,
            name: pipeline.names.api.clone(),
            workload: pipeline.api.clone(),
            before: vec![(MIGRATE_CONTAINER, vec!["sms-api", "migrate"])],
            command: vec!["sms-api", "serve"],
            ports: vec![HTTP_PORT, INTERNAL_PORT, METRICS_PORT],
            environment,
            secrets,
            termination_grace_seconds: 35,
        },
    )
}

fn number_validation(spec: NumberValidation) -> &'static str {
    match spec {
        NumberValidation::Pattern => "pattern",
        NumberValidation::Strict => "strict",
    }
}
