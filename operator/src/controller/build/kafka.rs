//! How Kafka is reached, as both workloads are told of it: files in place of Secrets.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write};

use sha2::{Digest, Sha256};

use super::pod::secret_file;
use crate::{
    controller::validate::ValidatedPipeline,
    crd::{KafkaSecret, KafkaSecurity},
};

/// The environment variables that say how Kafka is reached.
pub(super) fn environment(pipeline: &ValidatedPipeline) -> Vec<(&'static str, String)> {
    let (settings, spec) = (&pipeline.kafka, &pipeline.kafka_security);
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
    if spec.secrets().next().is_some() {
        variables.push(("KAFKA_SECRETS_VERSION", version(pipeline)));
    }
    variables
}

/// The Secrets to mount: what they are for, and their names.
pub(super) fn secrets(pipeline: &ValidatedPipeline) -> impl Iterator<Item = (Cow<'static, str>, String)> {
    let spec = &pipeline.kafka_security;
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

/// Changes with what the Secrets hold, so that replicas start anew with it: a client of Kafka reads them only once. The
/// token that nobody knows is hashed with them, because a password alone could be guessed from its hash.
fn version(pipeline: &ValidatedPipeline) -> String {
    let security = &pipeline.kafka.security;
    let mut hash = Sha256::new();
    hash.update(&pipeline.internal_token.0);
    for source in [&security.ca, &security.certificate, &security.key, &security.username_file, &security.password] {
        if let Some(kafka::Source::Value(value)) = source {
            hash.update(value);
        }
        hash.update([0]);
    }
    hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{
        dereference::{Lookup, Referenced, Sensitive},
        fixtures::{pipeline_with_secured_kafka, referenced},
        validate::{DefaultImages, validate},
    };

    fn validated(referenced: &Referenced) -> ValidatedPipeline {
        let images = DefaultImages { api: String::new(), processor: String::new() };
        validate(&pipeline_with_secured_kafka(), referenced, &images).expect("usable")
    }

    #[test]
    fn secrets_are_mounted_and_named_by_their_files() {
        let pipeline = validated(&referenced());
        let mounted: Vec<_> = secrets(&pipeline).collect();
        let expected = [("kafka-0", "kafka-cluster-ca-cert"), ("kafka-1", "notifications-kafka")];
        assert_eq!(mounted, expected.map(|(purpose, name)| (purpose.into(), name.to_owned())));
        let mut found = environment(&pipeline);
        let (name, version) = found.pop().expect("variables");
        assert_eq!((name, version.len()), ("KAFKA_SECRETS_VERSION", 16));
        let expected = [
            ("KAFKA_BOOTSTRAP_SERVERS", "kafka-bootstrap.kafka:9093"),
            ("KAFKA_SECURITY_PROTOCOL", "sasl_ssl"),
            ("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512"),
            ("KAFKA_USERNAME", "notifications"),
            ("KAFKA_CA_FILE", "/etc/sms/secrets/kafka-0/ca.crt"),
            ("KAFKA_PASSWORD_FILE", "/etc/sms/secrets/kafka-1/password"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn another_password_makes_another_template_and_the_same_one_does_not() {
        let before = environment(&validated(&referenced()));
        assert_eq!(environment(&validated(&referenced())), before);
        let mut rotated = referenced();
        rotated.kafka_secrets.insert(KafkaSecret::Password, Lookup::Found(Sensitive("another".to_owned())));
        assert_ne!(environment(&validated(&rotated)), before);
    }
}
