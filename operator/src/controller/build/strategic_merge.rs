//! A strategic merge patch, as `kubectl patch` has it by default, for a pod template. Pure.
//!
//! Objects are merged and `null` takes a field away. Most lists are replaced as a whole; those of [`KEYED`] are merged
//! item by item. `$patch: delete` takes an item or object away, `$patch: replace` keeps nothing of what was there.

use serde_json::{Map, Value};

/// The lists whose items are found again by one of their fields. Source: the patch strategies in the Kubernetes API.
const KEYED: [(&str, &str); 12] = [
    ("containers", "name"),
    ("initContainers", "name"),
    ("env", "name"),
    ("volumes", "name"),
    ("imagePullSecrets", "name"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("ports", "containerPort"),
    ("hostAliases", "ip"),
    ("topologySpreadConstraints", "topologyKey"),
    ("resourceClaims", "name"),
    ("schedulingGates", "name"),
];

const DIRECTIVE: &str = "$patch";

/// What a `$patch` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Directive {
    Merge,
    Delete,
    Replace,
}

/// Proves that `patch` says what its items and directives mean; the sentence names the place where it does not.
pub fn check(patch: &Map<String, Value>) -> Result<(), String> {
    check_object(patch, "")
}

/// `base` after `patch`.
pub fn merge(base: Map<String, Value>, patch: &Map<String, Value>) -> Map<String, Value> {
    if directive(patch) == Directive::Replace {
        return stripped(patch);
    }
    let mut merged = base;
    for (field, value) in patch.iter().filter(|(field, _)| *field != DIRECTIVE) {
        match merge_value(field, merged.remove(field), value) {
            Some(value) => merged.insert(field.clone(), value),
            None => None,
        };
    }
    merged
}

/// `patch` without directives, and without what they and `null` take away: what it would add to nothing.
pub fn stripped(patch: &Map<String, Value>) -> Map<String, Value> {
    let fields = patch.iter().filter(|(field, _)| *field != DIRECTIVE);
    fields.filter_map(|(field, value)| Some((field.clone(), merge_value(field, None, value)?))).collect()
}

fn merge_value(field: &str, base: Option<Value>, patch: &Value) -> Option<Value> {
    match (base, patch) {
        (_, Value::Null) => None,
        (_, Value::Object(patch)) if directive(patch) == Directive::Delete => None,
        (Some(Value::Object(base)), Value::Object(patch)) => Some(Value::Object(merge(base, patch))),
        (_, Value::Object(patch)) => Some(Value::Object(stripped(patch))),
        (base, Value::Array(patch)) => match (key_of(field), base) {
            (Some(key), Some(Value::Array(base))) => Some(Value::Array(merge_keyed(key, base, patch))),
            (Some(key), _) => Some(Value::Array(merge_keyed(key, Vec::new(), patch))),
            (None, _) => Some(Value::Array(patch.clone())),
        },
        (_, patch) => Some(patch.clone()),
    }
}

/// Items that `base` has keep their places; new ones follow.
fn merge_keyed(key: &str, base: Vec<Value>, patch: &[Value]) -> Vec<Value> {
    let items = || patch.iter().filter_map(Value::as_object);
    // An item that is only the directive speaks of the whole list.
    let replaces = items().any(|item| item.len() == 1 && directive(item) == Directive::Replace);
    let mut merged = if replaces { Vec::new() } else { base };
    for item in items().filter(|item| item.contains_key(key)) {
        let place = merged.iter().position(|found| found.get(key) == item.get(key));
        match (directive(item), place) {
            (Directive::Delete, Some(place)) => {
                merged.remove(place);
            }
            (Directive::Delete, None) => {}
            (Directive::Merge, Some(place)) => {
                let found = merged[place].as_object().cloned().unwrap_or_default();
                merged[place] = Value::Object(merge(found, item));
            }
            (Directive::Replace, Some(place)) => merged[place] = Value::Object(stripped(item)),
            (Directive::Merge | Directive::Replace, None) => merged.push(Value::Object(stripped(item))),
        }
    }
    merged
}

fn check_object(patch: &Map<String, Value>, place: &str) -> Result<(), String> {
    for (field, value) in patch {
        let place = if place.is_empty() { field.clone() } else { format!("{place}.{field}") };
        match (field.as_str(), value) {
            (DIRECTIVE, Value::String(text)) if matches!(text.as_str(), "merge" | "delete" | "replace") => {}
            (DIRECTIVE, _) => return Err(format!("{place} must be merge, delete or replace")),
            (unknown, _) if unknown.starts_with('$') => {
                return Err(format!("{place} is no directive that is known here: only $patch is"));
            }
            (_, Value::Object(object)) => check_object(object, &place)?,
            (field, Value::Array(items)) => check_items(key_of(field), items, &place)?,
            _ => {}
        }
    }
    Ok(())
}

fn check_items(key: Option<&str>, items: &[Value], place: &str) -> Result<(), String> {
    for (number, item) in items.iter().enumerate() {
        let place = format!("{place}[{number}]");
        match (key, item.as_object()) {
            (Some(key), Some(item)) => {
                let speaks_of_the_list = item.len() == 1 && directive(item) == Directive::Replace;
                if !item.contains_key(key) && !speaks_of_the_list {
                    return Err(format!("{place} has no {key}, by which it would be found"));
                }
                check_object(item, &place)?;
            }
            (Some(_), None) => return Err(format!("{place} must be an object")),
            (None, Some(item)) if item.contains_key(DIRECTIVE) => {
                return Err(format!("{place}.{DIRECTIVE} has no meaning: the list is replaced as a whole"));
            }
            (None, _) => {}
        }
    }
    Ok(())
}

fn directive(patch: &Map<String, Value>) -> Directive {
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        Some("delete") => Directive::Delete,
        Some("replace") => Directive::Replace,
        Some(_) | None => Directive::Merge,
    }
}

fn key_of(field: &str) -> Option<&'static str> {
    KEYED.iter().find(|(list, _)| *list == field).map(|(_, key)| *key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is an object"),
        }
    }

    #[track_caller]
    fn check_merge([base, patch, expected]: [Value; 3]) {
        let (base, patch) = (object(base), object(patch));
        assert_eq!(check(&patch), Ok(()));
        assert_eq!(Value::Object(merge(base, &patch)), expected);
    }

    #[track_caller]
    fn check_refused(patch: Value, expected: &str) {
        assert_eq!(check(&object(patch)), Err(expected.to_owned()));
    }

    fn containers() -> Value {
        json!({ "containers": [
            { "name": "api", "image": "a", "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }] },
            { "name": "other", "image": "o" },
        ] })
    }

    #[test]
    fn objects_are_merged_and_null_takes_a_field_away() {
        check_merge([
            json!({ "metadata": { "labels": { "a": "1", "b": "2" } }, "spec": { "hostNetwork": true } }),
            json!({ "metadata": { "labels": { "b": "3", "c": "4" } }, "spec": { "hostNetwork": null } }),
            json!({ "metadata": { "labels": { "a": "1", "b": "3", "c": "4" } }, "spec": {} }),
        ]);
    }

    #[test]
    fn items_of_keyed_lists_are_merged_in_their_places_and_new_ones_follow() {
        check_merge([
            containers(),
            json!({ "containers": [
                { "name": "sidecar", "image": "s" },
                { "name": "api", "env": [{ "name": "B", "value": "3" }, { "name": "C", "value": "4" }] },
            ] }),
            json!({ "containers": [
                { "name": "api", "image": "a", "env": [
                    { "name": "A", "value": "1" }, { "name": "B", "value": "3" }, { "name": "C", "value": "4" },
                ] },
                { "name": "other", "image": "o" },
                { "name": "sidecar", "image": "s" },
            ] }),
        ]);
    }

    #[test]
    fn each_keyed_list_has_its_own_key() {
        check_merge([
            json!({
                "volumes": [{ "name": "v", "emptyDir": {} }],
                "volumeMounts": [{ "name": "v", "mountPath": "/v" }],
                "ports": [{ "containerPort": 80, "name": "http" }],
                "initContainers": [{ "name": "i" }],
            }),
            json!({
                "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": "1Gi" } }],
                "volumeMounts": [{ "mountPath": "/v", "readOnly": true }, { "mountPath": "/w", "name": "v" }],
                "ports": [{ "containerPort": 80, "name": "web" }],
                "initContainers": [{ "name": "i", "image": "x" }],
            }),
            json!({
                "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": "1Gi" } }],
                "volumeMounts": [
                    { "name": "v", "mountPath": "/v", "readOnly": true }, { "mountPath": "/w", "name": "v" },
                ],
                "ports": [{ "containerPort": 80, "name": "web" }],
                "initContainers": [{ "name": "i", "image": "x" }],
            }),
        ]);
    }

    #[test]
    fn other_lists_are_replaced_as_a_whole() {
        check_merge([
            json!({ "tolerations": [{ "key": "a" }], "args": ["x", "y"] }),
            json!({ "tolerations": [{ "key": "b" }], "args": ["z"] }),
            json!({ "tolerations": [{ "key": "b" }], "args": ["z"] }),
        ]);
    }

    #[test]
    fn delete_takes_an_item_or_an_object_away() {
        check_merge([
            containers(),
            json!({ "containers": [{ "name": "other", "$patch": "delete" }, { "name": "none", "$patch": "delete" }] }),
            json!({ "containers": [containers()["containers"][0]] }),
        ]);
        check_merge([
            json!({ "securityContext": { "runAsUser": 1 }, "x": 1 }),
            json!({ "securityContext": { "$patch": "delete" } }),
            json!({ "x": 1 }),
        ]);
    }

    #[test]
    fn replace_keeps_nothing_of_what_was_there() {
        check_merge([
            json!({ "securityContext": { "runAsUser": 1 } }),
            json!({ "securityContext": { "$patch": "replace", "runAsGroup": 2 } }),
            json!({ "securityContext": { "runAsGroup": 2 } }),
        ]);
        check_merge([
            containers(),
            json!({ "containers": [{ "name": "only", "image": "x" }, { "$patch": "replace" }] }),
            json!({ "containers": [{ "name": "only", "image": "x" }] }),
        ]);
        check_merge([
            containers(),
            json!({ "containers": [{ "name": "api", "image": "b", "$patch": "replace" }] }),
            json!({ "containers": [{ "name": "api", "image": "b" }, { "name": "other", "image": "o" }] }),
        ]);
    }

    #[test]
    fn what_is_new_holds_no_directive_and_no_null() {
        check_merge([
            json!({}),
            json!({ "containers": [{ "name": "x", "env": [{ "name": "A", "$patch": "delete" }], "tty": null }] }),
            json!({ "containers": [{ "name": "x", "env": [] }] }),
        ]);
    }

    #[test]
    fn an_empty_patch_changes_nothing() {
        check_merge([containers(), json!({}), containers()]);
    }

    #[test]
    fn a_patch_whose_meaning_is_not_clear_is_refused_by_its_place() {
        check_refused(
            json!({ "spec": { "containers": [{ "image": "x" }] } }),
            "spec.containers[0] has no name, by which it would be found",
        );
        check_refused(
            json!({ "spec": { "containers": [{ "name": "x", "ports": [{ "name": "http" }] }] } }),
            "spec.containers[0].ports[0] has no containerPort, by which it would be found",
        );
        check_refused(json!({ "spec": { "$patch": "remove" } }), "spec.$patch must be merge, delete or replace");
        check_refused(
            json!({ "spec": { "$retainKeys": ["x"] } }),
            "spec.$retainKeys is no directive that is known here: only $patch is",
        );
        check_refused(
            json!({ "spec": { "tolerations": [{ "key": "a", "$patch": "delete" }] } }),
            "spec.tolerations[0].$patch has no meaning: the list is replaced as a whole",
        );
        check_refused(json!({ "spec": { "containers": ["x"] } }), "spec.containers[0] must be an object");
    }
}
