//! A text that changes with what Secrets hold, so that replicas which read them only once start anew.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::kafka;
use crate::controller::{tokens::Token, validate::ValidatedPipeline};

/// The variable that holds it. No program reads it.
pub(super) const VARIABLE: &str = "SECRETS_VERSION";

/// Of the API: what it reads only once is how the database and Kafka are reached; it follows its keys by itself.
pub(super) fn of_api(pipeline: &ValidatedPipeline) -> String {
    let salt = pipeline.internal_tokens.accepted()[0];
    version(salt, kafka::values(pipeline).chain([pipeline.database.0.as_str()]))
}

/// Of the processors: how Kafka is reached; they follow their provider's Secrets and the token by themselves. `None` where
/// that takes no Secret.
pub(super) fn of_processor(pipeline: &ValidatedPipeline) -> Option<String> {
    pipeline.kafka.security.secrets().next()?;
    Some(version(pipeline.internal_tokens.presented(), kafka::values(pipeline)))
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
            fixtures::{images, pipeline, pipeline_with_secured_kafka, referenced, validated},
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
    fn processors_that_need_no_secret_for_kafka_have_no_version() {
        assert_eq!(of_processor(&validated(&pipeline())), None);
    }
}
