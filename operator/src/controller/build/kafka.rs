//! How Kafka is reached, as both workloads are told of it: files in place of Secrets.

use std::{borrow::Cow, collections::BTreeSet};

use super::pod::secret_file;
use crate::{
    controller::validate::ValidatedPipeline,
    crd::{KafkaSecret, KafkaSecurity},
};

/// The environment variables that say how Kafka is reached.
pub(super) fn environment(pipeline: &ValidatedPipeline) -> Vec<(&'static str, String)> {
    let (settings, spec) = (&pipeline.kafka.settings, &pipeline.kafka.security);
    let mut variables = vec![("KAFKA_BOOTSTRAP_SERVERS", settings.bootstrap_servers.clone())];
    if settings.security == kafka::Security::default() {
        return variables;
    }
    variables.push(("KAFKA_SECURITY_PROTOCOL", settings.security.protocol.as_str().to_owned()));
    if let Some(mechanism) = settings.security.mechanism {
        variables.push(("KAFKA_SASL_MECHANISM", mechanism.as_str().to_owned()));
    }
    if let Some(username) = &settings.security.username {
        variables.push(("KAFKA_USERNAME", username.clone()));
    }
    for (secret, reference) in spec.secrets() {
        let variable = match secret {
            KafkaSecret::Ca => "KAFKA_CA_FILE",
            KafkaSecret::ClientCertificate => "KAFKA_CERTIFICATE_FILE",
            KafkaSecret::ClientKey => "KAFKA_KEY_FILE",
            KafkaSecret::Username => "KAFKA_USERNAME_FILE",
            KafkaSecret::Password => "KAFKA_PASSWORD_FILE",
        };
        variables.push((variable, secret_file(&purpose(spec, &reference.name), &reference.key)));
    }
    variables
}

/// The Secrets to mount: what they are for, and their names.
pub(super) fn secrets(pipeline: &ValidatedPipeline) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    let spec = &pipeline.kafka.security;
    names(spec).into_iter().map(|name| (purpose(spec, name).into(), name.to_owned()))
}

/// Counted, because not every name of a Secret can name a volume.
fn purpose(spec: &KafkaSecurity, secret: &str) -> String {
    let number = names(spec).into_iter().take_while(|name| *name != secret).count();
    format!("kafka-{number}")
}

fn names(spec: &KafkaSecurity) -> BTreeSet<&str> {
    spec.secrets().map(|(_, reference)| reference.name.as_str()).collect()
}

/// What the Secrets hold that a client of Kafka reads only once.
pub(super) fn values(pipeline: &ValidatedPipeline) -> impl Iterator<Item = &str> {
    let security = &pipeline.kafka.settings.security;
    let sources = [&security.ca, &security.certificate, &security.key, &security.username_file, &security.password];
    sources.into_iter().map(|source| match source {
        Some(kafka::Source::Value(value)) => value.as_str(),
        Some(kafka::Source::File(_)) | None => "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::{pipeline_with_secured_kafka, validated};

    #[test]
    fn secrets_are_mounted_and_named_by_their_files() {
        let pipeline = validated(&pipeline_with_secured_kafka());
        let mounted: Vec<_> = secrets(&pipeline).collect();
        let expected = [("kafka-0", "kafka-cluster-ca-cert"), ("kafka-1", "notifications-kafka")];
        assert_eq!(mounted, expected.map(|(purpose, name)| (purpose.into(), name.to_owned())));
        let expected = [
            ("KAFKA_BOOTSTRAP_SERVERS", "kafka-bootstrap.kafka:9093"),
            ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("KAFKA_USERNAME", "notifications"),
            ("KAFKA_CA_FILE", "/etc/sms/secrets/kafka-0/ca.crt"),
            ("KAFKA_PASSWORD_FILE", "/etc/sms/secrets/kafka-1/password"),
        ];
        assert_eq!(environment(&pipeline), expected.map(|(name, value)| (name, value.to_owned())));
    }
}
