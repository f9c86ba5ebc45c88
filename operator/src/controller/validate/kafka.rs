//! What a pipeline wants of Kafka, and how to reach it, with every secret proven to be there.

use std::collections::BTreeMap;

use kafka::{Mechanism, Protocol, Security, Settings, Source};

use kube::ResourceExt;

use super::{
    WantedTopics, consumer_group,
    secrets::{Invalid, text},
};
use crate::{
    controller::{
        dereference::Lookup,
        topics::{
            owners::Claim,
            plan::{ACCEPT_TOPICS, KnownTopics},
        },
    },
    crd::{GroupProtocol, Kafka, KafkaProtocol, KafkaSecret, KafkaSecurity, SaslMechanism, SmsPipeline},
};

/// What a pipeline wants of Kafka. Nothing else of it is needed to let it go.
#[derive(Clone, Debug)]
pub struct ValidatedKafka {
    /// Namespace of the pipeline.
    pub namespace: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// How the brokers are reached, with what the Secrets hold.
    pub settings: Settings,
    /// Where the Secrets for it are.
    pub security: KafkaSecurity,
    /// How processors share the partitions.
    pub group_protocol: GroupProtocol,
    /// The consumer group of the processors.
    pub consumer_group: String,
    /// The topics that should exist.
    pub topics: WantedTopics,
    /// Which topics it has used so far.
    pub known_topics: KnownTopics,
    /// Its claim to the topics; `None` in local mode.
    pub claim: Option<Claim>,
}

impl ValidatedKafka {
    /// With brokers that are reached by `settings`.
    pub fn new(pipeline: &SmsPipeline, settings: Settings) -> Self {
        let spec = &pipeline.spec.kafka;
        Self {
            namespace: pipeline.namespace().unwrap_or_default(),
            pipeline: pipeline.name_any(),
            settings,
            security: spec.security.clone(),
            group_protocol: spec.group_protocol,
            consumer_group: consumer_group(&spec.topics),
            topics: WantedTopics::from(&spec.topics),
            known_topics: KnownTopics {
                remembered: pipeline.status.as_ref().map(|status| status.topics.clone()).unwrap_or_default(),
                accepted: pipeline.annotated(ACCEPT_TOPICS),
            },
            claim: Claim::of(pipeline),
        }
    }
}

/// The settings of a client, with the values that the Secrets hold.
pub fn settings(spec: &Kafka, found: &BTreeMap<KafkaSecret, Lookup>) -> Result<Settings, Invalid> {
    let mut security = Security {
        protocol: match spec.security.protocol {
            KafkaProtocol::Plaintext => Protocol::Plaintext,
            KafkaProtocol::Ssl => Protocol::Ssl,
            KafkaProtocol::SaslPlaintext => Protocol::SaslPlaintext,
            KafkaProtocol::SaslSsl => Protocol::SaslSsl,
        },
        ..Security::default()
    };
    if let Some(sasl) = &spec.security.sasl {
        security.mechanism = Some(match sasl.mechanism {
            SaslMechanism::Plain => Mechanism::Plain,
            SaslMechanism::ScramSha256 => Mechanism::ScramSha256,
            SaslMechanism::ScramSha512 => Mechanism::ScramSha512,
        });
        security.username.clone_from(&sasl.username);
    }
    for (secret, reference) in spec.security.secrets() {
        let (field, name, key) = (secret.field(), &reference.name, &reference.key);
        let text = text(field, name, key, found.get(&secret).unwrap_or(&Lookup::NoKey))?;
        let usable = text.filter(|text| !text.trim().is_empty() && !text.contains('\0'));
        let Some(value) = usable.filter(|text| header(secret).is_none_or(|(_, header)| text.contains(header))) else {
            let (field, name, key) = (field.to_owned(), name.clone(), key.clone());
            return Err(match header(secret) {
                Some((what, _)) => Invalid::NoPem { field, name, key, what },
                None => Invalid::NoText { field, name, key },
            });
        };
        let source = Some(Source::Value(value.to_owned()));
        match secret {
            KafkaSecret::Ca => security.ca = source,
            KafkaSecret::ClientCertificate => security.certificate = source,
            KafkaSecret::ClientKey => security.key = source,
            KafkaSecret::Username => security.username_file = source,
            KafkaSecret::Password => security.password = source,
        }
    }
    Ok(Settings { bootstrap_servers: spec.bootstrap_servers.clone(), security })
}

/// What must stand in a file in PEM, in words and as it is written there. Source: RFC 7468.
fn header(secret: KafkaSecret) -> Option<(&'static str, &'static str)> {
    match secret {
        KafkaSecret::Ca | KafkaSecret::ClientCertificate => Some(("a certificate", "-----BEGIN CERTIFICATE-----")),
        KafkaSecret::ClientKey => Some(("a private key", "PRIVATE KEY-----")),
        KafkaSecret::Username | KafkaSecret::Password => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{
        dereference::Sensitive,
        fixtures::{pipeline, pipeline_with_secured_kafka, referenced},
    };

    fn with(secret: KafkaSecret, found: Lookup) -> Result<Settings, Invalid> {
        let mut all = referenced().kafka_secrets;
        assert!(all.insert(secret, found).is_some(), "the fixture has it");
        settings(&pipeline_with_secured_kafka().spec.kafka, &all)
    }

    fn value(text: &str) -> Lookup {
        Lookup::Found(Sensitive(text.to_owned()))
    }

    #[track_caller]
    fn check(secret: KafkaSecret, found: Lookup, expected: &str) {
        let refused = with(secret, found).expect_err("not usable");
        assert_eq!(refused.to_string(), expected);
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    }

    #[test]
    fn accepted_topics_are_told_by_an_annotation() {
        let mut pipeline = pipeline();
        pipeline.annotations_mut().insert(ACCEPT_TOPICS.to_owned(), "AAAA, BBBB,".to_owned());
        let kafka = ValidatedKafka::new(&pipeline, Settings::plaintext("127.0.0.1:9092"));
        assert_eq!(kafka.known_topics.accepted.iter().collect::<Vec<_>>(), ["AAAA", "BBBB"]);
    }

    #[test]
    fn without_a_word_about_security_connections_are_plain() {
        let found = settings(&pipeline().spec.kafka, &BTreeMap::new());
        assert_eq!(found, Ok(Settings::plaintext("kafka-bootstrap.kafka:9092")));
    }

    #[test]
    fn every_secret_becomes_the_setting_it_is_for() {
        let security = with(KafkaSecret::Password, value("hunter2")).expect("usable").security;
        assert_eq!(security.protocol, Protocol::SaslSsl);
        assert_eq!(security.mechanism, Some(Mechanism::ScramSha512));
        assert_eq!(security.username.as_deref(), Some("notifications"));
        assert_eq!(security.password, Some(Source::Value("hunter2".to_owned())));
        assert!(security.ca.is_some() && security.certificate.is_none() && security.username_file.is_none());
    }

    #[test]
    fn what_is_missing_is_named_with_its_field_and_secret() {
        check(
            KafkaSecret::Password,
            Lookup::NoSecret(r#"in namespace "default""#.to_owned()),
            r#"Secret "notifications-kafka", named by spec.kafka.security.sasl.passwordSecretRef, does not exist in namespace "default": create it"#,
        );
        check(
            KafkaSecret::Ca,
            Lookup::NoKey,
            r#"Secret "kafka-cluster-ca-cert", named by spec.kafka.security.tls.caSecretRef, has no key "ca.crt": add the key or name another"#,
        );
    }

    #[test]
    fn what_is_wrong_is_named_and_never_shown() {
        check(
            KafkaSecret::Ca,
            value("hunter2"),
            r#"key "ca.crt" of Secret "kafka-cluster-ca-cert", named by spec.kafka.security.tls.caSecretRef, must hold a certificate in PEM"#,
        );
        for wrong in [value(" \n"), value("hunter2\0"), Lookup::NotText] {
            check(
                KafkaSecret::Password,
                wrong,
                r#"key "password" of Secret "notifications-kafka", named by spec.kafka.security.sasl.passwordSecretRef, must hold text in UTF-8 that is not empty"#,
            );
        }
    }
}
