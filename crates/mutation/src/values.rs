//! The values that a field's schema stands for: at and just past its bounds, its other members and shapes, and what is
//! of the wrong type.

use serde_json::{Map, Value, json};

use super::{
    fields::Field,
    words::{self, of_pattern},
};

/// Numbers that no 32-bit field can hold begin here.
const PAST_32_BITS: i64 = 1 << 31;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Integer,
    Text,
    NumberOrText,
    List,
    Map,
    /// An object whose fields the schema leaves open.
    Open,
    Object,
}

/// Texts that a schema's rules accept, as far as they can tell, and texts that they refuse.
#[derive(Debug, Default)]
struct Texts {
    accepted: Vec<String>,
    refused: Vec<String>,
}

/// The smallest value that the field can have, as far as the schema tells.
pub(crate) fn sample(field: &Field) -> Result<Value, String> {
    let schema = field.schema;
    Ok(match kind(schema)? {
        Kind::Boolean => true.into(),
        Kind::Integer => (*bounds(schema, "self").first().unwrap_or(&1)).into(),
        Kind::Text | Kind::NumberOrText => texts(field)?.accepted.first().cloned().unwrap_or_default().into(),
        Kind::List => vec![sample(&field.items())?].into(),
        Kind::Map => json!({ keys(field)?.0[0].clone(): sample(&field.entries())? }),
        Kind::Open => words::objects(field.name().unwrap_or_default())?.swap_remove(0),
        Kind::Object => {
            let mut object = Map::new();
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                object.insert(name.to_owned(), sample(&field.property(name))?);
            }
            object.into()
        }
    })
}

/// The values to try in place of `current`.
pub(crate) fn of(field: &Field, current: &Value, beside: &[i64]) -> Result<Vec<Value>, String> {
    let schema = field.schema;
    let mut values = match kind(schema)? {
        Kind::Boolean => vec![json!(true), json!(false), json!("true"), json!(1)],
        Kind::Integer => integers(schema, beside),
        Kind::Text => {
            let Texts { accepted, refused } = texts(field)?;
            let texts = accepted.into_iter().chain(refused).map(Value::from);
            texts.chain([json!(1), json!(true), json!({}), json!([])]).collect()
        }
        Kind::NumberOrText => {
            let Texts { accepted, refused } = texts(field)?;
            let texts = accepted.into_iter().chain(refused).map(Value::from);
            let numbers = [json!(1), json!(0), json!(-1), json!(PAST_32_BITS), json!(1.5)];
            texts.chain(numbers).chain([json!(true), json!({})]).collect()
        }
        Kind::List => lists(field, current)?,
        Kind::Map => maps(field, current)?,
        Kind::Open => {
            let objects = words::objects(field.name().unwrap_or_default())?;
            objects.into_iter().chain([json!({}), json!("text"), json!([])]).collect()
        }
        Kind::Object => vec![sample(field)?, json!({}), json!("text"), json!([])],
    };
    values.push(Value::Null);
    Ok(values)
}

/// A member that the schema does not know.
pub(crate) fn unknown_member(field: &Field) -> Option<(&'static str, Value)> {
    (kind(field.schema) == Ok(Kind::Object)).then(|| ("unknownField", json!("text")))
}

fn kind(schema: &Value) -> Result<Kind, String> {
    if schema["x-kubernetes-int-or-string"] == true {
        return Ok(Kind::NumberOrText);
    }
    match schema["type"].as_str() {
        Some("boolean") => Ok(Kind::Boolean),
        Some("integer") => Ok(Kind::Integer),
        Some("string") => Ok(Kind::Text),
        Some("array") => Ok(Kind::List),
        Some("object") if schema["additionalProperties"].is_object() => Ok(Kind::Map),
        Some("object") if schema["x-kubernetes-preserve-unknown-fields"] == true => Ok(Kind::Open),
        Some("object") => Ok(Kind::Object),
        other => Err(format!("no values are known of the type {other:?}")),
    }
}

fn integers(schema: &Value, beside: &[i64]) -> Vec<Value> {
    let at_bounds = bounds(schema, "self").into_iter().flat_map(|bound| [bound, bound - 1, bound + 1]);
    let others = [0, 1, -1, PAST_32_BITS - 1, PAST_32_BITS];
    let beside = beside.iter().flat_map(|number| [*number, number + 1, number - 1]);
    let numbers = at_bounds.chain(others).chain(beside).map(Value::from);
    numbers.chain([json!("1"), json!(1.5), json!(true), json!([])]).collect()
}

fn texts(field: &Field) -> Result<Texts, String> {
    let schema = field.schema;
    let mut texts = Texts::default();
    if let Some(members) = schema["enum"].as_array() {
        texts.accepted.extend(members.iter().filter_map(Value::as_str).map(str::to_owned));
        texts.refused.extend([String::new(), "Other".to_owned(), texts.accepted[0].to_lowercase()]);
        return Ok(texts);
    }
    let mut patterns: Vec<(String, bool)> = rules(schema).flat_map(|rule| patterns(rule, "self")).collect();
    patterns.extend(schema["pattern"].as_str().map(|pattern| (pattern.to_owned(), true)));
    for (pattern, is_wanted) in &patterns {
        let (accepted, refused) = of_pattern(pattern)?;
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        texts.accepted.extend(owned(if *is_wanted { accepted } else { refused }));
        texts.refused.extend(owned(if *is_wanted { refused } else { accepted }));
    }
    let lengths: Vec<_> = bounds(schema, "size(self)");
    if patterns.is_empty() {
        if lengths.is_empty() && rules(schema).next().is_some() {
            let rules: Vec<_> = rules(schema).collect();
            return Err(format!("no text is known that goes with {rules:?}: see crates/mutation/src/values.rs"));
        }
        texts.accepted.extend(words::of_field(&field.path()).iter().map(|&word| word.to_owned()));
    }
    texts.accepted.retain(|text| !texts.refused.contains(text));
    let longest = schema["maxLength"].as_u64().and_then(|length| i64::try_from(length).ok());
    let plain = texts.accepted.first().cloned().unwrap_or_default();
    for length in lengths.into_iter().chain(longest).flat_map(|length| [length - 1, length, length + 1]) {
        let more = usize::try_from(length).unwrap_or_default().saturating_sub(plain.chars().count());
        if more > 0 {
            texts.accepted.push(format!("{plain}{}", "x".repeat(more)));
        }
    }
    Ok(texts)
}

fn lists(field: &Field, current: &Value) -> Result<Vec<Value>, String> {
    let items = current.as_array().cloned().unwrap_or_default();
    let sample = sample(&field.items())?;
    let more = |item: Option<&Value>| items.iter().chain(item).cloned().collect::<Vec<_>>();
    let mut lists = vec![more(Some(&sample)), more(items.first()), Vec::new()];
    lists.push(items.iter().rev().cloned().collect());
    let longest = field.schema["maxItems"].as_u64().and_then(|length| usize::try_from(length).ok());
    for length in longest.into_iter().flat_map(|length| [length, length + 1]) {
        lists.push(std::iter::repeat_n(sample.clone(), length).collect());
    }
    Ok(lists.into_iter().map(Value::from).chain([json!({}), json!("text")]).collect())
}

fn maps(field: &Field, current: &Value) -> Result<Vec<Value>, String> {
    let entries = current.as_object().cloned().unwrap_or_default();
    let sample = sample(&field.entries())?;
    let (accepted, refused) = keys(field)?;
    let with = |key: String| {
        let mut map = entries.clone();
        map.insert(key, sample.clone());
        Value::from(map)
    };
    let longest = field.schema["maxProperties"].as_u64().and_then(|length| usize::try_from(length).ok());
    let lengths = longest.into_iter().flat_map(|length| [length, length + 1]);
    let long = |length| (0..length).map(|number| (format!("k{number}"), sample.clone())).collect::<Map<_, _>>().into();
    let mut maps: Vec<Value> = accepted.into_iter().chain(refused).map(with).chain(lengths.map(long)).collect();
    maps.extend([json!({}), json!("text"), json!([])]);
    Ok(maps)
}

/// Keys of a map that its rules accept, and keys that they refuse.
fn keys(field: &Field) -> Result<(Vec<String>, Vec<String>), String> {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let patterns: Vec<_> = rules(field.schema).flat_map(|rule| patterns(rule, "name")).collect();
    match patterns.as_slice() {
        [] => Ok((owned(words::keys(&field.path())), Vec::new())),
        [(pattern, true)] => of_pattern(pattern).map(|(accepted, refused)| (owned(accepted), owned(refused))),
        _ => Err(format!("no key is known that goes with {patterns:?}: see crates/mutation/src/values.rs")),
    }
}

fn rules(schema: &Value) -> impl Iterator<Item = &str> {
    schema["x-kubernetes-validations"].as_array().into_iter().flatten().filter_map(|rule| rule["rule"].as_str())
}

/// The patterns that a rule of CEL wants `subject` to match, and those that it does not want; also what it has to start
/// with, as if that were a pattern.
fn patterns(rule: &str, subject: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for call in [format!("{subject}.matches('"), format!("{subject}.startsWith('")] {
        for (place, _) in rule.match_indices(&call) {
            let literal = rule[place + call.len()..].split("')").next().unwrap_or_default();
            found.push((literal.replace("\\\\", "\\"), !rule[..place].ends_with('!')));
        }
    }
    found
}

/// The numbers that rules compare `subject` with, and those of the schema itself.
fn bounds(schema: &Value, subject: &str) -> Vec<i64> {
    let mut found = Vec::new();
    for rule in rules(schema) {
        for operator in [">=", "<=", ">", "<"] {
            let comparison = format!("{subject} {operator} ");
            for (place, _) in rule.match_indices(&comparison) {
                let rest = &rule[place + comparison.len()..];
                let end = rest.find(|character: char| !character.is_ascii_digit() && character != '-');
                found.extend(rest[..end.unwrap_or(rest.len())].parse::<i64>());
            }
        }
    }
    if subject == "self" {
        found.extend([&schema["minimum"], &schema["maximum"]].into_iter().filter_map(whole));
    }
    found
}

/// A bound, which is written with a fraction of zero too.
fn whole(bound: &Value) -> Option<i64> {
    let text = bound.to_string();
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}
