//! Pipelines and what was read for them, for tests of the pure steps.

use std::collections::BTreeMap;

use crate::{
    controller::dereference::{Lookup, Referenced, Sensitive},
    crd::{KafkaSecret, SmsPipeline},
    yaml,
};

/// Everybody may use its API.
pub(crate) fn pipeline() -> SmsPipeline {
    read(include_str!("../../../crds/examples/quickstart.yaml"))
}

/// Its API asks for a key.
pub(crate) fn pipeline_with_api_keys() -> SmsPipeline {
    read(include_str!("../../../crds/examples/api-keys.yaml"))
}

/// Its provider is spoken to over HTTP.
pub(crate) fn pipeline_with_http_provider() -> SmsPipeline {
    read(include_str!("../../../crds/examples/twilio.yaml"))
}

/// Its Kafka wants TLS and a password.
pub(crate) fn pipeline_with_secured_kafka() -> SmsPipeline {
    read(include_str!("../../../crds/examples/secured-kafka.yaml"))
}

fn read(example: &str) -> SmsPipeline {
    yaml::read(example)
        .map(|mut pipeline: SmsPipeline| {
            pipeline.metadata.namespace = Some("default".to_owned());
            pipeline.metadata.uid = Some("0a1b2c3d".to_owned());
            pipeline.metadata.generation = Some(1);
            pipeline
        })
        .expect("the example is a pipeline")
}

pub(crate) fn referenced() -> Referenced {
    Referenced {
        database_url: Lookup::Found(Sensitive("postgresql://sms:secret@postgres:5432/sms".to_owned())),
        api_keys: Some(Lookup::Found(Sensitive(r#"{"keys":[]}"#.to_owned()))),
        provider_secrets: BTreeMap::from(
            ["accountSid", "authToken"].map(|name| (name.to_owned(), Lookup::Found(Sensitive("hunter2".to_owned())))),
        ),
        kafka_secrets: BTreeMap::from(
            [(KafkaSecret::Ca, "-----BEGIN CERTIFICATE-----"), (KafkaSecret::Password, "hunter2")]
                .map(|(secret, value)| (secret, Lookup::Found(Sensitive(value.to_owned())))),
        ),
        database_unreachable: None,
        internal_token: Sensitive("internal-token".to_owned()),
    }
}
