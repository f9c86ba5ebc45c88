//! `diff`: what applying the file would change in the cluster of the current kubeconfig: the spec of the resource, which
//! topics and the autoscaler follow, and the objects that are made of it. Writes nothing.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
};

use anyhow::{Context, anyhow, bail};
use kube::{Api, Client, ResourceExt, api::DynamicObject};
use serde_json::{Value, json};
use similar::TextDiff;

use super::{
    Answer, Outcome,
    documents::{Document, documents, name, namespace, usable},
    placeholders, read,
};
use crate::{
    config::Diff,
    controller::{
        apply::{Change, Served, images_in_use, preview},
        build::build,
        dereference::{Referenced, processors, read_secrets},
        kinds,
        validate::{DefaultImages, validate},
    },
    crd::{SmsPipeline, SmsPipelineSpec},
    yaml,
};

/// Where `kubectl apply` keeps what it applied, values of Secrets too.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Compares the file with the cluster.
pub async fn run(settings: &Diff) -> anyhow::Result<Answer> {
    let (file, text) = read(&settings.documents.file)?;
    let documents = documents(&file, &text)?;
    let client = Client::try_default().await.context("found neither a kubeconfig nor a ServiceAccount to use")?;
    let mut answer = Answer::default();
    for document in documents {
        match document {
            Document::Other(object) => {
                let _ = writeln!(answer.notes, "{file}: {object} is skipped: it is no SmsPipeline");
            }
            Document::Unreadable(problem) => bail!("{file}: {problem}"),
            Document::Pipeline(document) => {
                let refused = |problems: Vec<String>| {
                    let lines: Vec<_> = problems.iter().map(|problem| format!("{file}: {problem}")).collect();
                    anyhow!("the file is refused:\n{}", lines.join("\n"))
                };
                Box::pin(compare(&client, settings, document, refused, &mut answer)).await?;
            }
        }
    }
    if !answer.printed.is_empty() {
        answer.outcome = Outcome::Found;
    }
    if io::stdout().is_terminal() {
        answer.printed = coloured(&answer.printed);
    }
    Ok(answer)
}

async fn compare(
    client: &Client,
    settings: &Diff,
    document: Value,
    refused: impl Fn(Vec<String>) -> anyhow::Error,
    answer: &mut Answer,
) -> anyhow::Result<()> {
    let name = name(&document);
    let mut pipeline = usable(document.clone(), None).map_err(&refused)?;
    let namespace = namespace(&pipeline, settings.namespace.as_deref()).map_err(|problem| refused(vec![problem]))?;
    let namespace = namespace.unwrap_or_else(|| client.default_namespace().to_owned());
    let live = Api::<SmsPipeline>::namespaced(client.clone(), &namespace).get_opt(&name).await;
    let live = live.with_context(|| format!("failed to read SmsPipeline {name:?}"))?;
    if let Some(live) = &live {
        pipeline = usable(document, Some(live)).map_err(&refused)?;
    }
    pipeline.metadata.namespace = Some(namespace);
    let uid = live.as_ref().and_then(ResourceExt::uid);
    pipeline.metadata.uid = Some(uid.unwrap_or_else(|| placeholders::UID.to_owned()));
    if let Some(by) = pipeline.paused_by() {
        let _ =
            writeln!(answer.notes, "{name}: {by} says that nothing is changed: this is what follows when it goes on");
    }
    let images = images(client, settings, &pipeline, live.as_ref()).await?;
    let mut referenced = read_secrets(client, &pipeline).await?;
    // What the autoscaler asks for is no change.
    referenced.processors = processors(client, &pipeline).await?;
    if let Err(invalid) = validate(&pipeline, &referenced, &images) {
        let _ = writeln!(answer.notes, "{name}: {invalid}; until then the operator changes nothing");
        referenced = Referenced {
            internal_tokens: referenced.internal_tokens,
            processors: referenced.processors,
            ..placeholders::referenced(&pipeline)
        };
    }
    let desired = build(&validate(&pipeline, &referenced, &images)?);
    let served = Served::default().kinds(client).await?;
    let preview = preview(client, &served, &desired).await?;
    for sentence in preview.left_out {
        let _ = writeln!(answer.notes, "{name}: {sentence}");
    }
    let spec = |pipeline: &SmsPipeline| json!({ "spec": pipeline.spec });
    answer.printed += &unified(&format!("SmsPipeline/{name}"), live.as_ref().map(spec), Some(spec(&pipeline)))?;
    for change in &preview.changes {
        answer.printed += &difference(change)?;
    }
    Ok(())
}

/// The images where the pipeline names none: those of the flags, or those that run because `live` names none either, or
/// those of this release.
async fn images(
    client: &Client,
    settings: &Diff,
    pipeline: &SmsPipeline,
    live: Option<&SmsPipeline>,
) -> anyhow::Result<DefaultImages> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let (api, processor) = images_in_use(client, &namespace, &pipeline.name_any()).await?;
    let names = |image: fn(&SmsPipelineSpec) -> &Option<String>| live.is_some_and(|live| image(&live.spec).is_some());
    let api = api.filter(|_| !names(|spec| &spec.api.image));
    let processor = processor.filter(|_| !names(|spec| &spec.processor.image));
    let choose = |flag: &Option<String>, running: Option<String>, default: &str| {
        flag.clone().or(running).unwrap_or_else(|| default.to_owned())
    };
    Ok(DefaultImages {
        api: choose(&settings.api_image, api, placeholders::API_IMAGE),
        processor: choose(&settings.processor_image, processor, placeholders::PROCESSOR_IMAGE),
    })
}

/// The difference that a change makes; empty where it makes none.
fn difference(change: &Change) -> anyhow::Result<String> {
    let (mut before, mut after) = (change.before.as_ref().map(comparable), change.after.as_ref().map(comparable));
    if *change.kind == kinds::SECRET {
        let originals = (before.clone(), after.clone());
        before = before.map(|secret| masked(secret, originals.1.as_ref(), "before"));
        after = after.map(|secret| masked(secret, originals.0.as_ref(), "after"));
    }
    unified(&format!("{}/{}", change.kind.kind, change.name), before, after)
}

/// The lines that differ; empty where none does.
fn unified(object: &str, before: Option<Value>, after: Option<Value>) -> anyhow::Result<String> {
    let path = |side: &str, content: &Option<Value>| match content {
        Some(_) => format!("{side}/{object}"),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (path("live", &before), path("applied", &after));
    let text = |content: Option<Value>| content.map(|content| yaml::write(&content)).transpose();
    let before = text(before).context("failed to render an object")?.unwrap_or_default();
    let after = text(after).context("failed to render an object")?.unwrap_or_default();
    Ok(TextDiff::from_lines(&before, &after).unified_diff().header(&old, &new).to_string())
}

/// The object without what an API server writes by itself at each change.
fn comparable(object: &DynamicObject) -> Value {
    let mut object = object.clone();
    let metadata = &mut object.metadata;
    metadata.managed_fields = None;
    metadata.resource_version = None;
    metadata.generation = None;
    metadata.uid = None;
    metadata.creation_timestamp = None;
    let mut object = serde_json::to_value(object).expect("a Kubernetes object encodes");
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    object
}

/// The Secret with its values hidden; one that differs from that of the `other` is marked with `side`.
fn masked(mut secret: Value, other: Option<&Value>, side: &str) -> Value {
    if let Some(annotations) = secret.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    for field in ["data", "stringData"] {
        let values = secret.get_mut(field).and_then(Value::as_object_mut);
        for (key, value) in values.into_iter().flatten() {
            let differs = other.and_then(|other| other[field].get(key)).is_some_and(|other| other != value);
            *value = if differs { format!("*** ({side})").into() } else { "***".into() };
        }
    }
    secret
}

fn coloured(diff: &str) -> String {
    let line = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("\u{1b}[32m{line}\u{1b}[0m\n"),
        Some(b'-') => format!("\u{1b}[31m{line}\u{1b}[0m\n"),
        Some(b'@') => format!("\u{1b}[36m{line}\u{1b}[0m\n"),
        Some(_) | None => format!("{line}\n"),
    };
    diff.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(content: Value) -> DynamicObject {
        serde_json::from_value(content).expect("an object")
    }

    fn secret(token: &str) -> DynamicObject {
        object(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": "a", "annotations": { LAST_APPLIED: "hunter0" } },
            "data": { "same": "hunter1", "token": token },
        }))
    }

    #[track_caller]
    fn check(kind: &'static kinds::Kind, before: DynamicObject, after: Option<DynamicObject>, expected: &str) {
        let change = Change { kind, name: "a".to_owned(), before: Some(before), after };
        assert_eq!(difference(&change).expect("a difference"), expected);
    }

    #[test]
    fn what_the_api_server_writes_by_itself_is_no_difference() {
        let service = |version: &str| {
            object(json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": { "name": "a", "resourceVersion": version, "generation": 1, "managedFields": [] },
                "spec": { "type": "ClusterIP" },
                "status": { "seen": version },
            }))
        };
        check(&kinds::SERVICE, service("1"), Some(service("2")), "");
        let gone = "--- live/Service/a\n+++ /dev/null\n@@ -1,6 +0,0 @@\n-apiVersion: v1\n-kind: Service\n\
                    -metadata:\n-  name: a\n-spec:\n-  type: ClusterIP\n";
        check(&kinds::SERVICE, service("1"), None, gone);
    }

    #[test]
    fn a_value_of_a_secret_is_never_shown_and_that_it_differs_is() {
        check(&kinds::SECRET, secret("hunter2"), Some(secret("hunter2")), "");
        let expected = "--- live/Secret/a\n+++ applied/Secret/a\n@@ -1,7 +1,7 @@\n apiVersion: v1\n data:\n   \
                        same: '***'\n-  token: '*** (before)'\n+  token: '*** (after)'\n kind: Secret\n metadata:\n   \
                        annotations: {}\n";
        check(&kinds::SECRET, secret("hunter2"), Some(secret("hunter3")), expected);
        let change =
            Change { kind: &kinds::SECRET, name: "a".to_owned(), before: None, after: Some(secret("hunter2")) };
        let added = difference(&change).expect("a difference");
        assert!(added.contains("+  token: '***'") && !added.contains("hunter"), "{added}");
    }
}
