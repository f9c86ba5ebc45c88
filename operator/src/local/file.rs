//! Reads an SmsPipeline from a file and refuses what the API server would refuse, with the same words. Pure.

use std::collections::BTreeSet;

use kube::{Resource, ResourceExt};
use serde_json::Value;

use crate::{crd::SmsPipeline, yaml};

/// Namespace of a pipeline whose file names none, as `kubectl apply` has it.
const DEFAULT_NAMESPACE: &str = "default";

/// Why a file is no usable SmsPipeline: one line for each field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Refused(pub Vec<String>);

/// The pipeline in `text`; `before` is the one that it replaces.
pub fn parse(text: &str, before: Option<&SmsPipeline>) -> Result<SmsPipeline, Refused> {
    let mut document: Value = yaml::read(text).map_err(|error| refused(format!("not valid YAML: {error}")))?;
    check_kind(&mut document)?;
    let mut unknown = BTreeSet::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(&document, &mut track);
    let parsed = serde_ignored::deserialize(deserializer, |path| {
        unknown.insert(path.to_string());
    });
    let mut pipeline: SmsPipeline = parsed.map_err(|error| refused(format!("{}: {error}", track.path())))?;
    if !unknown.is_empty() {
        return Err(Refused(unknown.into_iter().map(|field| format!("unknown field \"{field}\"")).collect()));
    }
    if pipeline.meta().name.is_none() {
        return Err(refused("metadata.name: Required value".to_owned()));
    }
    pipeline.meta_mut().namespace.get_or_insert_with(|| DEFAULT_NAMESPACE.to_owned());
    check_rules(&pipeline, before)?;
    pipeline.meta_mut().uid = Some(format!("local-{}", pipeline.name_any()));
    Ok(pipeline)
}

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
    let result = match before {
        Some(before) => pipeline.validate_cel_update(before),
        None => pipeline.validate_cel(),
    };
    result.map_err(|errors| {
        Refused(errors.as_slice().iter().map(|error| format!("{}: {}", error.field_path, error.message)).collect())
    })
}

fn refused(line: String) -> Refused {
    Refused(vec![line])
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../crds/examples/quickstart.yaml");

    #[track_caller]
    fn check_refused(from: &str, to: &str, expected: &str) {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from:?} is in the example");
        let refused = parse(&text, None).expect_err("refused");
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn the_quickstart_example_is_accepted() {
        let pipeline = parse(EXAMPLE, None).expect("accepted");
        assert_eq!(pipeline.spec.kafka.topics.retention, "7d");
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
    fn an_unknown_field_is_refused() {
        check_refused("replicas: 1", "replica: 1", "unknown field \"spec.api.replica\"");
    }

    #[test]
    fn a_missing_field_is_named_with_its_place() {
        check_refused(
            "    urlSecretRef: { name: notifications-db, key: uri }",
            "    {}",
            "spec.database: missing field `urlSecretRef`",
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_place() {
        let text = EXAMPLE.replacen("partitions: 6", "partitions: six", 1);
        let refused = parse(&text, None).expect_err("refused").to_string();
        assert!(refused.starts_with("spec.kafka.topics.partitions: invalid type: string \"six\""), "{refused}");
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
