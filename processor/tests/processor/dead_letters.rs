//! Records that cannot be processed.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use base64::prelude::{BASE64_STANDARD, Engine};

use crate::{
    harness::Serving,
    report_end::ReportEnd,
    topics::{Topics, encode, message},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_between_good_records_goes_to_the_dead_letters_once_and_the_partition_goes_on() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    // Escaped as JSON this is six times as long, and so above what Kafka takes in one record.
    let control_characters = vec![1; 600_000];
    // The error over this quotes all of it, which alone is above what Kafka takes.
    let quoted_in_its_error = format!(r#"{{"version":"1","attempt":"{}"}}"#, r#"\""#.repeat(300_000));
    let deep = "[".repeat(200_000);
    // About as large as a record can be, and a third larger in base64.
    let largest = [b"\xff".repeat(600_000), vec![b'x'; 399_000]].concat();
    let poison: [Option<&[u8]>; 12] = [
        Some(b"not json"),
        Some(b"\xff\xfe\x00{}"),
        Some(b""),
        None,
        Some(br#"{"version":"99"}"#),
        Some(br#"{"version":"1","messageId":"019aa8f0-0000-7000-8000-000000000001"}"#),
        Some(b"\0\0\0\0"),
        Some(&control_characters),
        Some(quoted_in_its_error.as_bytes()),
        Some(deep.as_bytes()),
        Some(&largest),
        Some(br#"{"version":"1","messageId":null,"recipient":null}"#),
    ];
    let mut good = Vec::new();
    for (number, value) in poison.iter().enumerate() {
        let message = message(number);
        topics.put("good", Some(&encode(&message)), None).await;
        topics.put("poison", *value, Some(TRACEPARENT)).await;
        good.push(message.message_id);
    }
    let processor = Serving::start(&topics, &report_end, &[]).await;
    good.extend(topics.request(5).await);
    report_end.until_all(&good).await;
    let mut letters = topics.dead_letters(poison.len()).await;
    processor.until_metric("sms_dead_letters_total", 12.0).await;
    processor.stop().await;

    assert_eq!(topics.lag().await, 0);
    assert_eq!(letters.len(), poison.len());
    letters.sort_by_key(|dead| dead.headers["origin-offset"].parse::<i64>().expect("an offset"));
    for (number, (dead, value)) in letters.iter().zip(poison).enumerate() {
        assert_eq!(dead.headers["origin-topic"], topics.requests);
        assert_eq!(dead.headers["origin-partition"], "0");
        assert_eq!(dead.headers["origin-offset"], (2 * number + 1).to_string());
        assert_eq!(dead.headers["traceparent"], TRACEPARENT);
        assert_eq!((&*dead.headers["error-class"], &*dead.headers["attempts"]), ("undecodable", "0"));
        let value = value.unwrap_or_default();
        let is_text = std::str::from_utf8(value).is_ok();
        assert_eq!(dead.headers.get("message-encoding").map(String::as_str), (!is_text).then_some("base64"));
        let original =
            if is_text { String::from_utf8_lossy(value).into_owned() } else { BASE64_STANDARD.encode(value) };
        assert!(original.starts_with(&dead.letter.message), "value {number}");
        let cut = dead.letter.error.contains("(value cut to ");
        assert_eq!(cut, original.len() > 500_000, "{}", dead.letter.error);
        assert_eq!(cut, original != dead.letter.message);
        assert!(dead.letter.error.len() < 1200, "{} bytes of error", dead.letter.error.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_names_the_lane_that_it_came_from() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    for lane in topics.lanes() {
        topics.put_in(lane, "poison", Some(b"not json"), None).await;
    }
    let processor = Serving::start(&topics, &report_end, &[]).await;
    let letters = topics.dead_letters(3).await;
    processor.stop().await;

    let origins: BTreeSet<_> = letters.iter().map(|dead| dead.headers["origin-topic"].as_str()).collect();
    assert_eq!(origins, BTreeSet::from(topics.lanes()));
    assert_eq!(topics.lag().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_sms_api_will_never_take_goes_to_the_dead_letters_with_its_reason() {
    let (topics, report_end) = (Topics::create(1).await, ReportEnd::start().await);
    let (unknown, invalid) = (message(0), message(1));
    let (unknown_id, invalid_id) = (unknown.message_id, invalid.message_id);
    report_end.answer(move |report| match report.message_id {
        id if id == unknown_id => StatusCode::NOT_FOUND,
        id if id == invalid_id => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    });
    topics.put("first", Some(&encode(&unknown)), None).await;
    topics.put("second", Some(&encode(&invalid)), None).await;
    let good = topics.request(3).await;
    let processor = Serving::start(&topics, &report_end, &[]).await;
    report_end.until_all(&good).await;
    let letters = topics.dead_letters(2).await;
    processor.stop().await;

    assert_eq!(topics.lag().await, 0);
    let error_of = |id: uuid::Uuid| {
        let dead = letters.iter().find(|dead| dead.letter.message.contains(&id.to_string())).expect("a dead letter");
        dead.letter.error.clone()
    };
    assert_eq!(letters.len(), 2);
    assert_eq!(error_of(unknown_id), "sms-api knows no such message");
    assert_eq!(error_of(invalid_id), "sms-api finds the delivery report invalid: as the test wants");
    let classes: BTreeSet<_> = letters.iter().map(|dead| dead.headers["error-class"].as_str()).collect();
    assert_eq!(classes, BTreeSet::from(["invalid-report", "unknown-message"]));
    assert!(letters.iter().all(|dead| dead.headers["attempts"] == "1"));
}
