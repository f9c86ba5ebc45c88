//! Who waits for whom: a recipient's messages for each other, and nobody for what is less urgent.

use contract::SmsRequestedV1;
use uuid::Uuid;

use crate::{
    harness::{Serving, provider},
    report_end::ReportEnd,
    topics::{Topics, message},
};

fn to(recipient: &str) -> SmsRequestedV1 {
    SmsRequestedV1 { recipient: recipient.to_owned(), ..message(0) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_for_one_recipient_are_sent_in_their_order_and_others_overtake() {
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let (mut of_each, mut all) = (vec![Vec::new(); 10], Vec::new());
    for _ in 0..20 {
        for (number, of_one) in of_each.iter_mut().enumerate() {
            let message = to(&format!("+1555{number}"));
            topics.request_in(&topics.requests, &message).await;
            of_one.push(message.message_id);
            all.push(message.message_id);
        }
    }
    let processor = Serving::start(&topics, &report_end, &[("provider", &provider(0, 50, 10, 0))]).await;
    let received: Vec<Uuid> =
        report_end.until_all(&all).await.iter().map(|received| received.report.message_id).collect();
    processor.stop().await;
    for of_one in &of_each {
        let reported: Vec<_> = received.iter().filter(|id| of_one.contains(id)).collect();
        assert_eq!(reported, of_one.iter().collect::<Vec<_>>());
    }
    assert_ne!(received, all, "nobody overtook anybody");
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_ordering_messages_for_one_recipient_are_sent_at_the_same_time() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let messages: Vec<_> = (0..50).map(|_| to("+15551")).collect();
    for message in &messages {
        topics.request_in(&topics.requests, message).await;
    }
    // One after the other they would take longer than the test waits.
    let more = [("provider", &*provider(1000, 1000, 0, 0)), ("ordering", "none")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    report_end.until_all(&messages.iter().map(|message| message.message_id).collect::<Vec<_>>()).await;
    processor.stop().await;
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_what_may_wait_does_not_delay_what_must_not_and_is_worked_off_too() {
    const FLOOD: usize = 3000;
    let (topics, report_end) = (Topics::create(2).await, ReportEnd::start().await);
    let flood: Vec<_> = (0..FLOOD).map(message).collect();
    futures::future::join_all(flood.iter().map(|message| topics.request_in(&topics.low_priority, message))).await;
    let more = [("provider", &*provider(50, 100, 0, 0)), ("max-in-flight", "100")];
    let processor = Serving::start(&topics, &report_end, &more).await;
    report_end.until(200).await;
    let mut delayed_by = Vec::new();
    for _ in 0..10 {
        let urgent = to("+15559");
        let before = report_end.received().len();
        topics.request_in(&topics.high_priority, &urgent).await;
        let received = report_end.until_all(&[urgent.message_id]).await;
        delayed_by.push(received.len() - before);
    }
    let ids: Vec<_> = flood.iter().map(|message| message.message_id).collect();
    report_end.until_all(&ids).await;
    processor.stop().await;
    // Each of them would have waited for those that wait, were it not for the lanes: a thousand.
    assert!(delayed_by.iter().all(|&reports| reports < 500), "{delayed_by:?} reports came before an urgent one's");
    assert_eq!(report_end.received().len(), FLOOD + 10);
    assert_eq!(topics.lag().await, 0);
}
