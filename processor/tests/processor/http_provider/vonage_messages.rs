//! <https://developer.vonage.com/en/api/messages>

use axum::{Json, http::StatusCode, response::IntoResponse};
use contract::SmsRequestedV1;
use serde_json::{Value, json};
use sms_processor::decide::Outcome;

use super::{sent, vonage_messages};
use crate::{
    provider_end::{Call, ProviderEnd, Reply, SecretFiles, now},
    topics::message,
};

fn secrets() -> SecretFiles {
    SecretFiles::new(&[("apiKey", "k3y"), ("apiSecret", "s3cret")])
}

/// Errors are problem documents (RFC 9457).
fn problem(status: StatusCode, detail: &str) -> Reply {
    let body = json!({ "type": "https://developer.vonage.com/api-errors", "title": "Wrong", "detail": detail });
    now((status, Json(body)).into_response())
}

fn judge(call: &Call) -> Reply {
    // k3y:s3cret
    if call.header("authorization") != Some("Basic azN5OnMzY3JldA==") || call.path != "/v1/messages" {
        return problem(StatusCode::UNAUTHORIZED, "You did not provide correct credentials.");
    }
    let body: Value = serde_json::from_str(&call.body).expect("JSON");
    if body["to"] == "15550000404" {
        return problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The value of one or more parameters is invalid: 15550000404",
        );
    }
    assert_eq!((&body["channel"], &body["message_type"]), (&json!("sms"), &json!("text")));
    let id = json!({ "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab" });
    now((StatusCode::ACCEPTED, Json(id)).into_response())
}

#[tokio::test]
async fn a_message_is_sent_as_json() {
    let (end, secrets) = (ProviderEnd::start(judge).await, secrets());
    let message = SmsRequestedV1 { text: "\"Grüße\"\n🎈".to_owned(), ..message(7) };
    let outcome = sent(&vonage_messages(&end, &secrets), &message).await;
    let id = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab".to_owned();
    assert_eq!(outcome, Outcome::Delivered { provider_message_id: Some(id) });
    let call = &end.calls()[0];
    assert_eq!(call.header("content-type"), Some("application/json"));
    let body: Value = serde_json::from_str(&call.body).expect("JSON");
    let expected = json!({
        "channel": "sms", "message_type": "text", "to": "15550000007", "from": "15550100", "text": message.text,
        "client_ref": message.message_id,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn an_invalid_message_is_refused_and_an_account_without_credit_fails_none() {
    let (end, secrets) = (ProviderEnd::start(judge).await, secrets());
    let settings = vonage_messages(&end, &secrets);
    let reason = "the provider answered 422 Unprocessable Entity: The value of one or more parameters is invalid: …";
    assert_eq!(sent(&settings, &message(404)).await, Outcome::Refused { reason: reason.to_owned() });
    end.answer(|_| {
        problem(StatusCode::PAYMENT_REQUIRED, "This request could not be performed due to your account balance")
    });
    let reason = "the provider answered 402 Payment Required".to_owned();
    assert_eq!(sent(&settings, &message(7)).await, Outcome::Unavailable { reason });
    end.answer(|_| problem(StatusCode::TOO_MANY_REQUESTS, "You have been rate limited"));
    assert_eq!(sent(&settings, &message(7)).await, Outcome::Throttled { retry_after: None });
}
