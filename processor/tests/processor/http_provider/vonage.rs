//! <https://developer.vonage.com/en/api/sms>

use axum::{Json, response::IntoResponse};
use contract::SmsRequestedV1;
use serde_json::json;
use sms_processor::decide::Outcome;

use super::{sent, vonage};
use crate::{
    provider_end::{Call, ProviderEnd, Reply, SecretFiles, now},
    topics::message,
};

fn secrets() -> SecretFiles {
    SecretFiles::new(&[("apiKey", "k3y"), ("apiSecret", "s3cret")])
}

/// Always 200, whatever it says.
fn reply(status: &str, text: &str) -> Reply {
    let part = match status {
        "0" => json!({ "status": "0", "to": "15550000007", "message-id": "0A0000000123ABCD1", "network": "12345" }),
        status => json!({ "status": status, "error-text": text }),
    };
    now(Json(json!({ "message-count": "1", "messages": [part] })))
}

fn judge(call: &Call) -> Reply {
    let field = |name| call.field(name).unwrap_or_default();
    if call.path != "/sms/json" || (field("api_key"), field("api_secret")) != ("k3y".to_owned(), "s3cret".to_owned()) {
        return reply("4", "Bad Credentials");
    }
    let is_number = |number: &str| number.chars().all(|character| character.is_ascii_digit());
    if !is_number(&field("to")) || !is_number(&field("from")) || field("text").is_empty() {
        return reply("3", "Invalid to, from or text param");
    }
    reply("0", "")
}

#[tokio::test]
async fn a_message_is_sent_with_its_numbers_text_and_alphabet() {
    let (end, secrets) = (ProviderEnd::start(judge).await, secrets());
    let settings = vonage(&end, &secrets);
    for (text, kind) in [("Hello & good-bye", "text"), ("Grüße 🎈", "unicode")] {
        let message = SmsRequestedV1 { text: text.to_owned(), ..message(7) };
        let outcome = sent(&settings, &message).await;
        assert_eq!(outcome, Outcome::Delivered { provider_message_id: Some("0A0000000123ABCD1".to_owned()) });
        let call = end.calls().pop().expect("a call");
        for (name, expected) in [
            ("to", "15550000007"),
            ("from", "15550100"),
            ("text", text),
            ("type", kind),
            ("client-ref", &message.message_id.to_string()),
        ] {
            assert_eq!(call.field(name).as_deref(), Some(expected), "{name}");
        }
    }
}

#[tokio::test]
async fn every_status_of_vonage_is_understood() {
    let (end, secrets) = (ProviderEnd::start(judge).await, secrets());
    let settings = vonage(&end, &secrets);
    let told = |status: &str| format!("the provider answered 200 OK: error {status}");
    for status in ["1", "10"] {
        end.answer(move |_| reply(status, ""));
        assert_eq!(sent(&settings, &message(0)).await, Outcome::Throttled { retry_after: None }, "{status}");
    }
    for status in ["4", "8", "9", "11", "14", "32"] {
        end.answer(move |_| reply(status, &format!("error {status}")));
        assert_eq!(sent(&settings, &message(0)).await, Outcome::Unavailable { reason: told(status) });
    }
    for status in ["2", "3", "6", "7", "12", "15", "22", "29", "33"] {
        end.answer(move |_| reply(status, &format!("error {status}")));
        assert_eq!(sent(&settings, &message(0)).await, Outcome::Refused { reason: told(status) });
    }
    for status in ["5", "77"] {
        end.answer(move |_| reply(status, &format!("error {status}")));
        assert_eq!(sent(&settings, &message(0)).await, Outcome::Unknown { reason: told(status) });
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_what_became_of_the_message_is_no_success() {
    let (end, secrets) = (ProviderEnd::start(judge).await, secrets());
    let settings = vonage(&end, &secrets);
    for body in
        ["<html>".to_owned(), "{}".to_owned(), String::new(), format!("{{\"filler\":\"{}\"}}", "x".repeat(70_000))]
    {
        let shown = body.chars().take(20).collect::<String>();
        end.answer(move |_| now(body.clone().into_response()));
        assert!(matches!(sent(&settings, &message(0)).await, Outcome::Unknown { .. }), "{shown}");
    }
}
