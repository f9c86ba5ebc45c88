//! <https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource>

use std::time::Duration;

use axum::{
    http::{Method, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use contract::{DeliveryStatus, SmsRequestedV1};
use serde_json::json;
use sms_processor::decide::Outcome;

use super::{sent, twilio, twilio_secrets};
use crate::{
    harness::Serving,
    provider_end::{Call, ProviderEnd, now},
    report_end::ReportEnd,
    topics::{Topics, message},
};

/// What Twilio answers to a call that is right.
pub fn created() -> Response {
    let message = json!({ "sid": "SM0123456789abcdef", "status": "queued", "error_code": null, "num_segments": "1" });
    (StatusCode::CREATED, axum::Json(message)).into_response()
}

pub fn error(status: StatusCode, code: u32, message: &str) -> Response {
    (status, axum::Json(json!({ "code": code, "message": message, "status": status.as_u16() }))).into_response()
}

/// As Twilio judges a call.
pub fn judge(call: &Call) -> Response {
    // AC0123:s3cret
    if call.header("authorization") != Some("Basic QUMwMTIzOnMzY3JldA==") {
        return error(StatusCode::UNAUTHORIZED, 20003, "Authenticate");
    }
    if (&call.method, &*call.path) != (&Method::POST, "/2010-04-01/Accounts/AC0123/Messages.json") {
        return error(StatusCode::NOT_FOUND, 20404, "The requested resource was not found");
    }
    if call.header("content-type") != Some("application/x-www-form-urlencoded") {
        return error(StatusCode::BAD_REQUEST, 21604, "A 'To' phone number is required.");
    }
    match (call.field("To"), call.field("From"), call.field("Body")) {
        (Some(to), _, _) if !to.starts_with("+1555") => {
            error(StatusCode::BAD_REQUEST, 21211, &format!("The 'To' number {to} is not a valid phone number."))
        }
        (Some(_), Some(from), Some(_)) if from.starts_with('+') => created(),
        _ => error(StatusCode::BAD_REQUEST, 21603, "A 'From' phone number is required."),
    }
}

#[tokio::test]
async fn a_message_is_created_with_its_numbers_and_text() {
    let (end, secrets) = (ProviderEnd::start(|call| now(judge(call))).await, twilio_secrets());
    let message =
        SmsRequestedV1 { sender: "15550100".to_owned(), text: "a&b=c + Grüße 🎈".to_owned(), ..message(7) };
    let outcome = sent(&twilio(&end, &secrets, "10s"), &message).await;
    assert_eq!(outcome, Outcome::Delivered { provider_message_id: Some("SM0123456789abcdef".to_owned()) });
    let call = &end.calls()[0];
    assert_eq!(call.field("To").as_deref(), Some("+15550000007"));
    assert_eq!(call.field("From").as_deref(), Some("+15550100"));
    assert_eq!(call.field("Body"), Some(message.text));
}

#[tokio::test]
async fn a_number_that_twilio_refuses_is_refused_in_its_words_without_the_number() {
    let (end, secrets) = (ProviderEnd::start(|call| now(judge(call))).await, twilio_secrets());
    let message = SmsRequestedV1 { recipient: "+4915112345678".to_owned(), ..message(0) };
    let Outcome::Refused { reason } = sent(&twilio(&end, &secrets, "10s"), &message).await else {
        panic!("not refused");
    };
    assert_eq!(reason, "the provider answered 400 Bad Request: The 'To' number +… is not a valid phone number.");
}

#[tokio::test]
async fn what_is_no_fault_of_the_message_does_not_fail_it() {
    let (end, secrets) = (ProviderEnd::start(|call| now(judge(call))).await, twilio_secrets());
    let settings = twilio(&end, &secrets, "10s");
    for (response, expected) in [
        (
            || ([(RETRY_AFTER, "7")], error(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests")).into_response(),
            Outcome::Throttled { retry_after: Some(Duration::from_secs(7)) },
        ),
        (|| error(StatusCode::BAD_REQUEST, 21611, "SMS queue is full"), Outcome::Throttled { retry_after: None }),
        (
            || error(StatusCode::UNAUTHORIZED, 20003, "Authenticate"),
            Outcome::Unavailable { reason: "the provider answered 401 Unauthorized".to_owned() },
        ),
        (
            || error(StatusCode::INTERNAL_SERVER_ERROR, 20500, "Internal"),
            Outcome::Unknown { reason: "the provider answered 500 Internal Server Error".to_owned() },
        ),
    ] as [(fn() -> Response, Outcome); 4]
    {
        end.answer(move |_| now(response()));
        assert_eq!(sent(&settings, &message(0)).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_carries_every_record_to_twilio_and_its_answer_to_sms_api() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let (end, secrets) = (ProviderEnd::start(|call| now(judge(call))).await, twilio_secrets());
    let mut ids = topics.request(50).await;
    let refused = SmsRequestedV1 { recipient: "+4915112345678".to_owned(), ..message(50) };
    topics.request_in(&topics.requests, &refused).await;
    ids.push(refused.message_id);
    let settings = twilio(&end, &secrets, "10s");
    let processor = Serving::start(&topics, &report_end, &[("provider", &settings)]).await;
    let received = report_end.until_all(&ids).await;
    processor.until_readiness(r#"{"name":"provider","status":"UP"}"#).await;
    processor.stop().await;
    for received in received {
        let is_refused = received.report.message_id == refused.message_id;
        let expected = if is_refused { DeliveryStatus::Failed } else { DeliveryStatus::Sent };
        assert_eq!(received.report.status, expected, "{received:?}");
    }
    assert_eq!(end.calls().len(), 51);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_too_fast_waits_as_long_as_twilio_says_and_is_sent() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let too_fast = || ([(RETRY_AFTER, "1")], error(StatusCode::TOO_MANY_REQUESTS, 20429, "Too Many Requests"));
    let (end, secrets) = (ProviderEnd::start(move |_| now(too_fast())).await, twilio_secrets());
    let ids = topics.request(1).await;
    let settings = twilio(&end, &secrets, "10s");
    let flags = [("provider", &*settings), ("max-retries", "0"), ("retry-delay", "0s")];
    let processor = Serving::start(&topics, &report_end, &flags).await;
    end.until(1).await;
    let since = std::time::Instant::now();
    end.answer(|call| now(judge(call)));
    let received = report_end.until_all(&ids).await;
    assert!(since.elapsed() > Duration::from_millis(900), "{:?}", since.elapsed());
    processor.stop().await;
    assert_eq!(received[0].report.status, DeliveryStatus::Sent);
    assert_eq!(end.calls().len(), 2);
}
