//! Reads an SmsPipeline from a file and refuses what the API server would refuse, with the same words. Pure.

mod schema;

use std::{collections::BTreeSet, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use kube::{
    CustomResourceExt, Resource,
    core::cel::{CompiledSchema, Validator, compile_schema},
};
use serde_json::Value;

use crate::{crd::SmsPipeline, yaml};

/// Namespace of a pipeline whose file names none, as `kubectl apply` has it.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Why a file is no usable SmsPipeline: one line for each field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);

/// The pipeline in `text`; `before` is the one that it replaces.
pub fn parse(text: &str, before: Option<&SmsPipeline>) -> Result<SmsPipeline, Refused> {
    let document = yaml::read(text).map_err(|error| refused(format!("not valid YAML: {error}")))?;
    parse_document(document, before)
}

/// The pipeline in one document; `before` is the one that it replaces.
pub fn parse_document(mut document: Value, before: Option<&SmsPipeline>) -> Result<SmsPipeline, Refused> {
    check_kind(&mut document)?;
    let openapi = &SCHEMA.openapi;
    schema::prune_nulls(openapi, &mut document);
    let problems = schema::problems(openapi, &document, "");
    if !problems.is_empty() {
        return Err(Refused(problems));
    }
    // The schema leaves metadata open.
    let mut unknown = BTreeSet::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(&document, &mut track);
    let parsed = serde_ignored::deserialize(deserializer, |path| {
        let path = path.to_string();
        if path.starts_with("metadata.") {
            unknown.insert(path);
        }
    });
    let pipeline: SmsPipeline = parsed.map_err(|error| refused(format!("{}: {error}", track.path())))?;
    if !unknown.is_empty() {
        return Err(Refused(unknown.into_iter().map(|field| format!("unknown field \"{field}\"")).collect()));
    }
    if pipeline.meta().name.is_none() {
        return Err(refused("metadata.name: Required value".to_owned()));
    }
    check_rules(&pipeline, before)?;
    Ok(pipeline)
}

/// The schema of the CRD, and its rules compiled, which takes longer than all else.
struct Schema {
    openapi: JSONSchemaProps,
    rules: CompiledSchema,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let version = SmsPipeline::crd().spec.versions.into_iter().next();
    let openapi = version.and_then(|version| version.schema?.open_api_v3_schema).expect("the CRD has a schema");
    let rules = compile_schema(&serde_json::to_value(&openapi).expect("a schema encodes"));
    Schema { openapi, rules }
});

/// Takes version and kind away, which the type says itself.
fn check_kind(document: &mut Value) -> Result<(), Refused> {
    let (version, kind) = (SmsPipeline::api_version(&()), SmsPipeline::kind(&()));
    for (field, expected) in [("apiVersion", version), ("kind", kind)] {
        let found = document.as_object_mut().and_then(|fields| fields.remove(field));
        match found.as_ref().and_then(Value::as_str) {
            Some(found) if found == expected => {}
            Some(found) => return Err(refused(format!("{field}: must be {expected:?}, not {found:?}"))),
            None => return Err(refused(format!("{field}: Required value, must be {expected:?}"))),
        }
    }
    Ok(())
}

/// The CEL rules of the CRD, those about a change too.
fn check_rules(pipeline: &SmsPipeline, before: Option<&SmsPipeline>) -> Result<(), Refused> {
    let encode = |pipeline| serde_json::to_value(pipeline).expect("a pipeline encodes");
    let before = before.map(encode);
    let result = Validator::new().validate_compiled(&SCHEMA.rules, &encode(pipeline), before.as_ref());
    result.map_err(|errors| {
        Refused(errors.as_slice().iter().map(|error| format!("{}: {}", error.field_path, error.message)).collect())
    })
}

fn refused(line: String) -> Refused {
    Refused(vec![line])
}

#[cfg(test)]
mod http_provider;
#[cfg(test)]
mod kafka_security;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::NumberValidation;

    pub(super) const EXAMPLE: &str = include_str!("../../crds/examples/quickstart.yaml");

    const WITH_API_KEYS: &str = include_str!("../../crds/examples/api-keys.yaml");

    #[track_caller]
    fn check_refused(from: &str, to: &str, expected: &str) {
        check_example_refused(EXAMPLE, from, to, expected);
    }

    #[track_caller]
    pub(super) fn check_example_refused(example: &str, from: &str, to: &str, expected: &str) {
        let text = example.replacen(from, to, 1);
        assert_ne!(text, example, "{from:?} is in the example");
        let refused = parse(&text, None).expect_err("refused");
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn every_example_is_accepted() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/examples");
        let mut accepted = 0;
        for example in std::fs::read_dir(folder).expect("crds/examples is a folder") {
            let path = example.expect("crds/examples is readable").path();
            let text = std::fs::read_to_string(&path).expect("the example is readable");
            parse(&text, None).unwrap_or_else(|refused| panic!("{}: {refused}", path.display()));
            accepted += 1;
        }
        assert!(accepted > 0, "crds/examples is empty");
    }

    #[test]
    fn what_the_quickstart_example_leaves_out_has_its_default() {
        let spec = parse(EXAMPLE, None).expect("accepted").spec;
        assert_eq!(spec.kafka.topics.retention, "7d");
        assert_eq!(spec.api.rate_limit, None);
        assert_eq!((spec.messages.retention.as_str(), spec.messages.idempotency_retention.as_str()), ("90d", "24h"));
        assert_eq!(spec.messages.number_validation, NumberValidation::Pattern);
        assert_eq!((spec.retry_failed.every.as_str(), spec.retry_failed.max_attempts), ("30s", 3));
    }

    #[test]
    fn a_pipeline_must_say_who_may_use_its_api_in_exactly_one_way() {
        let expected = "spec.api.authentication: authentication must hold either apiKeysSecretRef: { name: SECRET }, \
            which lets in whoever has one of the keys in the Secret, or anonymous: {}, which lets in everybody";
        for refused in ["{}", "{ anonymous: {}, apiKeysSecretRef: { name: keys } }", "{ anonymous: null }"] {
            check_refused("{ anonymous: {} }", refused, expected);
        }
        check_refused("    authentication: { anonymous: {} }\n", "", "spec.api.authentication: Required value");
        check_refused(
            "  api:\n    replicas: 1\n",
            "  other:\n    replicas: 1\n",
            "spec.api: Required value\nunknown field \"spec.other\"",
        );
    }

    #[test]
    fn the_key_of_the_api_keys_secret_has_a_default() {
        let text = WITH_API_KEYS.replacen("{ name: notifications-api-keys, key: keys.json }", "{ name: keys }", 1);
        let pipeline = parse(&text, None).expect("accepted");
        let reference = pipeline.spec.api.authentication.api_keys_secret_ref.expect("keys");
        assert_eq!((reference.name.as_str(), reference.key.as_str()), ("keys", "keys.json"));
    }

    #[test]
    fn settings_of_the_api_out_of_range_are_refused_by_their_fields() {
        for (from, to, expected) in [
            (
                "requestsPerSecond: 500",
                "requestsPerSecond: 0",
                "spec.api.rateLimit.requestsPerSecond: requestsPerSecond must be from 1 to 1000000",
            ),
            ("burst: 1000", "burst: 0", "spec.api.rateLimit.burst: burst must be from 1 to 1000000"),
            (
                "idempotencyRetention: 24h",
                "idempotencyRetention: 0h",
                "spec.messages.idempotencyRetention: idempotencyRetention must be a whole number with a unit s, m or h, such as 24h",
            ),
            (
                "every: 30s",
                "every: 1.5s",
                "spec.retryFailed.every: every must be a whole number with a unit s, m or h, such as 30s",
            ),
            ("maxAttempts: 3", "maxAttempts: 0", "spec.retryFailed.maxAttempts: maxAttempts must be from 1 to 100"),
        ] {
            check_example_refused(WITH_API_KEYS, from, to, expected);
        }
    }

    #[test]
    fn a_number_out_of_range_is_refused_by_its_field() {
        check_refused(
            "partitions: 6",
            "partitions: 0",
            "spec.kafka.topics.partitions: partitions must be from 1 to 1000",
        );
    }

    #[test]
    fn what_the_schema_bounds_is_refused_by_its_field_and_what_is_null_is_as_if_it_were_absent() {
        for (from, to, expected) in [
            (
                "{ anonymous: {} }",
                "{ anonymous: [] }",
                "spec.api.authentication.anonymous: must be of type object, not array",
            ),
            (
                "replicas: 1",
                "nodeSelector: { disk: 1 }",
                "spec.api.nodeSelector.disk: must be of type string, not integer",
            ),
            ("replicas: 1", "replicas: 2147483648", "spec.api.replicas: 2147483648 is no 32-bit integer"),
            (
                "replicas: 1",
                "env: [{ name: A, value: a }, { name: A, value: b }]",
                "spec.api.env[1]: Duplicate value: \"A\"",
            ),
            (
                "prefix: sms",
                "onDelete: Keep",
                "spec.kafka.topics.onDelete: Unsupported value: \"Keep\": supported values: \"Retain\", \"Delete\"",
            ),
            (
                "replicas: 1",
                "httpRoute: { parentRefs: [{ name: a, namespace: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }] }",
                "spec.api.httpRoute.parentRefs[0].namespace: Too long: may not be more than 63 characters",
            ),
        ] {
            check_refused(from, to, expected);
        }
        let text = EXAMPLE.replacen("partitions: 6", "partitions: null", 1);
        assert_eq!(parse(&text, None).expect("accepted").spec.kafka.topics.partitions, 6);
    }

    #[test]
    fn a_malformed_duration_is_refused_by_its_field() {
        check_refused(
            "minDelay: 1s",
            "minDelay: fast",
            "spec.processor.provider.simulated.minDelay: minDelay must be a whole number with a unit ms, s, m or h, such as 1s",
        );
    }

    #[test]
    fn fields_that_contradict_each_other_are_refused() {
        check_refused(
            "minDelay: 1s",
            "minDelay: 1m",
            "spec.processor.provider.simulated: minDelay must not be longer than maxDelay",
        );
    }

    #[test]
    fn a_provider_s_limits_are_checked() {
        for (from, to, field, message) in [
            (
                "provider:\n",
                "provider:\n      timeout: 0s\n",
                ".timeout",
                "timeout must be a whole number above 0 with a unit ms, s, m or h, such as 30s",
            ),
            (
                "provider:\n",
                "provider:\n      maxConnections: 0\n",
                ".maxConnections",
                "maxConnections must be from 1 to 1000000",
            ),
            (
                "provider:\n",
                "provider:\n      messagesPerSecond: 0\n",
                ".messagesPerSecond",
                "messagesPerSecond must be from 1 to 1000000",
            ),
            (
                "failurePercent: 10",
                "throttlePercent: -1",
                ".simulated.throttlePercent",
                "throttlePercent must be from 0 to 100",
            ),
            ("      simulated: {", "      timeout: 5s #{", "", "provider must hold either simulated or http"),
            (
                "      simulated: {",
                "      http: { url: \"https://sms.example/\" }\n      simulated: {",
                "",
                "provider must hold either simulated or http",
            ),
        ] {
            check_refused(from, to, &format!("spec.processor.provider{field}: {message}"));
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        check_refused("replicas: 1", "replica: 1", "unknown field \"spec.api.replica\"");
        let variable = "replicas: 1\n    env: [{ name: A, valu: b }]";
        check_refused("replicas: 1", variable, "unknown field \"spec.api.env[0].valu\"");
        check_refused("metadata:\n", "metadata:\n  lables: {}\n", "unknown field \"metadata.lables\"");
    }

    #[test]
    fn a_missing_field_is_named_with_its_place() {
        check_refused(
            "    urlSecretRef: { name: notifications-db, key: uri }",
            "    {}",
            "spec.database.urlSecretRef: Required value",
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_place() {
        let text = EXAMPLE.replacen("partitions: 6", "partitions: six", 1);
        let refused = parse(&text, None).expect_err("refused").to_string();
        assert_eq!(refused, "spec.kafka.topics.partitions: must be of type integer, not string");
    }

    #[test]
    fn another_kind_is_refused() {
        check_refused("kind: SmsPipeline", "kind: Pipeline", "kind: must be \"SmsPipeline\", not \"Pipeline\"");
    }

    #[test]
    fn partitions_cannot_shrink() {
        let before = parse(EXAMPLE, None).expect("accepted");
        let refused = parse(&EXAMPLE.replacen("partitions: 6", "partitions: 5", 1), Some(&before));
        assert_eq!(
            refused.expect_err("refused").to_string(),
            "spec.kafka.topics: partitions cannot shrink: Kafka cannot remove partitions"
        );
    }

    #[test]
    fn partitions_grow_only_when_that_is_acknowledged() {
        let before = parse(EXAMPLE, None).expect("accepted");
        let grown = EXAMPLE.replacen("partitions: 6", "partitions: 8", 1);
        let refused = parse(&grown, Some(&before)).expect_err("refused").to_string();
        assert!(refused.contains("only with partitionGrowth: Acknowledge"), "{refused}");
        let acknowledged = grown.replacen("partitions: 8", "partitions: 8\n      partitionGrowth: Acknowledge", 1);
        parse(&acknowledged, Some(&before)).expect("accepted");
    }

    #[test]
    fn the_prefix_of_the_topics_cannot_change() {
        let before = parse(EXAMPLE, None).expect("accepted");
        let refused = parse(&EXAMPLE.replacen("prefix: sms", "prefix: text", 1), Some(&before));
        assert!(refused.expect_err("refused").to_string().starts_with("spec.kafka.topics: prefix cannot be changed"));
    }
}
