//! Providers that are away, slow, or elsewhere.

use std::{net::SocketAddr, time::Duration};

use axum::{
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use contract::DeliveryStatus;
use sms_processor::decide::Outcome;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket},
};

use super::{
    sent, twilio,
    twilio::{created, judge},
    twilio_secrets,
};
use crate::{
    harness::Serving,
    provider_end::{ProviderEnd, Reply, now},
    report_end::ReportEnd,
    topics::{Topics, message},
};

/// Takes the message and does not say so in time.
fn too_late() -> Reply {
    Reply { after: Duration::from_mins(1), response: created() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_does_not_come_in_time_is_sent_again() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let (end, secrets) = (ProviderEnd::start(|_| too_late()).await, twilio_secrets());
    let settings = twilio(&end, &secrets, "300ms");
    let flags = [("provider", &*settings), ("max-retries", "100"), ("retry-delay", "100ms")];
    let processor = Serving::start(&topics, &report_end, &flags).await;
    let ids = topics.request(1).await;
    processor.until_readiness("no answer came in time").await;
    processor.until_readiness(r#""status":"UP","checks""#).await;
    end.answer(|call| now(judge(call)));
    let received = report_end.until_all(&ids).await;
    processor.stop().await;
    assert_eq!(received[0].report.status, DeliveryStatus::Sent);
    assert!(end.calls().len() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_does_not_come_in_time_is_held_where_that_is_asked() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let (end, secrets) = (ProviderEnd::start(|_| too_late()).await, twilio_secrets());
    let settings = twilio(&end, &secrets, "300ms");
    let flags = [("provider", &*settings), ("retry-delay", "0s"), ("on-unknown-outcome", "hold")];
    let processor = Serving::start(&topics, &report_end, &flags).await;
    let ids = topics.request(1).await;
    let received = report_end.until_all(&ids).await;
    processor.stop().await;
    assert_eq!(received[0].report.status, DeliveryStatus::Unknown);
    let reason = received[0].report.failure_reason.as_deref();
    assert_eq!(reason, Some("the provider did not answer within 300ms"));
    assert_eq!(end.calls().len(), 1);
}

#[tokio::test]
async fn a_provider_that_is_away_has_not_taken_the_message() {
    let (end, secrets) = (ProviderEnd::start(|_| now(created())).await, twilio_secrets());
    // Bound and not listening: nobody answers, and no other test can be given the port meanwhile.
    let nobody = TcpSocket::new_v4().expect("a socket");
    nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let url = format!("http://{}", nobody.local_addr().expect("an address"));
    let good = twilio(&end, &secrets, "10s");
    for (url, expected) in
        [(&*url, "Connection refused"), ("http://no-such-host.invalid", "the provider cannot be reached")]
    {
        let Outcome::Unavailable { reason } = sent(&good.replace(&end.url(), url), &message(0)).await else {
            panic!("{url}: not unavailable");
        };
        assert!(reason.contains(expected), "{reason}");
    }
    // TLS fails before the request goes out.
    let https = end.url().replace("http://", "https://");
    let outcome = sent(&good.replace(&end.url(), &https), &message(0)).await;
    assert!(matches!(outcome, Outcome::Unavailable { .. }), "{outcome:?}");
    assert_eq!(end.calls().len(), 0);
}

#[tokio::test]
async fn connecting_ends_before_the_attempt_does_and_while_it_is_known_that_nothing_was_sent() {
    let (end, secrets) = (ProviderEnd::start(|_| now(created())).await, twilio_secrets());
    // Connections are made, and then nobody speaks TLS.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("an address"));
    let outcome = sent(&twilio(&end, &secrets, "600ms").replace(&end.url(), &url), &message(0)).await;
    let expected = Outcome::Unavailable { reason: "the provider cannot be reached: it took too long".to_owned() };
    assert_eq!(outcome, expected);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_the_outcome_unknown() {
    let (end, secrets) = (ProviderEnd::start(|_| now(created())).await, twilio_secrets());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let read = connection.read(&mut [0; 4096]).await.expect("a request");
        assert!(read > 0);
    });
    let outcome = sent(&twilio(&end, &secrets, "10s").replace(&end.url(), &url), &message(0)).await;
    server.await.expect("no panic");
    let Outcome::Unknown { reason } = outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("the provider did not answer: "), "{reason}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (end, secrets) = (ProviderEnd::start(|_| now(created())).await, twilio_secrets());
    let settings = twilio(&end, &secrets, "10s");
    for (status, is_taken) in [(StatusCode::PERMANENT_REDIRECT, Some(false)), (StatusCode::SEE_OTHER, None)] {
        end.answer(move |_| now((status, [(LOCATION, "/elsewhere")]).into_response()));
        let outcome = sent(&settings, &message(0)).await;
        let found = match outcome {
            Outcome::Unavailable { .. } => Some(false),
            Outcome::Unknown { .. } => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, is_taken, "{status}");
    }
    assert_eq!(end.calls().len(), 2);
}
