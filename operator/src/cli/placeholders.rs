//! What stands where only a cluster knows the value.

use std::collections::BTreeMap;

use crate::{
    controller::{
        dereference::{Lookup, Referenced, Sensitive},
        tokens::InternalTokens,
    },
    crd::{KafkaSecret, SmsPipeline},
};

/// Uid of a pipeline that is in no cluster.
pub(super) const UID: &str = "00000000-0000-0000-0000-000000000000";

/// The token of internal calls. It is no base64, so that nobody applies it by mistake.
pub(super) const TOKEN: &str = "(made by the operator)";

/// Image of the API where nothing names one: that of this release.
pub(super) const API_IMAGE: &str = concat!("sms-api:", env!("CARGO_PKG_VERSION"));

/// Image of the processors where nothing names one: that of this release.
pub(super) const PROCESSOR_IMAGE: &str = concat!("sms-processor:", env!("CARGO_PKG_VERSION"));

/// Every Secret that `pipeline` names, as if it were there and right.
pub(crate) fn referenced(pipeline: &SmsPipeline) -> Referenced {
    let found = |value: &str| Lookup::Found(Sensitive(value.to_owned()));
    let provider = pipeline.spec.processor.provider.secrets();
    let kafka = pipeline.spec.kafka.security.secrets().map(|(secret, _)| match secret {
        KafkaSecret::Ca | KafkaSecret::ClientCertificate => (secret, found("-----BEGIN CERTIFICATE-----")),
        KafkaSecret::ClientKey => (secret, found("PRIVATE KEY-----")),
        KafkaSecret::Username | KafkaSecret::Password => (secret, found("placeholder")),
    });
    Referenced {
        processors: None,
        database_url: found("postgresql://placeholder/placeholder"),
        api_keys: pipeline.spec.api.authentication.api_keys_secret_ref.as_ref().map(|_| found("{}")),
        provider_secrets: provider.map(|(name, _)| (name.clone(), found("placeholder"))).collect(),
        kafka_secrets: kafka.collect(),
        internal_tokens: InternalTokens::only(Sensitive(TOKEN.to_owned())),
        versions: BTreeMap::new(),
    }
}
