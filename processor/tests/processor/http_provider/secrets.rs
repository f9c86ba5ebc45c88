//! Secrets that are missing, changed, or quoted back.

use axum::{http::StatusCode, response::IntoResponse};
use contract::{DeliveryStatus, SmsRequestedV1};
use sms_processor::{
    decide::Outcome,
    provider::{Provider, Settings},
};
use telemetry::Health;

use super::{
    sent, twilio,
    twilio::{created, error, judge},
    twilio_secrets,
};
use crate::{
    harness::{Process, Serving, flags},
    provider_end::{ProviderEnd, SecretFiles, now},
    report_end::ReportEnd,
    topics::{Topics, message},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_secret_is_followed_without_a_restart_and_without_a_failed_message() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let (end, secrets) = (ProviderEnd::start(|call| now(judge(call))).await, twilio_secrets());
    secrets.write("authToken", "old");
    let settings = twilio(&end, &secrets, "10s");
    let flags = [("provider", &*settings), ("max-retries", "100"), ("retry-delay", "200ms")];
    let processor = Serving::start(&topics, &report_end, &flags).await;
    let ids = topics.request(5).await;
    processor.until_readiness("the provider answered 401 Unauthorized").await;
    processor.until_readiness(r#""status":"UP","checks""#).await;
    secrets.write("authToken", "s3cret");
    let received = report_end.until_all(&ids).await;
    processor.until_readiness(r#"{"name":"provider","status":"UP"}"#).await;
    processor.stop().await;
    assert!(received.iter().all(|received| received.report.status == DeliveryStatus::Sent));
}

#[tokio::test]
async fn a_setting_that_cannot_work_ends_the_process_with_a_sentence_that_names_it_and_no_secret() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let (end, secrets) = (ProviderEnd::start(|_| now(created())).await, twilio_secrets());
    let good = twilio(&end, &secrets, "10s");
    for (from, to, expected) in [
        ("secrets.authToken", "secrets.token", "PROVIDER cannot be used: http.basicAuth.password: there is no secret"),
        ("{{ text }}", "{{ text", "PROVIDER cannot be used: http.form.Body: syntax error"),
        ("{{ text }}", "{{ text | pad }}", "PROVIDER cannot be used: http.form.Body: unknown filter"),
        ("2xx", "200-100", "http.responses[0].when.status: \"200-100\" is not a status"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let (status, errors) = Process::start(&flags(&topics, &report_end, &[("provider", &bad)])).ended().await;
        assert!(!status.success());
        assert!(errors.contains(expected), "{errors}");
        assert!(!errors.contains("s3cret"), "{errors}");
    }
}

#[tokio::test]
async fn a_secret_that_is_missing_is_told_by_its_field() {
    let (end, secrets) = (ProviderEnd::start(|_| now(created())).await, SecretFiles::new(&[("accountSid", "AC0123")]));
    let settings = Settings::parse(&twilio(&end, &secrets, "10s")).expect("usable settings");
    let error = Provider::new(&settings, Health::default().check("provider")).expect_err("no token");
    assert!(format!("{error:#}").contains("http.secrets.authToken: cannot read "), "{error:#}");
}

#[tokio::test]
async fn what_a_provider_quotes_of_secrets_numbers_and_texts_is_not_told() {
    let end = ProviderEnd::start(|call| {
        let (to, text) = (call.field("To").unwrap_or_default(), call.field("Body").unwrap_or_default());
        now(if text.contains("number") {
            error(StatusCode::BAD_REQUEST, 1, &format!("s3cret of AC0123 cannot reach {to}")).into_response()
        } else {
            error(StatusCode::BAD_REQUEST, 2, &format!("cannot send {text:?}")).into_response()
        })
    })
    .await;
    let secrets = twilio_secrets();
    let settings = twilio(&end, &secrets, "10s");
    for (text, expected) in
        [("a number", "… of … cannot reach +…"), ("Meet me at noon", "(its words quote the message and are left out)")]
    {
        let message = SmsRequestedV1 { text: text.to_owned(), ..message(7) };
        let reason = format!("the provider answered 400 Bad Request: {expected}");
        assert_eq!(sent(&settings, &message).await, Outcome::Refused { reason });
    }
}
