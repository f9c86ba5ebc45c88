//! kill -9, again and again, with a provider that counts.

use std::{
    collections::HashSet,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use axum::http::StatusCode;
use contract::DeliveryStatus;

use crate::{
    harness::{Process, Serving, flags, until},
    provider_end::{ProviderEnd, Reply, now},
    report_end::{Claiming, ReportEnd},
    topics::Topics,
};

const IN_FLIGHT: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_twenty_kills_nothing_is_lost_and_only_what_was_in_flight_or_just_finished_is_sent_again() {
    const KILLS: usize = 20;
    let (topics, report_end, provider) =
        (Topics::create(3).await, ReportEnd::start().await, ProviderEnd::counting().await);
    let flags = flags(&topics, &report_end, &[("provider", &provider.counting_settings()), ("max-in-flight", "50")]);
    let mut ids = Vec::new();
    let mut finished_just_before = 0;
    for _ in 0..KILLS {
        ids.extend(topics.request(150).await);
        let before = provider.calls().len();
        let processor = Process::start(&flags);
        provider.until(before + fastrand::usize(1..100)).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..150))).await;
        // A commit is made every 100 ms and takes a while on a busy machine.
        let earlier = report_end.received().len();
        tokio::time::sleep(Duration::from_millis(300)).await;
        processor.kill().await;
        finished_just_before += report_end.received().len() - earlier;
    }
    let processor = Serving::start(&topics, &report_end, &[("provider", &provider.counting_settings())]).await;
    report_end.until_all(&ids).await;
    // What comes again has been reported before.
    topics.until_no_lag().await;
    processor.stop().await;
    let received = report_end.received();

    let reported: HashSet<_> = received.iter().map(|received| received.report.message_id).collect();
    assert_eq!(reported, ids.iter().copied().collect());
    assert!(received.iter().all(|received| received.report.status == DeliveryStatus::Sent));
    let again: usize = provider.sent().values().map(|times| times - 1).sum();
    let bound = KILLS * IN_FLIGHT + finished_just_before;
    println!("{} messages, {KILLS} kills, {again} sent again (at most {bound})", ids.len());
    assert!(again <= bound, "{again} sent again, more than {bound}");
}

/// Where a message is when its processor is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The claim has come, and is neither granted nor answered.
    BeforeTheClaim,
    /// The claim is granted, and the answer never arrives.
    AfterTheClaim,
    /// The provider has the message, and has not answered.
    WithTheProvider,
    /// The provider has answered, and sms-api refuses every report.
    BeforeTheReport,
    /// The report is stored, and nothing is committed yet.
    AfterTheReport,
}

async fn check_hold(point: Point) {
    let (topics, report_end, provider) =
        (Topics::create(2).await, ReportEnd::start().await, ProviderEnd::counting().await);
    let more = [("provider", &*provider.counting_settings()), ("on-unknown-outcome", "hold")];
    let ids = topics.request(30).await;
    let is_mute = Arc::new(AtomicBool::new(point == Point::WithTheProvider));
    match point {
        Point::BeforeTheClaim => report_end.claims(Claiming::Ignored),
        Point::AfterTheClaim => report_end.claims(Claiming::GrantedWithoutAnswer),
        Point::WithTheProvider => {
            let is_mute = Arc::clone(&is_mute);
            provider.answer(move |_| {
                let seconds = if is_mute.load(Ordering::Relaxed) { 3600 } else { 0 };
                Reply { after: Duration::from_secs(seconds), ..now(StatusCode::OK) }
            });
        }
        Point::BeforeTheReport => report_end.answer(|_| StatusCode::SERVICE_UNAVAILABLE),
        Point::AfterTheReport => {}
    }
    let processor = Process::start(&flags(&topics, &report_end, &more));
    match point {
        Point::BeforeTheClaim => report_end.until_next_request().await,
        Point::AfterTheClaim => until("claims", async || report_end.claimed().len(), |&claims| claims > 0).await,
        Point::WithTheProvider => drop(provider.until(30).await),
        Point::BeforeTheReport => {
            provider.until(30).await;
            report_end.until_next_request().await;
        }
        Point::AfterTheReport => drop(report_end.until(1).await),
    }
    processor.kill().await;

    report_end.claims(Claiming::Usual);
    report_end.answer(|_| StatusCode::OK);
    is_mute.store(false, Ordering::Relaxed);
    let processor = Serving::start(&topics, &report_end, &more).await;
    let received = report_end.until_all(&ids).await;
    topics.until_no_lag().await;
    processor.stop().await;
    let sent = provider.sent();
    assert!(sent.values().all(|&times| times == 1), "{point:?}: a message was sent twice: {sent:?}");
    for received in received {
        let (id, status) = (received.report.message_id, received.report.status);
        match status {
            DeliveryStatus::Sent => assert!(sent.contains_key(&id), "{point:?}: SENT and never sent"),
            DeliveryStatus::Unknown => assert_ne!(point, Point::BeforeTheClaim, "nothing was claimed"),
            DeliveryStatus::Failed | DeliveryStatus::Expired => panic!("{point:?}: {status:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_a_kill_before_the_claim_sends_nothing_twice() {
    check_hold(Point::BeforeTheClaim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_a_kill_after_the_claim_sends_nothing_twice() {
    check_hold(Point::AfterTheClaim).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_a_kill_while_the_provider_has_the_message_sends_nothing_twice() {
    check_hold(Point::WithTheProvider).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_a_kill_before_the_report_sends_nothing_twice() {
    check_hold(Point::BeforeTheReport).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_hold_a_kill_after_the_report_sends_nothing_twice() {
    check_hold(Point::AfterTheReport).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_query_the_provider_is_asked_after_a_kill_and_sent_only_what_it_does_not_have() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let provider = ProviderEnd::start(|_| Reply { after: Duration::from_hours(1), ..now(StatusCode::OK) }).await;
    let settings = format!(
        r#"{{"http":{{"url":"{url}/send","json":{{"id":"{{{{ message_id }}}}"}},"query":{{"url":"{url}/messages/{{{{ message_id }}}}",
            "responses":[{{"when":{{"status":"2xx"}},"outcome":"Delivered"}},{{"when":{{"status":"404"}},"outcome":"Refused"}}]}}}},"timeout":"2s"}}"#,
        url = provider.url()
    );
    let more = [("provider", settings.as_str()), ("on-unknown-outcome", "query")];
    let ids = topics.request(30).await;
    let processor = Process::start(&flags(&topics, &report_end, &more));
    provider.until(30).await;
    processor.kill().await;

    // Of the thirty it took one half.
    let taken: HashSet<String> = ids.iter().step_by(2).map(ToString::to_string).collect();
    provider.answer(move |call| match call.path.strip_prefix("/messages/") {
        Some(id) if !taken.contains(id) => now(StatusCode::NOT_FOUND),
        Some(_) | None => now(StatusCode::OK),
    });
    let processor = Serving::start(&topics, &report_end, &more).await;
    let received = report_end.until_all(&ids).await;
    processor.stop().await;
    assert!(received.iter().all(|received| received.report.status == DeliveryStatus::Sent), "{received:?}");
    let calls = provider.calls().split_off(30);
    let sent_again: HashSet<_> =
        calls.iter().filter(|call| call.path == "/send").map(|call| call.body.clone()).collect();
    let expected = ids.iter().skip(1).step_by(2).map(|id| format!(r#"{{"id":"{id}"}}"#)).collect();
    assert_eq!(sent_again, expected);
    assert_eq!(calls.iter().filter(|call| call.path.starts_with("/messages/")).count(), 30);
}
