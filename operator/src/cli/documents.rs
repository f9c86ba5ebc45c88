//! The documents of a file: which of them are pipelines, and whether these are usable. Pure.

use anyhow::bail;
use kube::{Resource, ResourceExt};
use serde_json::Value;

use super::placeholders;
use crate::{
    controller::validate::{DefaultImages, validate},
    crd::SmsPipeline,
    file, yaml,
};

/// One document of a file.
#[derive(Debug)]
pub(super) enum Document {
    /// A pipeline, or what is meant to be one.
    Pipeline(Value),
    /// An object of another kind, as in `Secret notifications-db`.
    Other(String),
    /// No YAML; says why.
    Unreadable(String),
}

/// The documents of the file called `file`, at least one of which is meant to be a pipeline.
pub(super) fn documents(file: &str, text: &str) -> anyhow::Result<Vec<Document>> {
    let documents: Vec<_> = yaml::read_all(text)
        .into_iter()
        .map(|document| match document {
            Ok(document) => classified(document),
            Err(error) => Document::Unreadable(format!("not valid YAML: {error}")),
        })
        .collect();
    if documents.iter().all(|document| matches!(document, Document::Other(_))) {
        bail!("there is no SmsPipeline in {file}");
    }
    Ok(documents)
}

fn classified(document: Value) -> Document {
    let text = |pointer| document.pointer(pointer).and_then(Value::as_str);
    let (group, _) = text("/apiVersion").and_then(|version| version.split_once('/')).unwrap_or_default();
    match text("/kind") {
        Some(kind) if kind != SmsPipeline::kind(&()) && group != SmsPipeline::group(&()) => {
            let name = text("/metadata/name").unwrap_or("without a name");
            Document::Other(format!("{kind} {name}"))
        }
        // Without a kind it may be one that somebody forgot to say so of.
        Some(_) | None => Document::Pipeline(document),
    }
}

/// What messages call the pipeline in `document`.
pub(super) fn name(document: &Value) -> String {
    document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("SmsPipeline without a name").to_owned()
}

/// The pipeline in `document`, proven to be one that neither the API server nor the operator refuses, as far as that
/// can be told without its Secrets; `before` is the one that it replaces. One line for each problem.
pub(super) fn usable(document: Value, before: Option<&SmsPipeline>) -> Result<SmsPipeline, Vec<String>> {
    let name = name(&document);
    let told = |problem: &String| format!("{name}: {}", problem.replace('\n', " "));
    let pipeline = file::parse_document(document, before);
    let pipeline = pipeline.map_err(|refused| refused.0.iter().map(told).collect::<Vec<_>>())?;
    let images = DefaultImages { api: String::new(), processor: String::new() };
    match validate(&pipeline, &placeholders::referenced(&pipeline), &images) {
        Ok(_) => Ok(pipeline),
        Err(invalid) => Err(vec![told(&invalid.to_string())]),
    }
}

/// The namespace that the file and a flag tell, which must not contradict each other.
pub(super) fn namespace(pipeline: &SmsPipeline, flag: Option<&str>) -> Result<Option<String>, String> {
    match (pipeline.namespace(), flag) {
        (Some(named), Some(flag)) if named != flag => {
            let name = pipeline.name_any();
            Err(format!("{name}: metadata.namespace: is {named:?}, and --namespace is {flag:?}"))
        }
        (Some(named), _) => Ok(Some(named)),
        (None, flag) => Ok(flag.map(str::to_owned)),
    }
}
