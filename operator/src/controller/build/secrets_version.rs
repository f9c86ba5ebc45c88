//! A text that changes with what Secrets hold, so that replicas are replaced when one does.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::kafka;
use crate::controller::{
    dereference::Sensitive,
    tokens::Token,
    validate::{Authentication, ValidatedPipeline},
};

/// The variable that tells of what programs read only once. No program reads it.
const READ_ONCE: &str = "SECRETS_VERSION";
/// The variable that tells of what programs also follow by themselves. No program reads it.
pub const FOLLOWED: &str = "FOLLOWED_SECRETS_VERSION";

/// Of the API: how the database and Kafka are reached, and its keys, which it follows.
pub(super) fn of_api(pipeline: &ValidatedPipeline) -> Vec<(&'static str, String)> {
    let salt = pipeline.internal_tokens.accepted()[0];
    let read_once = kafka::values(pipeline).chain([pipeline.database.0.as_str()]);
    let mut versions = vec![(READ_ONCE, version(salt, read_once))];
    if let Authentication::ApiKeys(_, Sensitive(keys)) = &pipeline.authentication {
        versions.push((FOLLOWED, version(salt, [keys.as_str()].into_iter())));
    }
    versions
}

/// Of the processors: how Kafka is reached, and the secrets of the provider, which they follow; each where there are some.
pub(super) fn of_processor(pipeline: &ValidatedPipeline) -> Vec<(&'static str, String)> {
    let salt = pipeline.internal_tokens.presented();
    let read_once =
        pipeline.kafka.security.secrets().next().map(|_| (READ_ONCE, version(salt, kafka::values(pipeline))));
    let secrets = &pipeline.provider_secrets;
    let values = secrets.iter().map(|Sensitive(value)| value.as_str());
    let followed = (!secrets.is_empty()).then(|| (FOLLOWED, version(salt, values)));
    read_once.into_iter().chain(followed).collect()
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
            dereference::{Lookup, Referenced},
            fixtures::{images, pipeline, pipeline_with_http_provider, pipeline_with_secured_kafka, referenced},
            validate::validate,
        },
        crd::{KafkaSecret, SmsPipeline},
    };

    /// Of API and processors, of what they read once and of what they follow.
    fn versions(pipeline: &SmsPipeline, referenced: &Referenced) -> [Option<String>; 4] {
        let pipeline = validate(pipeline, referenced, &images()).expect("usable");
        let (api, processor) = (of_api(&pipeline), of_processor(&pipeline));
        let version = |all: &[(&str, String)], name| {
            all.iter().find(|(variable, _)| *variable == name).map(|(_, version)| version.clone())
        };
        [
            version(&api, READ_ONCE),
            version(&api, FOLLOWED),
            version(&processor, READ_ONCE),
            version(&processor, FOLLOWED),
        ]
    }

    /// Which versions are others after `change`.
    fn changed(pipeline: &SmsPipeline, change: impl FnOnce(&mut Referenced)) -> [bool; 4] {
        let before = versions(pipeline, &referenced());
        assert_eq!(versions(pipeline, &referenced()), before);
        let mut rotated = referenced();
        change(&mut rotated);
        let after = versions(pipeline, &rotated);
        [0, 1, 2, 3].map(|index| before[index] != after[index])
    }

    fn found(value: &str) -> Lookup {
        Lookup::Found(Sensitive(value.to_owned()))
    }

    #[test]
    fn another_password_of_kafka_is_another_version_for_both() {
        let password = found("another");
        let change =
            |referenced: &mut Referenced| drop(referenced.kafka_secrets.insert(KafkaSecret::Password, password));
        assert_eq!(changed(&pipeline_with_secured_kafka(), change), [true, false, true, false]);
    }

    #[test]
    fn another_database_url_replaces_the_api_only() {
        let url = found("postgresql://sms:another@postgres:5432/sms");
        let change = |referenced: &mut Referenced| referenced.database_url = url;
        assert_eq!(changed(&pipeline_with_secured_kafka(), change), [true, false, false, false]);
    }

    #[test]
    fn other_api_keys_replace_the_api_and_another_secret_of_the_provider_the_processors() {
        let keys = |referenced: &mut Referenced| referenced.api_keys = Some(found("others"));
        assert_eq!(changed(&pipeline_with_http_provider(), keys), [false, true, false, false]);
        let secrets = |referenced: &mut Referenced| {
            referenced.provider_secrets.values_mut().for_each(|secret| *secret = found("another"));
        };
        assert_eq!(changed(&pipeline_with_http_provider(), secrets), [false, false, false, true]);
    }

    #[test]
    fn what_needs_no_secret_has_no_version() {
        let [read_once, others @ ..] = versions(&pipeline(), &referenced());
        assert!(read_once.is_some(), "the database is always there");
        assert_eq!(others, [None, None, None]);
    }
}
