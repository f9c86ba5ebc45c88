//! A request body that claims to be JSON, whole and within its bounds, and what its fields may hold.

use std::{fmt, time::Duration};

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::problem::{Kind, Problem};

/// Largest body that is read, in bytes.
const BODY_LIMIT: usize = 1024 * 1024;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The bytes of a body that is not declared to be anything but JSON.
pub struct JsonBody(Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Problem> {
        if !may_be_json(request.headers()) {
            return Err(Problem::new(Kind::UnsupportedMediaType, "The Content-Type must be application/json."));
        }
        DefaultBodyLimit::max(BODY_LIMIT).apply(&mut request);
        match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) => Err(unreadable(&rejection)),
            Err(_) => Err(Problem::new(
                Kind::RequestTimeout,
                format!("The body did not arrive within {} s.", BODY_TIMEOUT.as_secs()),
            )),
        }
    }
}

impl JsonBody {
    /// The body as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Decodes a JSON object; fields that `T` does not know are ignored.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // Structs would also decode from an array of their fields.
        if self.0.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::new(Kind::MalformedBody, "The body must be a JSON object."));
        }
        serde_json::from_slice(&self.0)
            .map_err(|error| Problem::new(Kind::MalformedBody, format!("The body is not valid JSON: {error}.")))
    }
}

fn unreadable(rejection: &BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(Kind::BodyTooLarge, format!("The body must not be larger than {BODY_LIMIT} bytes."))
    } else {
        Problem::new(Kind::MalformedBody, "The body could not be read to its end.")
    }
}

/// No content type at all is taken for JSON, as the first implementation does.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A field that should hold a text: every content is taken in, so that all wrong fields can be told at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TextField {
    /// Not there, or null.
    #[default]
    Absent,
    /// A text, or a whole number, which the first implementation takes as its digits.
    Text(String),
    /// Anything else.
    NotText,
}

impl<'de> Deserialize<'de> for TextField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextFieldVisitor)
    }
}

struct TextFieldVisitor;

impl<'de> Visitor<'de> for TextFieldVisitor {
    type Value = TextField;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<TextField, E> {
        Ok(TextField::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<TextField, E> {
        Ok(TextField::Text(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<TextField, E> {
        Ok(TextField::Text(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<TextField, E> {
        Ok(TextField::Text(value.to_string()))
    }

    fn visit_unit<E: Error>(self) -> Result<TextField, E> {
        Ok(TextField::Absent)
    }

    /// Refused, because writing a float back would not always give what was sent.
    fn visit_f64<E: Error>(self, _: f64) -> Result<TextField, E> {
        Ok(TextField::NotText)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<TextField, E> {
        Ok(TextField::NotText)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<TextField, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(TextField::NotText)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<TextField, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(TextField::NotText)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check_type(content_type: &'static str, expected: bool) {
        let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type))].into_iter().collect();
        assert_eq!(may_be_json(&headers), expected, "{content_type}");
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        assert!(may_be_json(&HeaderMap::new()));
        check_type("application/json", true);
        check_type("Application/JSON; charset=utf-8", true);
        check_type("application/cloudevents+json", true);
        check_type("text/plain", false);
        check_type("application/xml", false);
        check_type("", false);
    }

    #[track_caller]
    fn check_field(json: &str, expected: &TextField) {
        assert_eq!(serde_json::from_str::<TextField>(json).expect("valid JSON"), *expected, "{json}");
    }

    #[test]
    fn a_text_field_takes_texts_and_whole_numbers() {
        check_field(r#""a""#, &TextField::Text("a".to_owned()));
        check_field(r#""\u00e9""#, &TextField::Text("é".to_owned()));
        check_field("123", &TextField::Text("123".to_owned()));
        check_field("-5", &TextField::Text("-5".to_owned()));
        check_field("null", &TextField::Absent);
    }

    #[test]
    fn a_text_field_notes_what_is_no_text() {
        for other in ["1.50", "1e3", "123456789012345678901", "true", r#"["a"]"#, r#"{"a":{"b":1}}"#] {
            check_field(other, &TextField::NotText);
        }
    }

    #[test]
    fn only_an_object_is_decoded() {
        for other in ["", "  ", "null", r#"["+15550100"]"#, "\"text\"", "{", "{\"a\":1} x", "{\"a\":\"\\ud800\"}"] {
            let problem = JsonBody(other.into()).decode::<std::collections::BTreeMap<String, TextField>>();
            assert!(problem.is_err(), "{other}");
        }
    }
}
