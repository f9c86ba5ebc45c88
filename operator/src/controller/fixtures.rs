//! Pipelines and what was read for them, for tests of the pure steps.

use std::collections::BTreeMap;

use crate::{
    controller::{
        dereference::{Lookup, Referenced, Sensitive},
        tokens::InternalTokens,
        validate::{DefaultImages, ValidatedPipeline, validate},
    },
    crd::{KafkaSecret, SmsPipeline},
    yaml,
};

/// Everybody may use its API.
pub(crate) fn pipeline() -> SmsPipeline {
    example_pipeline("quickstart")
}

/// Its API asks for a key.
pub(crate) fn pipeline_with_api_keys() -> SmsPipeline {
    example_pipeline("api-keys")
}

/// Its provider is spoken to over HTTP.
pub(crate) fn pipeline_with_http_provider() -> SmsPipeline {
    example_pipeline("twilio")
}

/// Its Kafka wants TLS and a password.
pub(crate) fn pipeline_with_secured_kafka() -> SmsPipeline {
    example_pipeline("secured-kafka")
}

/// The one in `crds/examples` of this name.
pub(crate) fn example_pipeline(name: &str) -> SmsPipeline {
    let path = format!("{}/../crds/examples/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(path).expect("the example is there");
    let mut pipeline: SmsPipeline = yaml::read(&example).expect("the example is a pipeline");
    pipeline.metadata.namespace = Some("default".to_owned());
    pipeline.metadata.uid = Some("0a1b2c3d".to_owned());
    pipeline.metadata.generation = Some(1);
    pipeline
}

/// `pipeline`, with everything that it names.
pub(crate) fn validated(pipeline: &SmsPipeline) -> ValidatedPipeline {
    validate(pipeline, &referenced(), &images()).expect("usable")
}

pub(crate) fn images() -> DefaultImages {
    DefaultImages { api: "sms-api:test".to_owned(), processor: "sms-processor:test".to_owned() }
}

pub(crate) fn referenced() -> Referenced {
    Referenced {
        processors: None,
        database_url: Lookup::Found(Sensitive("postgresql://sms:secret@postgres:5432/sms".to_owned())),
        api_keys: Some(Lookup::Found(Sensitive(r#"{"keys":[]}"#.to_owned()))),
        provider_secrets: BTreeMap::from(
            ["accountSid", "authToken"].map(|name| (name.to_owned(), Lookup::Found(Sensitive("hunter2".to_owned())))),
        ),
        kafka_secrets: BTreeMap::from(
            [(KafkaSecret::Ca, "-----BEGIN CERTIFICATE-----"), (KafkaSecret::Password, "hunter2")]
                .map(|(secret, value)| (secret, Lookup::Found(Sensitive(value.to_owned())))),
        ),
        internal_tokens: InternalTokens::only(Sensitive("internal-token".to_owned())),
        versions: BTreeMap::new(),
    }
}
