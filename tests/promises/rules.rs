//! Every rule of the CRD on a real API server, which compiles and evaluates CEL by other code than local mode does.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::GroupVersionKind,
    discovery::ApiResource,
};
use serde_json::Value;
use tests::Cluster;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../operator/rules");

/// One row of `operator/rules/`: what a rule accepts and what it refuses. `operator/src/crd/rules.rs` says how it reads.
pub(crate) struct Row(Value);

impl Row {
    pub(crate) fn all() -> Vec<Self> {
        let files = std::fs::read_dir(FOLDER).expect("operator/rules is a folder");
        let files: BTreeSet<_> = files.map(|file| file.expect("readable").path()).collect();
        let texts = files.into_iter().map(|file| std::fs::read_to_string(file).expect("readable"));
        texts.flat_map(|text| serde_json::from_str::<Vec<Value>>(&text).expect("rows")).map(Self).collect()
    }

    fn cases(&self, which: &str) -> impl Iterator<Item = &Value> {
        self.0[which].as_array().into_iter().flatten()
    }

    /// The example that the cases change.
    fn base(&self) -> &str {
        self.0["base"].as_str().unwrap_or("quickstart")
    }

    /// What its rule accepts.
    pub(crate) fn accepted(&self, examples: &BTreeMap<String, Value>) -> Vec<Value> {
        self.cases("accepted").map(|case| self.object(examples, case)).collect()
    }

    fn pipeline(&self, examples: &BTreeMap<String, Value>, case: &Value) -> DynamicObject {
        serde_json::from_value(self.object(examples, case)).expect("an object has metadata")
    }

    fn object(&self, examples: &BTreeMap<String, Value>, case: &Value) -> Value {
        let mut object = examples[self.base()].clone();
        for (pointer, value) in case.as_object().into_iter().flatten() {
            let (parents, field) = pointer.rsplit_once('/').expect("a JSON pointer");
            let parent = parents.split('/').skip(1).fold(&mut object, |object, name| &mut object[name]);
            if value.is_null() {
                parent.as_object_mut().expect("an object").remove(field);
            } else {
                parent[field] = value.clone();
            }
        }
        object
    }
}

/// The examples by their names, as JSON, which kubectl makes of them.
pub(crate) fn examples(cluster: &Cluster) -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(format!("{FOLDER}/../../crds/examples")).expect("crds/examples is a folder");
    let read = |file: PathBuf| {
        let name = file.file_stem().expect("a name").display().to_string();
        let file = file.display().to_string();
        let arguments = ["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", &file];
        (name, serde_json::from_str(&cluster.kubectl(&arguments)).expect("kubectl prints JSON"))
    };
    files.map(|file| read(file.expect("readable").path())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_the_crd_accepts_and_refuses_the_same_on_an_api_server() {
    let cluster = Cluster::namespace().await;
    let kind = GroupVersionKind::gvk("smspipeline.dev", "v1alpha1", "SmsPipeline");
    let resource = ApiResource::from_gvk(&kind);
    let api = Api::<DynamicObject>::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let rows = Row::all();
    let examples = examples(&cluster);
    for row in rows {
        let before = match &row.0["before"] {
            Value::Null => None,
            before => {
                let before = row.pipeline(&examples, before);
                Some(api.create(&PostParams::default(), &before).await.expect("the old one is accepted"))
            }
        };
        let answer = async |case: &Value| {
            let mut pipeline = row.pipeline(&examples, case);
            match &before {
                None => api.create(&dry_run, &pipeline).await,
                Some(before) => {
                    pipeline.metadata.resource_version.clone_from(&before.metadata.resource_version);
                    api.replace("notifications", &dry_run, &pipeline).await
                }
            }
        };
        let (at, rule) = (&row.0["at"], row.0["rule"].as_str().expect("a row has a rule"));
        for case in row.cases("accepted") {
            let answer = answer(case).await;
            assert!(answer.is_ok(), "{at} {case}: {answer:?}");
        }
        for case in row.cases("refused") {
            let refused = answer(case).await.expect_err("refused").to_string();
            assert!(refused.contains(rule), "{at} {case}: {refused}");
        }
        if before.is_some() {
            cluster.kubectl(&["delete", "smsp", "notifications"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quantity_that_kubernetes_would_not_read_is_refused_by_an_api_server() {
    let cluster = Cluster::namespace().await;
    for (quantity, accepted) in [("512MB", false), ("\"-1\"", false), ("512Mi", true), ("1", true), ("\"1.5\"", true)] {
        let manifest = include_str!("../../crds/examples/quickstart.yaml")
            .replace("  api:\n", &format!("  api:\n    resources: {{ limits: {{ memory: {quantity} }} }}\n"));
        let file = cluster.file("pipeline.yaml", &manifest);
        let answer = cluster.try_kubectl(&["apply", "--dry-run=server", "-f", &file.display().to_string()]);
        let error = String::from_utf8_lossy(&answer.stderr);
        assert_eq!(answer.status.success(), accepted, "{quantity}: {error}");
        assert!(accepted || error.contains("spec.api.resources.limits.memory"), "{error}");
    }
}
