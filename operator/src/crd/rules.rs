//! The cases of `operator/rules/`: for each CEL rule of the CRD, what it accepts and what it refuses. Here they are tried
//! without a cluster, as local mode does; `tests/promises/rules.rs` tries the same ones on an API server.
//!
//! A case sets fields of an example, by JSON pointers; `null` takes a field away. `before` makes it an update.

use std::collections::{BTreeMap, BTreeSet};

use kube::{
    CustomResourceExt,
    core::cel::{CompiledSchema, Validator, compile_schema},
};
use serde::Deserialize;
use serde_json::Value;

use super::SmsPipeline;

type Case = BTreeMap<String, Value>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// Where the rule is, with `[]` for items and `{}` for values.
    at: String,
    /// Its message.
    rule: String,
    /// The example that the cases change; quickstart when absent.
    base: Option<String>,
    /// What the example was like before an update.
    before: Option<Case>,
    accepted: Vec<Case>,
    refused: Vec<Case>,
}

/// One rule of the CRD.
#[derive(Debug)]
struct Rule {
    at: String,
    message: String,
    /// Where the rule's schema is.
    pointer: String,
    /// Which of the rules there it is.
    number: usize,
}

fn rows() -> Vec<Row> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
    let files = std::fs::read_dir(folder).expect("rules/ is a folder").map(|file| file.expect("readable").path());
    let files: BTreeSet<_> = files.collect();
    files.into_iter().flat_map(|file| read(&std::fs::read_to_string(file).expect("the file is readable"))).collect()
}

fn read(text: &str) -> Vec<Row> {
    serde_json::from_str(text).expect("the file holds rows")
}

/// What the rules accept, each with the place of its rule.
pub(crate) fn accepted() -> Vec<(String, Value)> {
    let of_row = |row: &Row| row.accepted.iter().map(|case| (row.at.clone(), row.object(case))).collect::<Vec<_>>();
    rows().iter().flat_map(of_row).collect()
}

impl Row {
    fn object(&self, case: &Case) -> Value {
        let example = self.base.as_deref().unwrap_or("quickstart");
        let path = format!("{}/../crds/examples/{example}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("the example is there");
        let mut object: Value = crate::yaml::read(&text).expect("the example is YAML");
        for (pointer, value) in case {
            set(&mut object, pointer, value);
        }
        object
    }

    fn pipeline(&self, case: &Case) -> SmsPipeline {
        serde_json::from_value(self.object(case)).unwrap_or_else(|error| panic!("{}: {case:?}: {error}", self.at))
    }

    /// The messages with which a case is refused, as `validate_cel` and `validate_cel_update` have them: these compile the
    /// CRD's schema each time.
    fn messages(&self, schema: &CompiledSchema, case: &Case) -> Vec<String> {
        let encode = |case| serde_json::to_value(self.pipeline(case)).expect("a pipeline encodes");
        let before = self.before.as_ref().map(encode);
        let result = Validator::new().validate_compiled(schema, &encode(case), before.as_ref());
        let errors = result.err().map(|errors| errors.as_slice().to_vec()).unwrap_or_default();
        errors.into_iter().map(|error| error.message).collect()
    }
}

fn set(object: &mut Value, pointer: &str, value: &Value) {
    let (parents, field) = pointer.rsplit_once('/').expect("a JSON pointer");
    let parent = parents.split('/').skip(1).fold(object, |object, name| &mut object[name]);
    if value.is_null() {
        parent.as_object_mut().expect("an object").remove(field);
    } else {
        parent[field] = value.clone();
    }
}

/// The schema of the CRD.
pub(crate) fn schema() -> Value {
    let crd = serde_json::to_value(SmsPipeline::crd()).expect("the CRD encodes");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

fn rules(schema: &Value, at: &str, pointer: &str) -> Vec<Rule> {
    let mut found = Vec::new();
    for (number, rule) in schema["x-kubernetes-validations"].as_array().into_iter().flatten().enumerate() {
        let message = rule["message"].as_str().unwrap_or_else(|| panic!("{at}: a rule has a message")).to_owned();
        found.push(Rule { at: at.to_owned(), message, pointer: pointer.to_owned(), number });
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        found.extend(rules(property, &at, &format!("{pointer}/properties/{name}")));
    }
    for (field, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[field].is_object() {
            found.extend(rules(&schema[field], &format!("{at}{mark}"), &format!("{pointer}/{field}")));
        }
    }
    found
}

#[test]
fn every_rule_accepts_and_refuses_what_its_cases_say() {
    let schema = compile_schema(&schema());
    for row in rows() {
        for case in &row.accepted {
            assert_eq!(row.messages(&schema, case), Vec::<String>::new(), "{} {case:?}", row.at);
        }
        for case in &row.refused {
            let messages = row.messages(&schema, case);
            assert!(messages.contains(&row.rule), "{} {case:?} is refused with {messages:?}", row.at);
        }
    }
}

#[test]
fn every_rule_has_cases_that_fail_without_it() {
    let (schema, rows) = (schema(), rows());
    let rules = rules(&schema, "", "");
    for rule in &rules {
        let row = rows.iter().find(|row| row.at == rule.at && row.rule == rule.message);
        let row = row.unwrap_or_else(|| panic!("{:?} of {:?} has no cases in operator/rules/", rule.message, rule.at));
        assert!(!row.accepted.is_empty(), "{:?} has a case that it accepts", rule.message);
        let mut without = schema.clone();
        let place = without.pointer_mut(&rule.pointer).expect("the schema is there");
        place["x-kubernetes-validations"].as_array_mut().expect("rules").remove(rule.number);
        let without = compile_schema(&without);
        let missed = |case: &Case| !row.messages(&without, case).contains(&row.rule);
        assert!(row.refused.iter().any(missed), "no case of {:?} at {:?} fails without it", rule.message, rule.at);
    }
    for row in &rows {
        let known = rules.iter().any(|rule| rule.at == row.at && rule.message == row.rule);
        assert!(known, "{:?} at {:?} is no rule of the CRD any more", row.rule, row.at);
    }
}
