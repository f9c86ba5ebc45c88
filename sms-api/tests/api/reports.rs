//! Delivery reports, and that a final status stays.

use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{replica::Replica, topic::Topic};

#[sqlx::test(migrations = "./migrations")]
async fn a_report_gives_a_pending_message_its_final_status(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let (sent, failed, bare) = (replica.accepted("1").await, replica.accepted("2").await, replica.accepted("3").await);
    let reason = "number blocked";
    for (report, status, stored_reason) in [
        (json!({ "message_id": sent, "status": "SENT", "failure_reason": "ignored" }), "SENT", Value::Null),
        (
            json!({ "message_id": failed, "status": "FAILED", "failure_reason": reason, "attempt": 1 }),
            "FAILED",
            json!(reason),
        ),
        (
            json!({ "message_id": bare, "status": "FAILED", "processed_at": "2026-11-23T14:17:33.1Z" }),
            "FAILED",
            Value::Null,
        ),
    ] {
        let answer = replica.report(&report).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.expect("a body"), "");
        let message = replica.message(report["message_id"].as_str().expect("an id")).await;
        assert_eq!(message["status"], status);
        assert_eq!(message["failure_reason"], stored_reason);
        assert_eq!(message["final"], true);
        // As times: as texts, "54.2Z" comes after "54.279Z".
        let at = |field: &str| message[field].as_str().and_then(|text| text.parse::<Timestamp>().ok()).expect("a time");
        assert!(at("updated_at") > at("created_at"), "{message}");
    }
    assert_eq!(replica.metric("sms_sent_total").await, 1);
    assert_eq!(replica.metric("sms_failed_total").await, 2);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn what_the_provider_calls_a_message_is_told_with_it(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = replica.accepted("1").await;
    assert_eq!(replica.message(&id).await["provider_message_id"], Value::Null);
    let report = json!({ "message_id": id, "status": "SENT", "provider_message_id": "SM0123" });
    assert_eq!(replica.report(&report).await.status(), 200);
    assert_eq!(replica.message(&id).await["provider_message_id"], "SM0123");
    let wrong = json!({ "message_id": id, "status": "SENT", "provider_message_id": 7 });
    assert_eq!(replica.report(&wrong).await.status(), 400);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_final_status_never_changes_again(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    for first in ["SENT", "FAILED"] {
        let id = replica.accepted("once").await;
        replica.report(&json!({ "message_id": id, "status": first, "failure_reason": "first" })).await;
        let message = replica.message(&id).await;
        assert_eq!(message["status"], first);
        for (status, attempt) in [("SENT", None), ("FAILED", None), ("SENT", Some(2)), ("FAILED", Some(1))] {
            let late = json!({ "message_id": id, "status": status, "failure_reason": "late", "attempt": attempt });
            assert_eq!(replica.report(&late).await.status(), 200);
            assert_eq!(replica.message(&id).await, message);
        }
    }
    assert_eq!(replica.metric("sms_late_reports_total").await, 8);
    assert_eq!(replica.metric("sms_sent_total").await + replica.metric("sms_failed_total").await, 2);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_report_on_an_older_attempt_changes_nothing(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = replica.accepted("again").await;
    let uuid: Uuid = id.parse().expect("a UUID");
    sqlx::query("update message set attempt = 2 where id = $1").bind(uuid).execute(&database).await.expect("a row");
    let report = |attempt: i32| json!({ "message_id": id, "status": "FAILED", "attempt": attempt });
    assert_eq!(replica.report(&report(1)).await.status(), 200);
    assert_eq!(replica.message(&id).await["status"], "PENDING");
    assert_eq!(replica.metric("sms_late_reports_total").await, 1);
    assert_eq!(replica.report(&report(2)).await.status(), 200);
    assert_eq!(replica.message(&id).await["status"], "FAILED");
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_report_that_cannot_be_understood_is_refused(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = Uuid::now_v7();
    let answer = replica.report(&json!({ "message_id": id, "status": "SENT" })).await;
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json::<Value>().await.expect("a body")["detail"], format!("Message not found: {id}"));

    for (report, code) in [
        (json!([]), "MALFORMED_BODY"),
        (json!({ "message_id": id, "status": "PENDING" }), "INVALID_FIELDS"),
        (json!({ "message_id": "x", "status": "SENT" }), "INVALID_FIELDS"),
    ] {
        let answer = replica.report(&report).await;
        assert_eq!(answer.status(), 400, "{report}");
        assert_eq!(answer.json::<Value>().await.expect("a body")["error_code"], code);
    }
    let answer = replica.report(&json!({})).await;
    assert_eq!(
        answer.json::<Value>().await.expect("a body")["violations"],
        json!([
            { "field": "processDeliveryReport.deliveryReport.messageId", "message": "Message ID is required" },
            { "field": "processDeliveryReport.deliveryReport.status", "message": "Status is required" },
        ])
    );
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn of_many_reports_at_once_exactly_one_counts(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let id = replica.accepted("race").await;
    let reports: Vec<_> =
        (0..20).map(|n| json!({ "message_id": id, "status": if n % 2 == 0 { "SENT" } else { "FAILED" } })).collect();
    let answers = futures::future::join_all(reports.iter().map(|report| replica.report(report))).await;
    assert!(answers.iter().all(|answer| answer.status() == 200));
    assert_eq!(replica.metric("sms_sent_total").await + replica.metric("sms_failed_total").await, 1);
    assert_eq!(replica.metric("sms_late_reports_total").await, 19);
    replica.stop().await;
}

/// What processors may tell of one message, in any order, and the status that follows.
const STORIES: [(&[&str], &str); 4] = [
    (&["SENT"], "SENT"),
    (&["FAILED"], "FAILED"),
    // The provider did not answer, and told later.
    (&["UNKNOWN", "SENT"], "SENT"),
    (&["UNKNOWN", "EXPIRED"], "EXPIRED"),
];

#[sqlx::test(migrations = "./migrations")]
async fn reports_that_are_replayed_shuffled_and_repeated_a_thousand_times_end_in_the_same_states(database: PgPool) {
    let replica = Replica::start(&database, &Topic::create().await).await;
    let mut random = fastrand::Rng::with_seed(4);
    for _ in 0..20 {
        let mut reports = Vec::new();
        let mut expected = Vec::new();
        for (statuses, last) in STORIES.iter().cycle().take(24) {
            let id = replica.accepted("told often").await;
            reports.extend(statuses.iter().map(|status| json!({ "message_id": id, "status": status, "attempt": 1 })));
            expected.push((id, *last));
        }
        for _ in 0..50 {
            let mut replay = [reports.as_slice(), reports.as_slice()].concat();
            random.shuffle(&mut replay);
            let (some, others) = replay.split_at(random.usize(1..replay.len()));
            let (some, others) = tokio::join!(replica.report_batch(some), replica.report_batch(others));
            assert_eq!([some.status().as_u16(), others.status().as_u16()], [200, 200]);
        }
        for (id, last) in expected {
            let message = replica.message(&id).await;
            assert_eq!((&message["status"], &message["final"]), (&json!(last), &json!(true)), "{message}");
        }
    }
    let counted = ["sms_sent_total", "sms_failed_total", "sms_expired_total"];
    let counted =
        [replica.metric(counted[0]).await, replica.metric(counted[1]).await, replica.metric(counted[2]).await];
    assert_eq!(counted, [240, 120, 120]);
    replica.stop().await;
}
