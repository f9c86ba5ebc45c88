//! Asking a provider what became of a message.

use axum::{
    Json,
    http::{Method, StatusCode},
    response::IntoResponse,
};
use contract::SmsRequestedV1;
use serde_json::json;
use sms_processor::decide::Found;

use super::{provider, twilio, twilio_secrets};
use crate::{
    provider_end::{Call, ProviderEnd, Reply, now},
    topics::message,
};

/// A provider that can be asked by the sender's own reference, and knows every message whose number ends with 1.
fn judge(call: &Call) -> Reply {
    if call.header("authorization") != Some("Bearer s3cret") {
        return now(StatusCode::UNAUTHORIZED);
    }
    match call.path.split_once("?reference=") {
        Some((_, "00000000-0000-0000-0000-000000000001")) => {
            now(Json(json!({ "items": [{ "id": "SM1" }], "total": 1 })))
        }
        Some(_) => now(Json(json!({ "items": [], "total": 0 }))),
        None => now(StatusCode::BAD_REQUEST.into_response()),
    }
}

fn settings(end: &ProviderEnd, twilio: &str) -> String {
    let mut settings: serde_json::Value = serde_json::from_str(twilio).expect("JSON");
    settings["http"]["query"] = json!({
        "url": format!("{}/messages?reference={{{{ message_id }}}}", end.url()),
        "headers": { "Authorization": "Bearer {{ secrets.authToken }}" },
        "responses": [
            { "when": { "body": { "pointer": "/total", "equals": "1" } }, "outcome": "Delivered", "messageId": "/items/0/id" },
            { "when": { "body": { "pointer": "/total", "equals": "0" } }, "outcome": "Refused" },
        ],
    });
    settings.to_string()
}

fn numbered(number: u128) -> SmsRequestedV1 {
    SmsRequestedV1 { message_id: uuid::Uuid::from_u128(number), ..message(0) }
}

#[tokio::test]
async fn a_provider_tells_by_our_id_whether_it_has_a_message() {
    let (end, secrets) = (ProviderEnd::start(judge).await, twilio_secrets());
    let provider = provider(&settings(&end, &twilio(&end, &secrets, "10s")));
    let sent = Found::Sent { provider_message_id: Some("SM1".to_owned()) };
    assert_eq!(provider.query(&numbered(1)).await, sent);
    assert_eq!(provider.query(&numbered(2)).await, Found::NotSent);
    assert!(end.calls().iter().all(|call| call.method == Method::GET && call.body.is_empty()));
}

#[tokio::test]
async fn an_answer_that_no_rule_is_for_tells_nothing() {
    let (end, secrets) = (ProviderEnd::start(judge).await, twilio_secrets());
    let provider = provider(&settings(&end, &twilio(&end, &secrets, "300ms")));
    for (status, reason) in [
        (StatusCode::OK, "the provider answered 200 OK"),
        (StatusCode::NOT_FOUND, "the provider answered 404 Not Found"),
        (StatusCode::UNAUTHORIZED, "the provider answered 401 Unauthorized"),
        (StatusCode::TOO_MANY_REQUESTS, "the provider asks to slow down"),
    ] {
        end.answer(move |_| now(status));
        assert_eq!(provider.query(&numbered(1)).await, Found::CannotTell { reason: reason.to_owned() });
    }
    end.answer(|_| Reply { after: std::time::Duration::from_mins(1), response: StatusCode::OK.into_response() });
    let Found::CannotTell { reason } = provider.query(&numbered(1)).await else { panic!("nothing was told") };
    assert_eq!(reason, "the provider did not answer within 300ms");
}

#[tokio::test]
async fn a_changed_secret_is_found_while_asking() {
    let (end, secrets) = (ProviderEnd::start(judge).await, twilio_secrets());
    secrets.write("authToken", "old");
    let provider = provider(&settings(&end, &twilio(&end, &secrets, "10s")));
    // Files are read again at most once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    secrets.write("authToken", "s3cret");
    assert_eq!(provider.query(&numbered(2)).await, Found::NotSent);
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_says_so() {
    let (end, secrets) = (ProviderEnd::start(judge).await, twilio_secrets());
    for settings in [twilio(&end, &secrets, "10s"), r#"{"simulated":{}}"#.to_owned()] {
        let found = provider(&settings).query(&numbered(1)).await;
        assert!(matches!(found, Found::CannotTell { .. }), "{found:?}");
    }
    assert_eq!(end.calls().len(), 0);
}
