//! What no schema tells: texts that a pattern accepts and refuses, and words that Kubernetes knows.

use serde_json::{Value, json};

/// A pattern, texts that it accepts and texts that it refuses.
type Pattern = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Every pattern of the schema's rules. A new one needs a row here: without it nobody knows a text to try.
const PATTERNS: [Pattern; 18] = [
    // A duration that may be nothing.
    ("^[0-9]{1,6}(ms|s|m|h)$", &["0s", "250ms", "2s", "999999h"], &["", "1", "1d", "-1s", "1.5s", "1000000s", " 1s"]),
    ("^0+(ms|s|m|h)$", &["0s", "00ms"], &[]),
    ("^[0-9]{1,6}(s|m|h)$", &["0s", "45m", "999999h"], &["", "1", "1ms", "1d", "1000000s"]),
    ("^0+(s|m|h)$", &["0s", "00m"], &[]),
    ("^[1-9][0-9]{0,5}(s|m|h)$", &["1s", "45m", "999999h"], &["", "0s", "1ms", "1d", "1000000s", "1 h"]),
    ("^[1-9][0-9]{0,5}(s|m|h|d)$", &["1s", "36h", "999999d"], &["", "0d", "1ms", "1w", "1000000d"]),
    (
        "^([2-9]|[1-9][0-9]{1,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|3650)d$",
        &["2d", "30d", "3650d"],
        &["", "0d", "1d", "3651d", "30", "24h"],
    ),
    (
        "^[^,:\\s]+:[0-9]{1,5}(,[^,:\\s]+:[0-9]{1,5})*$",
        &["kafka:1", "a:9092,b.c:9093"],
        &["", "kafka", "kafka:", "a:1,", "a:1, b:2", "a:123456"],
    ),
    ("^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$", &["text", "0", "A.b_c-d"], &["", "-a", ".a", "a/b", "ä"]),
    ("^[^$]{1,253}$", &["somebody", "ä b"], &["", "$(HOME)"]),
    (
        "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        &["sms.example.org", "*.example.com", "localhost"],
        &["", "SMS.example.com", "a..b", "-a", "a_b", "*"],
    ),
    ("^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", &["messaging", "a.b-c"], &["", "A", "-a", "a-", "a/b"]),
    ("^[0-9]+([.][0-9]+)?([mkMGTPE]|[KMGTPE]i)?$", &["1", "250m", "1.5", "2Gi"], &["", "512MB", "-1", "1.", "1e3"]),
    ("^([1-5]xx|[1-5][0-9][0-9](-[1-5][0-9][0-9])?)$", &["404", "5xx", "400-499"], &["", "6xx", "4x", "400-"]),
    ("^[a-zA-Z_][a-zA-Z0-9_]{0,62}$", &["other", "_0"], &["", "0a", "a-b", "a.b"]),
    ("https://", &["https://sms.example/"], &["", "sms.example", "ftp://sms.example/"]),
    ("http://", &["http://sms.example:4317"], &["HTTP://sms.example/"]),
    ("/", &["/other", "/a/0/b", "/"], &["", "a"]),
];

/// What a pattern, or the text that another one has to start with, accepts and refuses.
pub(crate) fn of_pattern(pattern: &str) -> Result<(&'static [&'static str], &'static [&'static str]), String> {
    let found = PATTERNS.iter().find(|(known, ..)| *known == pattern);
    found
        .map(|(_, accepted, refused)| (*accepted, *refused))
        .ok_or_else(|| format!("no text is known that {pattern:?} accepts: add one to crates/mutation/src/words.rs"))
}

/// Words for fields of Kubernetes' own types, by the ends of their paths.
const KUBERNETES: [(&str, &[&str]); 20] = [
    (".effect", &["NoSchedule", "NoExecute", "Sometimes"]),
    ("tolerations[].operator", &["Equal", "Exists", "Unequal"]),
    ("tolerations[].key", &["dedicated", "example.com/gpu", "not a key"]),
    ("tolerations[].value", &["messaging", "other", "not a value"]),
    (".configMapKeyRef.name", &["settings", "other", "Not-A-Name"]),
    (".secretKeyRef.name", &["settings", "other", "Not-A-Name"]),
    (".fieldRef.fieldPath", &["metadata.name", "spec.nodeName", "spec.nothing"]),
    (".fieldRef.apiVersion", &["v1", "v2"]),
    (".resourceFieldRef.resource", &["limits.cpu", "requests.memory", "limits.nothing"]),
    (".resourceFieldRef.containerName", &["api", "other"]),
    (".resourceFieldRef.divisor", &["1", "1m"]),
    ("env[].name", &["OTHER", "other.name", "1", "HTTP_ADDRESS", "ORDERING"]),
    (".matchExpressions[].operator", &["Exists", "DoesNotExist", "In", "Near"]),
    (".matchExpressions[].key", &["app", "example.com/app", "not a key"]),
    (".nodeAffinityPolicy", &["Honor", "Ignore", "Never"]),
    (".nodeTaintsPolicy", &["Honor", "Ignore", "Never"]),
    (".topologyKey", &["kubernetes.io/hostname", "topology.kubernetes.io/region", "not a key"]),
    (".whenUnsatisfiable", &["ScheduleAnyway", "DoNotSchedule", "Never"]),
    (".matchLabelKeys[]", &["pod-template-hash", "app", "not a key"]),
    (".image", &["registry.example.com/sms:1", "sms@sha256:0", "not an image"]),
];

/// Texts for a field that no rule bounds; a plain word where none are known. The first is the most plausible one.
pub(crate) fn of_field(path: &str) -> Vec<&'static str> {
    let known = KUBERNETES.iter().find(|(end, _)| path.ends_with(end)).map(|(_, words)| words.to_vec());
    [known.unwrap_or_else(|| vec!["other", "a b"]), vec![""]].concat()
}

/// Keys of a map that no rule bounds. The first is the most plausible one.
pub(crate) fn keys(path: &str) -> &'static [&'static str] {
    match path.rsplit('.').next() {
        Some("requests" | "limits") => &["ephemeral-storage", "cpu", "memory", "nothing"],
        _ => &["other", "example.com/other", "not a key", ""],
    }
}

/// Of the fields in a row an object has one.
const ALTERNATIVES: [&[&str]; 8] = [
    &["value", "valueFrom"],
    &["configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"],
    &["anonymous", "apiKeysSecretRef"],
    &["simulated", "http"],
    &["form", "json"],
    &["equals", "oneOf"],
    &["username", "usernameSecretRef"],
    &["replicas", "autoscaling"],
];

/// The fields in whose place one is; empty where it stands beside all others.
pub(crate) fn alternatives(name: &str) -> &'static [&'static str] {
    ALTERNATIVES.iter().find(|names| names.contains(&name)).copied().unwrap_or_default()
}

/// Objects for a field whose own fields the schema leaves open: some that make sense and some that do not.
pub(crate) fn objects(name: &str) -> Result<Vec<Value>, String> {
    let zone = "topology.kubernetes.io/zone";
    match name {
        "affinity" => Ok(vec![
            json!({ "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
                { "weight": 1, "podAffinityTerm": { "topologyKey": zone, "labelSelector": { "matchLabels": { "a": "b" } } } },
            ] } }),
            json!({ "podAntiAffinity": { "unknown": true } }),
            json!({ "podAntiAffinity": [] }),
            json!({ "podAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [{ "topologyKey": "" }] } }),
        ]),
        "podTemplate" => Ok(vec![
            json!({ "spec": { "priorityClassName": "high" } }),
            json!({ "metadata": { "labels": { "other": "label" } } }),
            json!({ "spec": { "unknown": true } }),
            json!({ "spec": { "containers": [{ "image": "no-name" }] } }),
            json!({ "spec": { "containers": [{ "name": "beside" }] } }),
            json!({ "metadata": { "labels": { "app.kubernetes.io/component": "x" } } }),
            json!({ "spec": { "$patch": "delete" } }),
            json!({ "spec": { "volumes": "none" } }),
            json!({ "spec": { "restartPolicy": "Never" } }),
            json!({ "spec": null }),
        ]),
        "json" => Ok(vec![json!({ "other": ["{{ text }}"] }), json!({ "a": null, "b": 1.5, "c": {} })]),
        other => Err(format!("no object is known for {other:?}: add one to crates/mutation/src/words.rs")),
    }
}
