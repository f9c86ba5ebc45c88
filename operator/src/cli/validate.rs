//! `validate`: what the API server and the operator would refuse, told without a cluster.

use super::{
    Answer, Outcome,
    documents::{Document, documents, name, usable},
    read,
};
use crate::config::Validate;

/// Checks the file.
pub fn run(settings: &Validate) -> anyhow::Result<Answer> {
    let (file, text) = read(&settings.documents.file)?;
    validate(&file, &text)
}

/// One line for each pipeline that is valid, for each problem of the others, and for what is skipped.
fn validate(file: &str, text: &str) -> anyhow::Result<Answer> {
    let (mut lines, mut outcome) = (Vec::new(), Outcome::Good);
    for document in documents(file, text)? {
        match document {
            Document::Other(object) => lines.push(format!("{object} is skipped: it is no SmsPipeline")),
            Document::Unreadable(problem) => {
                lines.push(problem);
                outcome = Outcome::Found;
            }
            Document::Pipeline(document) => {
                let name = name(&document);
                match usable(document, None) {
                    Ok(_) => lines.push(format!("SmsPipeline {name} is valid")),
                    Err(problems) => {
                        lines.extend(problems);
                        outcome = Outcome::Found;
                    }
                }
            }
        }
    }
    let printed = lines.iter().flat_map(|line| [file, ": ", line, "\n"]).collect();
    Ok(Answer { printed, notes: String::new(), outcome })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Documents;

    const EXAMPLE: &str = include_str!("../../../crds/examples/quickstart.yaml");
    const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: { name: notifications-db }\n";

    #[track_caller]
    fn check(text: &str, expected: &str, outcome: Outcome) {
        let answer = validate("a.yaml", text).expect("an answer");
        assert_eq!((answer.printed.as_str(), answer.outcome), (expected, outcome));
    }

    #[track_caller]
    fn check_refused(from: &str, to: &str, expected: &str) {
        let text = EXAMPLE.replacen(from, to, 1);
        assert_ne!(text, EXAMPLE, "{from:?} is in the example");
        check(&text, &format!("a.yaml: {expected}\n"), Outcome::Found);
    }

    #[test]
    fn every_example_is_valid() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples");
        for example in std::fs::read_dir(folder).expect("crds/examples is a folder") {
            let file = example.expect("crds/examples is readable").path();
            let answer = run(&Validate { documents: Documents { file: file.clone() } }).expect("an answer");
            let expected = format!("{}: SmsPipeline notifications is valid\n", file.display());
            assert_eq!((answer.printed, answer.outcome), (expected, Outcome::Good));
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_field() {
        check_refused(
            "partitions: 6",
            "partitions: 0",
            "notifications: spec.kafka.topics.partitions: partitions must be from 1 to 1000",
        );
        check_refused("replicas: 1", "replica: 1", "notifications: unknown field \"spec.api.replica\"");
        check_refused(
            "  name: notifications\n",
            "  labels: {}\n",
            "SmsPipeline without a name: metadata.name: Required value",
        );
        check_refused("kind: SmsPipeline\n", "", "notifications: kind: Required value, must be \"SmsPipeline\"");
        check_refused(
            "kind: SmsPipeline\n",
            "kind: SmsPipelines\n",
            "notifications: kind: must be \"SmsPipeline\", not \"SmsPipelines\"",
        );
        check_refused(
            "v1alpha1",
            "v1",
            "notifications: apiVersion: must be \"smspipeline.dev/v1alpha1\", not \"smspipeline.dev/v1\"",
        );
    }

    #[test]
    fn what_only_the_operator_refuses_is_told_too() {
        check_refused(
            "    replicas: 1\n",
            "    replicas: 1\n    env: [{ name: HTTP_ADDRESS, value: \"0.0.0.0:80\" }]\n",
            "notifications: spec.api.env[0].name: HTTP_ADDRESS is set by the operator: take it out",
        );
        check_refused(
            "    replicas: 1\n",
            "    replicas: 1\n    resources: { limits: { memory: 512MB } }\n",
            "notifications: spec.api.resources.limits.memory: must be a number, with a unit where needed, as in 250m, 1 \
             or 512Mi",
        );
    }

    #[test]
    fn each_document_of_a_file_is_looked_at_and_other_kinds_are_skipped() {
        let second =
            EXAMPLE.replacen("name: notifications\n", "name: other\n", 1).replacen("prefix: sms", "prefix: '#'", 1);
        let answer = validate("a.yaml", &format!("{SECRET}---\n{EXAMPLE}---\n---\n{second}")).expect("an answer");
        let lines: Vec<_> = answer.printed.lines().collect();
        assert_eq!(
            lines[..2],
            [
                "a.yaml: Secret notifications-db is skipped: it is no SmsPipeline",
                "a.yaml: SmsPipeline notifications is valid",
            ]
        );
        assert!(lines[2].starts_with("a.yaml: other: spec.kafka.topics.prefix: "), "{lines:?}");
        assert_eq!((lines.len(), answer.outcome), (3, Outcome::Found));
    }

    #[test]
    fn what_is_no_yaml_is_refused() {
        let answer = validate("a.yaml", "kind: [").expect("an answer");
        assert!(answer.printed.starts_with("a.yaml: not valid YAML: "), "{}", answer.printed);
        assert_eq!(answer.outcome, Outcome::Found);
    }

    #[test]
    fn a_file_without_a_pipeline_is_an_error() {
        for text in ["", SECRET] {
            let error = validate("a.yaml", text).expect_err("no pipeline");
            assert_eq!(error.to_string(), "there is no SmsPipeline in a.yaml");
        }
    }
}
