//! `render`: every object that the operator would apply, printed without a cluster.

use std::fmt::Write;

use anyhow::Context;
use kafka::NewTopic;

use super::{
    Answer, Outcome,
    documents::{Document, documents, namespace, usable},
    placeholders, read,
};
use crate::{
    config::Render,
    controller::{
        build::build,
        kinds,
        validate::{DefaultImages, ValidatedPipeline, validate},
    },
    crd::SmsPipeline,
    file::DEFAULT_NAMESPACE,
    yaml,
};

/// Renders the file.
pub fn run(settings: &Render) -> anyhow::Result<Answer> {
    let (file, text) = read(&settings.documents.file)?;
    let images = DefaultImages {
        api: settings.api_image.clone().unwrap_or_else(|| placeholders::API_IMAGE.to_owned()),
        processor: settings.processor_image.clone().unwrap_or_else(|| placeholders::PROCESSOR_IMAGE.to_owned()),
    };
    render(&file, &text, settings.namespace.as_deref(), &images)
}

/// The objects of every usable pipeline, and a note for each problem of the others and for what is skipped.
fn render(file: &str, text: &str, namespace: Option<&str>, images: &DefaultImages) -> anyhow::Result<Answer> {
    let mut answer = Answer::default();
    for document in documents(file, text)? {
        let problems = match document {
            Document::Other(object) => {
                let _ = writeln!(answer.notes, "{file}: {object} is skipped: it is no SmsPipeline");
                continue;
            }
            Document::Unreadable(problem) => vec![problem],
            Document::Pipeline(document) => match usable(document, None).and_then(|found| placed(found, namespace)) {
                Ok(pipeline) => {
                    answer.printed += &objects(&pipeline, images)?;
                    continue;
                }
                Err(problems) => problems,
            },
        };
        answer.outcome = Outcome::Found;
        for problem in problems {
            let _ = writeln!(answer.notes, "{file}: {problem}");
        }
    }
    Ok(answer)
}

/// The pipeline as a cluster might have it.
fn placed(mut pipeline: SmsPipeline, flag: Option<&str>) -> Result<SmsPipeline, Vec<String>> {
    let namespace = namespace(&pipeline, flag).map_err(|problem| vec![problem])?;
    pipeline.metadata.namespace = Some(namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()));
    pipeline.metadata.uid = Some(placeholders::UID.to_owned());
    Ok(pipeline)
}

fn objects(pipeline: &SmsPipeline, images: &DefaultImages) -> anyhow::Result<String> {
    let validated = validate(pipeline, &placeholders::referenced(pipeline), images)?;
    let mut printed = header(&validated);
    for mut object in build(&validated).objects() {
        if *object.kind == kinds::SECRET {
            for value in object.content.data["data"].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
                *value = placeholders::TOKEN.into();
            }
        }
        printed += "---\n";
        printed += &yaml::write(&object.content).context("failed to render an object")?;
    }
    Ok(printed)
}

/// What is no object, as comments.
fn header(pipeline: &ValidatedPipeline) -> String {
    let topics = pipeline.kafka.topics.all();
    let topics: String = topics.map(topic).concat();
    format!(
        "---\n\
         # SmsPipeline {}/{}.\n\
         # Placeholders: the uid of the owner is {}, the token of internal calls is {:?},\n\
         # and what ends in SECRETS_VERSION is not that of your Secrets.\n\
         # Topics at {}, made where they are missing:\n{topics}",
        pipeline.namespace,
        pipeline.name,
        placeholders::UID,
        placeholders::TOKEN,
        pipeline.kafka.settings.bootstrap_servers,
    )
}

fn topic(topic: &NewTopic) -> String {
    let (name, partitions, replication) = (&topic.name, topic.partitions, topic.replication_factor);
    let mut line = format!("#   {name}: partitions={partitions}, replication.factor={replication}");
    for (name, value) in &topic.config {
        let _ = write!(line, ", {name}={value}");
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::controller::fixtures::images;

    const EXAMPLE: &str = include_str!("../../../crds/examples/quickstart.yaml");

    fn rendered(text: &str, namespace: Option<&str>) -> Answer {
        render("a.yaml", text, namespace, &images()).expect("an answer")
    }

    fn read_back(printed: &str) -> Vec<Value> {
        yaml::read_all(printed).into_iter().map(|document| document.expect("valid YAML")).collect()
    }

    #[test]
    fn every_example_becomes_objects_that_name_their_kind_owner_and_namespace() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples");
        for example in std::fs::read_dir(folder).expect("crds/examples is a folder") {
            let path = example.expect("crds/examples is readable").path();
            let answer = rendered(&std::fs::read_to_string(&path).expect("readable"), Some("messaging"));
            assert_eq!((answer.notes.as_str(), answer.outcome), ("", Outcome::Good), "{}", path.display());
            let objects = read_back(&answer.printed);
            assert!(objects.len() > 8, "{}", path.display());
            for object in objects {
                assert!(object["kind"].is_string() && object["apiVersion"].is_string(), "{object}");
                assert_eq!(object["metadata"]["namespace"], "messaging");
                assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], placeholders::UID);
            }
        }
    }

    #[test]
    fn no_value_of_a_secret_is_shown() {
        let secured = include_str!("../../../crds/examples/secured-kafka.yaml");
        for text in [EXAMPLE, secured] {
            let answer = rendered(text, None);
            let objects = read_back(&answer.printed);
            let secrets: Vec<_> = objects.iter().filter(|object| object["kind"] == "Secret").collect();
            assert_eq!(secrets.len(), 1);
            assert_eq!(secrets[0]["data"], serde_json::json!({ "token": placeholders::TOKEN }));
            for value in ["-----", "postgresql:", "placeholder\n"] {
                assert!(!answer.printed.contains(value), "{value:?} in {}", answer.printed);
            }
        }
    }

    #[test]
    fn the_same_file_becomes_the_same_text() {
        assert_eq!(rendered(EXAMPLE, None), rendered(EXAMPLE, None));
    }

    #[test]
    fn topics_are_told_as_comments() {
        let printed = rendered(EXAMPLE, None).printed;
        let expected = "# Topics at kafka-bootstrap.kafka:9092, made where they are missing:\n\
                        #   sms.requests: partitions=6, replication.factor=1, retention.ms=604800000\n";
        assert!(printed.contains(expected), "{printed}");
    }

    #[test]
    fn images_and_the_namespace_are_those_asked_for() {
        let printed = rendered(EXAMPLE, Some("messaging")).printed;
        assert!(printed.contains("image: sms-api:test") && printed.contains("image: sms-processor:test"), "{printed}");
        let named = EXAMPLE.replacen("  name: notifications\n", "  name: notifications\n  namespace: sms\n", 1);
        assert!(rendered(&named, None).printed.starts_with("---\n# SmsPipeline sms/notifications.\n"));
        let answer = rendered(&named, Some("messaging"));
        let expected = "a.yaml: notifications: metadata.namespace: is \"sms\", and --namespace is \"messaging\"\n";
        assert_eq!((answer.notes.as_str(), answer.outcome), (expected, Outcome::Found));
        assert!(answer.printed.is_empty(), "{}", answer.printed);
    }

    #[test]
    fn what_is_refused_is_told_and_not_rendered() {
        let answer = rendered(&EXAMPLE.replacen("partitions: 6", "partitions: 0", 1), None);
        let expected = "a.yaml: notifications: spec.kafka.topics.partitions: partitions must be from 1 to 1000\n";
        assert_eq!((answer.notes.as_str(), answer.printed.as_str()), (expected, ""));
        assert_eq!(answer.outcome, Outcome::Found);
    }
}
