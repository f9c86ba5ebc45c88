use std::time::Duration;

use serde_json::json;

use super::*;

const SENDER_FORMAT: &str = "sender: Invalid sender phone number format. Use international format (e.g., +1234567890)";
const LENGTH: &str = "text: Message text must be between 1 and 1600 characters";

const RULES: Rules =
    Rules { number_validation: NumberValidation::Pattern, longest_delay: Duration::from_hours(30 * 24) };

fn at(moment: &str) -> Timestamp {
    moment.parse().expect("a time")
}

fn validated(body: Value, rules: Rules) -> Result<Valid, Vec<Violation>> {
    let request: MessageRequest = serde_json::from_value(body).expect("every JSON object decodes");
    request.validate(rules, at("2026-11-24T12:00:00Z"))
}

/// `json` overrides fields of a valid request; null removes one.
#[track_caller]
fn check(json: &serde_json::Value, expected: &[&str]) {
    let mut body = json!({ "sender": "+15550100", "recipient": "4915112345678", "text": "hello" });
    for (name, value) in json.as_object().expect("an object of fields") {
        body[name] = value.clone();
    }
    let found = match validated(body, RULES) {
        Ok(_) => Vec::new(),
        Err(violations) => violations.iter().map(|v| format!("{}: {}", v.pointer, v.message)).collect(),
    };
    assert_eq!(found, expected, "{json}");
}

#[test]
fn every_wrong_field_is_named() {
    check(
        &json!({ "sender": null, "recipient": null, "text": null }),
        &[
            "recipient: Recipient phone number is required",
            "sender: Sender phone number is required",
            "text: Message text is required",
        ],
    );
    check(
        &json!({ "sender": true, "recipient": [1], "text": 1.5 }),
        &[
            "recipient: Recipient phone number must be a string",
            "sender: Sender phone number must be a string",
            "text: Message text must be a string",
        ],
    );
}

#[test]
fn phone_numbers_follow_the_pattern() {
    for good in ["12", "+12", "123456789012345", "+123456789012345"] {
        check(&json!({ "sender": good }), &[]);
    }
    for bad in ["+", "1", "+1", "0123", "+0123", "1234567890123456", "++12", "12a", "12 34", "+١٢٣", "12\0"] {
        check(&json!({ "sender": bad }), &[SENDER_FORMAT]);
    }
    check(&json!({ "sender": "" }), &["sender: Sender phone number is required", SENDER_FORMAT]);
    check(&json!({ "sender": 15_550_100 }), &[]);
}

#[test]
fn a_text_is_counted_in_utf_16_code_units() {
    for good in ["a".repeat(1600), "é".repeat(1600), "😀".repeat(800)] {
        check(&json!({ "text": good }), &[]);
    }
    for long in ["a".repeat(1601), "😀".repeat(801)] {
        check(&json!({ "text": long }), &[LENGTH]);
    }
}

#[test]
fn a_text_says_something() {
    check(&json!({ "text": "" }), &["text: Message text is required", LENGTH]);
    for blank in ["   ", "\n\t", "\u{a0}", "\u{1}"] {
        check(&json!({ "text": blank }), &["text: Message text is required"]);
    }
    check(&json!({ "text": 123 }), &[]);
    check(&json!({ "text": "a\0b" }), &["text: Message text must not contain the NUL character (U+0000)"]);
}

#[test]
fn fields_are_kept_as_they_are_given() {
    let body = json!({
        "sender": "+15550100", "recipient": 49151, "text": " Grüße 🎈 ", "more": { "ignored": true },
        "priority": "high", "send_at": "2026-11-24T15:00:00+01:00", "expires_at": "2026-11-25T00:00:00Z",
        "client_reference": "order/4711", "metadata": { "b": "2", "a": "" },
    });
    let valid = validated(body, RULES).expect("valid request");
    assert_eq!(
        valid,
        Valid {
            content: Content {
                sender: "+15550100".into(),
                text: " Grüße 🎈 ".into(),
                priority: Priority::High,
                send_at: Some(at("2026-11-24T14:00:00Z")),
                expires_at: Some(at("2026-11-25T00:00:00Z")),
                client_reference: Some("order/4711".into()),
                metadata: Some(Arc::new([("a", ""), ("b", "2")].map(|(a, b)| (a.to_owned(), b.to_owned())).into())),
            },
            recipient: "49151".into(),
            dry_run: false,
        }
    );
}

#[test]
fn a_dry_run_is_asked_for_in_so_many_words() {
    for (given, expected) in [("true", true), ("false", false), ("null", false)] {
        let body = format!(r#"{{"sender":"12","recipient":"34","text":"hello","dry_run":{given}}}"#);
        let valid = validated(serde_json::from_str(&body).expect("valid JSON"), RULES).expect("valid request");
        assert_eq!(valid.dry_run, expected, "{given}");
    }
    for unclear in [json!("true"), json!(1), json!({}), json!([])] {
        check(&json!({ "dry_run": unclear }), &["dry_run: Dry run must be true or false"]);
    }
}

#[test]
fn a_time_to_send_is_in_the_next_thirty_days() {
    for good in ["2026-11-24T12:00:01Z", "2026-12-24T12:00:00Z", "2026-11-24T23:00:00.5+09:00"] {
        check(&json!({ "send_at": good }), &[]);
    }
    check(&json!({ "send_at": "2026-11-24T11:49:59Z" }), &["send_at: Sending time must be in the future"]);
    check(&json!({ "send_at": "2026-12-24T12:00:01Z" }), &["send_at: Sending time must be at most 30 days ahead"]);
    for unclear in [json!("2026-11-25T12:00:00"), json!("tomorrow"), json!(1_795_000_000), json!({})] {
        let message = "send_at: Sending time must be a time with zone (RFC 3339), such as 2026-11-23T14:00:00Z";
        check(&json!({ "send_at": unclear }), &[message]);
    }
}

#[test]
fn a_time_to_send_that_has_just_passed_means_at_once() {
    for (given, expected) in [
        ("2026-11-24T11:50:00Z", None),
        ("2026-11-24T12:00:00Z", None),
        ("2026-11-24T12:00:01Z", Some(at("2026-11-24T12:00:01Z"))),
    ] {
        let body = json!({ "sender": "12", "recipient": "34", "text": "hello", "send_at": given });
        assert_eq!(validated(body, RULES).expect("valid request").content.send_at, expected, "{given}");
    }
}

#[test]
fn a_message_expires_after_it_is_to_be_sent() {
    check(&json!({ "expires_at": "2026-11-24T12:00:01Z" }), &[]);
    check(&json!({ "expires_at": "2026-11-24T11:59:59Z" }), &["expires_at: Expiry time must be in the future"]);
    let both = |send_at, expires_at| json!({ "send_at": send_at, "expires_at": expires_at });
    check(&both("2026-11-25T00:00:00Z", "2026-11-25T00:00:01Z"), &[]);
    let message = "expires_at: Expiry time must be after the sending time";
    check(&both("2026-11-25T00:00:00Z", "2026-11-25T00:00:00Z"), &[message]);
}

#[test]
fn a_priority_is_one_of_three() {
    for good in ["high", "normal", "low"] {
        check(&json!({ "priority": good }), &[]);
    }
    for bad in [json!("HIGH"), json!("urgent"), json!(1)] {
        check(&json!({ "priority": bad }), &["priority: Priority must be high, normal or low"]);
    }
}

#[test]
fn references_and_metadata_are_bounded() {
    check(&json!({ "client_reference": "é".repeat(255) }), &[]);
    for bad in [json!(""), json!("é".repeat(256)), json!("a\nb"), json!(4711)] {
        let message =
            "client_reference: Client reference must be a string of 1 to 255 characters without control characters";
        check(&json!({ "client_reference": bad }), &[message]);
    }
    check(&json!({ "metadata": {} }), &[]);
    check(&json!({ "metadata": { "a": "x".repeat(1024 - 8) } }), &[]);
    for bad in [json!({ "a": "x".repeat(1024 - 7) }), json!({ "a": 1 }), json!({ "a": "\0" }), json!(["a"]), json!("a")]
    {
        let message =
            "metadata: Metadata must be an object of strings without NUL characters, of at most 1024 bytes as JSON";
        check(&json!({ "metadata": bad }), &[message]);
    }
}

#[test]
fn strict_validation_asks_for_numbers_that_can_exist() {
    let rules = Rules { number_validation: NumberValidation::Strict, ..RULES };
    let body = |recipient| json!({ "sender": "+4915112345678", "recipient": recipient, "text": "hello" });
    for plausible in ["+4915112345678", "4915112345678", "+12025550123"] {
        assert!(validated(body(plausible), rules).is_ok(), "{plausible}");
    }
    for implausible in ["+15550101", "+49", "+999123456789"] {
        assert!(validated(body(implausible), RULES).is_ok(), "{implausible}");
        let violations = validated(body(implausible), rules).expect_err(implausible);
        assert_eq!(violations[0].pointer, "recipient", "{implausible}");
    }
}
