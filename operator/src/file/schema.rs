//! What a structural schema demands of a document, as the API server has it: types, bounds and members, each refused by its
//! field. Its rules in CEL are tried elsewhere, once the document has this shape.

use std::collections::BTreeSet;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// Takes away what is null where the schema does not allow that, as the API server does: it is then as if it were absent.
pub(super) fn prune_nulls(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema.properties.iter().flatten();
            for (name, schema) in properties {
                if fields.get(name).is_some_and(Value::is_null) && schema.nullable != Some(true) {
                    fields.remove(name);
                }
                if let Some(value) = fields.get_mut(name) {
                    prune_nulls(schema, value);
                }
            }
            if let Some(JSONSchemaPropsOrBool::Schema(schema)) = &schema.additional_properties {
                fields.retain(|_, value| !value.is_null() || schema.nullable == Some(true));
                fields.values_mut().for_each(|value| prune_nulls(schema, value));
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for item in items {
                    prune_nulls(schema, item);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// One line for each field that is not as `schema` has it; `path` is where `value` is, empty for the whole document.
pub(super) fn problems(schema: &JSONSchemaProps, value: &Value, path: &str) -> Vec<String> {
    if value.is_null() && schema.nullable == Some(true) {
        return Vec::new();
    }
    if let Some(expected) = wrong_type(schema, value) {
        return vec![format!("{path}: must be of type {expected}, not {}", type_of(value))];
    }
    let mut problems: Vec<_> = bounds(schema, value).into_iter().map(|problem| format!("{path}: {problem}")).collect();
    match value {
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for (number, item) in items.iter().enumerate() {
                    problems.extend(self::problems(schema, item, &format!("{path}[{number}]")));
                }
            }
            problems.extend(twins(schema, items, path));
        }
        Value::Object(fields) => {
            let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            for name in schema.required.iter().flatten().filter(|name| !fields.contains_key(*name)) {
                problems.push(format!("{}: Required value", below(name)));
            }
            let properties = schema.properties.as_ref();
            for (name, value) in fields {
                let known = properties.and_then(|properties| properties.get(name));
                let schema = match (&schema.additional_properties, known) {
                    (_, Some(schema)) => schema,
                    (Some(JSONSchemaPropsOrBool::Schema(schema)), None) => schema.as_ref(),
                    _ if schema.x_kubernetes_preserve_unknown_fields == Some(true) => continue,
                    // Every resource has it, and no schema tells of it.
                    _ if path.is_empty() && name == "metadata" => continue,
                    _ => {
                        problems.push(format!("unknown field \"{}\"", below(name)));
                        continue;
                    }
                };
                problems.extend(self::problems(schema, value, &below(name)));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    problems
}

/// The type that it must be of, when it is of another.
fn wrong_type(schema: &JSONSchemaProps, value: &Value) -> Option<String> {
    let is_whole = value.is_i64() || value.is_u64();
    if schema.x_kubernetes_int_or_string == Some(true) {
        return (!is_whole && !value.is_string()).then(|| "integer or string".to_owned());
    }
    let expected = schema.type_.as_deref()?;
    let is_right = match expected {
        "boolean" => value.is_boolean(),
        "integer" => is_whole,
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    (!is_right).then(|| expected.to_owned())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// What is past a bound. Lengths are counted in characters, as the API server does whatever it says of bytes.
fn bounds(schema: &JSONSchemaProps, value: &Value) -> Vec<String> {
    let past =
        |length: usize, most: Option<i64>| most.filter(|&most| i64::try_from(length).is_ok_and(|found| found > most));
    let mut problems = Vec::new();
    match value {
        Value::String(text) => {
            if let Some(most) = past(text.chars().count(), schema.max_length) {
                problems.push(format!("Too long: may not be more than {most} characters"));
            }
        }
        Value::Array(items) => {
            if let Some(most) = past(items.len(), schema.max_items) {
                problems.push(format!("Too many: {}: must have at most {most} items", items.len()));
            }
        }
        Value::Object(fields) => {
            if let Some(most) = past(fields.len(), schema.max_properties) {
                problems.push(format!("Too many: {}: must have at most {most} items", fields.len()));
            }
        }
        Value::Number(number) => {
            let found = number.as_f64().unwrap_or(f64::NAN);
            if let Some(least) = schema.minimum.filter(|least| found < *least) {
                problems.push(format!("must be greater than or equal to {least}"));
            }
            if let Some(most) = schema.maximum.filter(|most| found > *most) {
                problems.push(format!("must be less than or equal to {most}"));
            }
            if schema.format.as_deref() == Some("int32") && i32::try_from(number.as_i64().unwrap_or(i64::MAX)).is_err()
            {
                problems.push(format!("{number} is no 32-bit integer"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
    if let Some(members) = &schema.enum_
        && !members.iter().any(|member| member.0 == *value)
    {
        let members: Vec<_> = members.iter().map(|member| member.0.to_string()).collect();
        problems.push(format!("Unsupported value: {value}: supported values: {}", members.join(", ")));
    }
    problems
}

/// Items of a list that is a map, of which each must have another key.
fn twins(schema: &JSONSchemaProps, items: &[Value], path: &str) -> Vec<String> {
    let Some(names) = &schema.x_kubernetes_list_map_keys else { return Vec::new() };
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let key: Vec<_> = names.iter().map(|name| item[name].to_string()).collect();
        if !seen.insert(key.clone()) {
            problems.push(format!("{path}[{number}]: Duplicate value: {}", key.join(", ")));
        }
    }
    problems
}
