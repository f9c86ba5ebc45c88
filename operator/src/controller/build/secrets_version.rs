//! A text that changes with what Secrets hold, so that replicas are replaced when one does.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::kafka;
use crate::controller::{
    dereference::Sensitive,
    tokens::Token,
    validate::{Authentication, ValidatedPipeline},
};

/// The variable that holds it. No program reads it.
pub(super) const VARIABLE: &str = "SECRETS_VERSION";

/// Of the API: how the database and Kafka are reached, and its keys.
pub(super) fn of_api(pipeline: &ValidatedPipeline) -> String {
    let salt = pipeline.internal_tokens.accepted()[0];
    let keys = match &pipeline.authentication {
        Authentication::ApiKeys(_, keys) => Some(keys),
        Authentication::Anonymous => None,
    };
    let own = [&pipeline.database].into_iter().chain(keys);
    version(salt, kafka::values(pipeline).chain(texts(own)))
}

/// Of the processors: how Kafka is reached, and the secrets of the provider. `None` where there are none of these.
pub(super) fn of_processor(pipeline: &ValidatedPipeline) -> Option<String> {
    if pipeline.kafka.security.secrets().next().is_none() && pipeline.provider_secrets.is_empty() {
        return None;
    }
    let values = kafka::values(pipeline).chain(texts(&pipeline.provider_secrets));
    Some(version(pipeline.internal_tokens.presented(), values))
}

fn texts<'a>(secrets: impl IntoIterator<Item = &'a Sensitive>) -> impl Iterator<Item = &'a str> {
    secrets.into_iter().map(|Sensitive(text)| text.as_str())
}

/// A token that nobody knows is hashed with the values, because a password alone could be guessed from its hash: one that
/// changes only where the pods are replaced for its sake anyway.
fn version<'a>(salt: &Token, values: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    hash.update(&salt.value.0);
    for value in values {
        hash.update([0]);
        hash.update(value);
    }
    hash.finalize()[..8].iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::{
            dereference::{Lookup, Referenced, Sensitive},
            fixtures::{
                images, pipeline, pipeline_with_http_provider, pipeline_with_secured_kafka, referenced, validated,
            },
            validate::validate,
        },
        crd::KafkaSecret,
    };

    fn versions(referenced: &Referenced) -> (String, Option<String>) {
        let pipeline = validate(&pipeline_with_secured_kafka(), referenced, &images()).expect("usable");
        (of_api(&pipeline), of_processor(&pipeline))
    }

    fn found(value: &str) -> Lookup {
        Lookup::Found(Sensitive(value.to_owned()))
    }

    #[test]
    fn the_same_secrets_are_the_same_version_and_another_password_is_another_one() {
        let before = versions(&referenced());
        assert_eq!(versions(&referenced()), before);
        let mut rotated = referenced();
        rotated.kafka_secrets.insert(KafkaSecret::Password, found("another"));
        let after = versions(&rotated);
        assert!(after.0 != before.0 && after.1 != before.1);
    }

    #[test]
    fn another_database_url_replaces_the_api_only() {
        let before = versions(&referenced());
        let rotated = Referenced { database_url: found("postgresql://sms:another@postgres:5432/sms"), ..referenced() };
        let after = versions(&rotated);
        assert!(after.0 != before.0 && after.1 == before.1);
    }

    #[test]
    fn other_api_keys_replace_the_api_and_another_secret_of_the_provider_the_processors() {
        let pipeline = pipeline_with_http_provider();
        let versions = |referenced: &Referenced| {
            let pipeline = validate(&pipeline, referenced, &images()).expect("usable");
            (of_api(&pipeline), of_processor(&pipeline))
        };
        let before = referenced();
        let keys = Referenced { api_keys: Some(found("others")), ..before.clone() };
        assert_ne!(versions(&keys).0, versions(&before).0);
        assert_eq!(versions(&keys).1, versions(&before).1);
        let mut rotated = before.clone();
        for secret in rotated.provider_secrets.values_mut() {
            *secret = found("another");
        }
        assert_eq!(versions(&rotated).0, versions(&before).0);
        assert_ne!(versions(&rotated).1, versions(&before).1);
    }

    #[test]
    fn processors_that_need_no_secret_have_no_version() {
        assert_eq!(of_processor(&validated(&pipeline())), None);
    }
}
