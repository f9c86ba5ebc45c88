//! Which answers a rule is for. Pure.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

/// Holds of an answer when everything that it names does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Condition {
    /// The status is one of these.
    pub status: Option<StatusRange>,
    /// The body has this in it.
    pub body: Option<BodyCondition>,
}

/// Status codes, written `429`, `4xx` or `400-499`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StatusRange {
    first: u16,
    last: u16,
}

/// Holds of a JSON body that has one of these values at a place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyCondition {
    /// The place.
    pub pointer: Pointer,
    /// The value; numbers, `true`, `false` and `null` as JSON writes them.
    pub equals: Option<String>,
    /// Or several of them.
    pub one_of: Option<Vec<String>>,
}

/// A place in a JSON document: RFC 6901, such as `/messages/0/status`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Pointer(String);

impl Condition {
    /// The error begins with the field within the rule.
    pub(super) fn validate(&self) -> Result<(), String> {
        match self {
            Self { status: None, body: None } => Err(".when must hold status, body or both".to_owned()),
            Self { body: Some(BodyCondition { equals: Some(_), one_of: Some(_), .. }), .. }
            | Self { body: Some(BodyCondition { equals: None, one_of: None, .. }), .. } => {
                Err(".when.body must hold either equals or oneOf".to_owned())
            }
            Self { .. } => Ok(()),
        }
    }

    pub(super) fn matches(&self, status: StatusCode, body: Option<&Value>) -> bool {
        self.is_of(status) && self.body.as_ref().is_none_or(|wanted| body.is_some_and(|body| wanted.matches(body)))
    }

    /// Whether the body decides about an answer of this status.
    pub(super) fn asks_for_body_of(&self, status: StatusCode) -> bool {
        self.is_of(status) && self.body.is_some()
    }

    fn is_of(&self, status: StatusCode) -> bool {
        self.status.is_none_or(|StatusRange { first, last }| (first..=last).contains(&status.as_u16()))
    }
}

impl BodyCondition {
    fn matches(&self, body: &Value) -> bool {
        let Some(found) = self.pointer.text(body) else { return false };
        self.equals.iter().chain(self.one_of.iter().flatten()).any(|wanted| *wanted == found)
    }
}

impl Pointer {
    /// What is at this place, in words; `None` when nothing is, or no single value.
    pub(super) fn text(&self, document: &Value) -> Option<String> {
        match document.pointer(&self.0)? {
            Value::String(text) => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_) | Value::Null) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl TryFrom<String> for Pointer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self(text));
        }
        Err(format!("{text:?} is not a JSON pointer (RFC 6901): write it like /messages/0/status"))
    }
}

impl TryFrom<String> for StatusRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let range = match text.strip_suffix("xx") {
            Some(class) => code(&format!("{class}00")).map(|first| (first, first + 99)),
            None => match text.split_once('-') {
                Some((first, last)) => code(first).zip(code(last)),
                None => code(&text).map(|code| (code, code)),
            },
        };
        match range {
            Some((first, last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!("{text:?} is not a status: write it like 429, 4xx or 400-499")),
        }
    }
}

fn code(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| text.len() == 3 && (100..=599).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<(u16, u16)> {
        StatusRange::try_from(text.to_owned()).ok().map(|StatusRange { first, last }| (first, last))
    }

    #[test]
    fn a_status_is_a_code_a_class_or_a_range() {
        for (text, expected) in [("429", (429, 429)), ("4xx", (400, 499)), ("500-502", (500, 502))] {
            assert_eq!(range(text), Some(expected), "{text}");
        }
        for text in ["", "xx", "6xx", "44xx", "4x", "499-400", "99", "600", "+99", "4xx-5xx", "-", "400-"] {
            assert_eq!(range(text), None, "{text}");
        }
    }

    #[test]
    fn a_pointer_finds_single_values_only() {
        let document = serde_json::json!({"a": [{"b/c": 7}, "x", null, true, {}]});
        let text = |pointer: &str| Pointer::try_from(pointer.to_owned()).expect("a pointer").text(&document);
        for (pointer, expected) in [
            ("/a/0/b~1c", Some("7")),
            ("/a/1", Some("x")),
            ("/a/2", Some("null")),
            ("/a/3", Some("true")),
            ("/a", None),
        ] {
            assert_eq!(text(pointer).as_deref(), expected, "{pointer}");
        }
        assert_eq!((text("/a/4"), text("/a/9"), text("/b")), (None, None, None));
        assert!(Pointer::try_from("a".to_owned()).is_err());
    }
}
