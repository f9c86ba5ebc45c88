//! What a message may look like: the first implementation's rules and words. Pure.

use serde::Deserialize;
use serde_json::Value;

use crate::{problem::Violation, routes::json_body::TextField};

/// Longest text, in UTF-16 code units as the first implementation counts.
const LONGEST_TEXT: usize = 1600;

/// The body as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Request {
    #[serde(default)]
    sender: TextField,
    #[serde(default)]
    recipient: TextField,
    #[serde(default)]
    text: TextField,
    #[serde(default)]
    dry_run: Value,
}

/// The body, proven usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// Matches the phone number pattern.
    pub sender: String,
    /// Matches the phone number pattern.
    pub recipient: String,
    /// 1 to 1,600 UTF-16 code units, not blank, without NUL.
    pub text: String,
    /// Nothing is stored or sent.
    pub dry_run: bool,
}

/// Proves the request usable, or names everything that is wrong with it.
pub fn validate(request: Request) -> Result<Valid, Vec<Violation>> {
    let mut violations = Vec::new();
    let sender = take(&SENDER, request.sender, phone_faults, &mut violations);
    let recipient = take(&RECIPIENT, request.recipient, phone_faults, &mut violations);
    let text = take(&TEXT, request.text, text_faults, &mut violations);
    let dry_run = take_dry_run(&request.dry_run, &mut violations);
    if violations.is_empty() { Ok(Valid { sender, recipient, text, dry_run }) } else { Err(violations) }
}

/// How a field and its faults are called.
struct Field {
    name: &'static str,
    peer_name: &'static str,
    required: &'static str,
    not_text: &'static str,
    malformed: &'static str,
}

const SENDER: Field = Field {
    name: "sender",
    peer_name: "sendMessage.request.sender",
    required: "Sender phone number is required",
    not_text: "Sender phone number must be a string",
    malformed: "Invalid sender phone number format. Use international format (e.g., +1234567890)",
};

const RECIPIENT: Field = Field {
    name: "recipient",
    peer_name: "sendMessage.request.recipient",
    required: "Recipient phone number is required",
    not_text: "Recipient phone number must be a string",
    malformed: "Invalid recipient phone number format. Use international format (e.g., +1234567890)",
};

const TEXT: Field = Field {
    name: "text",
    peer_name: "sendMessage.request.text",
    required: "Message text is required",
    not_text: "Message text must be a string",
    malformed: "Message text must be between 1 and 1600 characters",
};

const NUL_IN_TEXT: &str = "Message text must not contain the NUL character (U+0000)";

fn take(
    field: &Field,
    given: TextField,
    faults: fn(&Field, &str) -> Vec<&'static str>,
    violations: &mut Vec<Violation>,
) -> String {
    let (value, messages) = match given {
        TextField::Absent => (String::new(), vec![field.required]),
        TextField::NotText => (String::new(), vec![field.not_text]),
        TextField::Text(value) => {
            let messages = faults(field, &value);
            (value, messages)
        }
    };
    violations.extend(messages.into_iter().map(|message| Violation {
        name: field.name,
        field: field.peer_name,
        message: message.to_owned(),
    }));
    value
}

/// Anything but true and false is refused, because a guess could send what was not to be sent.
fn take_dry_run(given: &Value, violations: &mut Vec<Violation>) -> bool {
    match given {
        Value::Null => false,
        Value::Bool(given) => *given,
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            let message = "Dry run must be true or false".to_owned();
            violations.push(Violation { name: "dry_run", field: "sendMessage.request.dryRun", message });
            false
        }
    }
}

fn phone_faults(field: &Field, value: &str) -> Vec<&'static str> {
    let blank = is_blank(value).then_some(field.required);
    let malformed = (!is_phone_number(value)).then_some(field.malformed);
    blank.into_iter().chain(malformed).collect()
}

fn text_faults(field: &Field, value: &str) -> Vec<&'static str> {
    let blank = is_blank(value).then_some(field.required);
    let length = value.encode_utf16().take(LONGEST_TEXT + 1).count();
    let bad_length = (!(1..=LONGEST_TEXT).contains(&length)).then_some(field.malformed);
    // PostgreSQL cannot store it.
    let nul = value.contains('\0').then_some(NUL_IN_TEXT);
    blank.into_iter().chain(bad_length).chain(nul).collect()
}

/// Nothing to read: spaces of any kind, and the control characters that Java's `trim` also removes.
fn is_blank(value: &str) -> bool {
    value.chars().all(|character| character.is_whitespace() || character <= ' ')
}

/// The peer's pattern `\+?[1-9]\d{1,14}`.
fn is_phone_number(value: &str) -> bool {
    let digits = value.strip_prefix('+').unwrap_or(value).as_bytes();
    (2..=15).contains(&digits.len()) && digits[0] != b'0' && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER_FORMAT: &str =
        "sender: Invalid sender phone number format. Use international format (e.g., +1234567890)";
    const LENGTH: &str = "text: Message text must be between 1 and 1600 characters";

    /// `json` overrides fields of a valid request; null removes one.
    #[track_caller]
    fn check(json: &serde_json::Value, expected: &[&str]) {
        let mut body = serde_json::json!({ "sender": "+15550100", "recipient": "4915112345678", "text": "hello" });
        for (name, value) in json.as_object().expect("an object of fields") {
            body[name] = value.clone();
        }
        let request: Request = serde_json::from_value(body).expect("every JSON object decodes");
        let found = match validate(request) {
            Ok(_) => Vec::new(),
            Err(violations) => violations.iter().map(|v| format!("{}: {}", v.name, v.message)).collect(),
        };
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn every_wrong_field_is_named() {
        check(
            &serde_json::json!({ "sender": null, "recipient": null, "text": null }),
            &[
                "sender: Sender phone number is required",
                "recipient: Recipient phone number is required",
                "text: Message text is required",
            ],
        );
        check(
            &serde_json::json!({ "sender": true, "recipient": [1], "text": 1.5 }),
            &[
                "sender: Sender phone number must be a string",
                "recipient: Recipient phone number must be a string",
                "text: Message text must be a string",
            ],
        );
    }

    #[test]
    fn phone_numbers_follow_the_pattern() {
        for good in ["12", "+12", "123456789012345", "+123456789012345"] {
            check(&serde_json::json!({ "sender": good }), &[]);
        }
        for bad in ["+", "1", "+1", "0123", "+0123", "1234567890123456", "++12", "12a", "12 34", "+١٢٣", "12\0"] {
            check(&serde_json::json!({ "sender": bad }), &[SENDER_FORMAT]);
        }
        check(&serde_json::json!({ "sender": "" }), &["sender: Sender phone number is required", SENDER_FORMAT]);
        check(&serde_json::json!({ "sender": 15_550_100 }), &[]);
    }

    #[test]
    fn a_text_is_counted_in_utf_16_code_units() {
        for good in ["a".repeat(1600), "é".repeat(1600), "😀".repeat(800)] {
            check(&serde_json::json!({ "text": good }), &[]);
        }
        for long in ["a".repeat(1601), "😀".repeat(801)] {
            check(&serde_json::json!({ "text": long }), &[LENGTH]);
        }
    }

    #[test]
    fn a_text_says_something() {
        check(&serde_json::json!({ "text": "" }), &["text: Message text is required", LENGTH]);
        for blank in ["   ", "\n\t", "\u{a0}", "\u{1}"] {
            check(&serde_json::json!({ "text": blank }), &["text: Message text is required"]);
        }
        check(&serde_json::json!({ "text": 123 }), &[]);
        check(&serde_json::json!({ "text": "a\0b" }), &[format!("text: {NUL_IN_TEXT}").as_str()]);
    }

    #[test]
    fn fields_are_kept_as_they_are_given() {
        let body = r#"{"sender":"+15550100","recipient":49151,"text":" Grüße 🎈 ","more":{"ignored":true}}"#;
        let valid = validate(serde_json::from_str(body).expect("valid JSON")).expect("valid request");
        assert_eq!(
            valid,
            Valid {
                sender: "+15550100".to_owned(),
                recipient: "49151".to_owned(),
                text: " Grüße 🎈 ".to_owned(),
                dry_run: false,
            }
        );
    }

    #[test]
    fn a_dry_run_is_asked_for_in_so_many_words() {
        for (given, expected) in [("true", true), ("false", false), ("null", false)] {
            let body = format!(r#"{{"sender":"12","recipient":"34","text":"hello","dry_run":{given}}}"#);
            let valid = validate(serde_json::from_str(&body).expect("valid JSON")).expect("valid request");
            assert_eq!(valid.dry_run, expected, "{given}");
        }
        for unclear in [serde_json::json!("true"), serde_json::json!(1), serde_json::json!({}), serde_json::json!([])] {
            check(&serde_json::json!({ "dry_run": unclear }), &["dry_run: Dry run must be true or false"]);
        }
    }
}
