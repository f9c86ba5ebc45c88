use std::net::SocketAddr;

use axum::{Json, Router, routing::get};
use contract::{LaneLoad, PartitionLoad};
use tokio::net::TcpListener;

use super::*;
use crate::{controller::fixtures::pipeline, scaling::HOLD_UNTIL};

const INTERVAL: Duration = Duration::from_secs(10);

fn offsets(topic: &str, partition: i32) -> kafka::PartitionOffsets {
    kafka::PartitionOffsets { topic: topic.to_owned(), partition, earliest: 1, committed: Some(2), end: 3 }
}

#[test]
fn partitions_are_told_by_topic() {
    let found = [offsets("a", 0), offsets("b", 0), offsets("a", 1)];
    let lanes = lanes(Timestamp::UNIX_EPOCH, Ok(found.into()));
    let told = |lane: &Lane| match &lane.partitions {
        Signal::Known { value, .. } => (lane.topic.clone(), value.len()),
        Signal::Unknown { why } => panic!("{why}"),
    };
    assert_eq!(lanes.iter().map(told).collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 1)]);
}

#[test]
fn what_cannot_be_read_is_unknown_and_not_nothing() {
    let lanes = lanes(Timestamp::UNIX_EPOCH, Err("no broker answers".to_owned()));
    assert!(matches!(lanes.as_slice(), [Lane { partitions: Signal::Unknown { .. }, .. }]));
    assert!(matches!(pods(Timestamp::UNIX_EPOCH, Err("forbidden".to_owned())), Signal::Unknown { .. }));
}

#[test]
fn the_count_is_held_while_the_pipeline_is_paused_or_an_annotation_cannot_be_read() {
    let now = Timestamp::from_second(100).expect("a time");
    let next = Timestamp::from_second(110).ok();
    let mut pipeline = pipeline();
    assert_eq!(held_until(&pipeline, now, INTERVAL), None);
    pipeline.annotations_mut().insert(HOLD_UNTIL.to_owned(), "later".to_owned());
    assert_eq!(held_until(&pipeline, now, INTERVAL), next);
    pipeline.annotations_mut().insert(HOLD_UNTIL.to_owned(), "1970-01-01T00:10:00Z".to_owned());
    assert_eq!(held_until(&pipeline, now, INTERVAL), Timestamp::from_second(600).ok());
    pipeline.spec.paused = true;
    assert_eq!(held_until(&pipeline, now, INTERVAL), next);
}

/// Replicas that are always the same.
struct Fixed(Vec<Replica>);

impl Fleet for Fixed {
    async fn replicas(&self, _namespace: &str, _pipeline: &str) -> Result<Vec<Replica>, String> {
        Ok(self.0.clone())
    }

    async fn weigh(&self, _namespace: &str, _in_work: &[(String, u32)]) {}
}

const TOPIC: &str = "sms.requests";

fn scaled(autoscaling: &str) -> SmsPipeline {
    let mut pipeline = pipeline();
    pipeline.spec.processor.autoscaling = Some(serde_json::from_str(autoscaling).expect("autoscaling"));
    pipeline
}

fn ready(name: &str, address: Option<SocketAddr>) -> Replica {
    Replica { name: name.to_owned(), address, state: ReplicaState::Ready }
}

/// Where a processor tells that it reads these partitions, with so many messages in work.
async fn telling(partitions: &[i32], in_flight: u32) -> SocketAddr {
    let partition = |&partition: &i32| PartitionLoad { partition, position: None, finished_beyond: 0 };
    let lane = LaneLoad {
        topic: TOPIC.to_owned(),
        processed: 0,
        failed: 0,
        busy_seconds: 0.0,
        in_flight,
        throttled_seconds: 0.0,
        oldest_unfinished_seconds: None,
        partitions: partitions.iter().map(partition).collect(),
    };
    let (at, lanes) = (Timestamp::UNIX_EPOCH, vec![lane]);
    let load = Load { at, since: at, max_in_flight: 10, lanes };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it listens");
    let router = Router::new().route("/load", get(async move || Json(load)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A million messages wait in each of so many partitions.
fn backlog(partitions: i32) -> Vec<kafka::PartitionOffsets> {
    let partition = |partition| kafka::PartitionOffsets {
        topic: TOPIC.to_owned(),
        partition,
        earliest: 0,
        committed: None,
        end: 1_000_000,
    };
    (0..partitions).map(partition).collect()
}

#[tokio::test]
async fn a_processor_that_has_too_much_to_do_to_answer_does_not_keep_others_from_coming() {
    let pipeline = scaled(r#"{"minReplicas":1,"maxReplicas":6}"#);
    let scaling = Arc::new(Scaling::default());
    assert_eq!(scaling.asked_for(&pipeline, Some(2)), Some(2));
    let fleet = Fixed(vec![ready("a", Some(telling(&[0, 1, 2], 0).await)), ready("b", None)]);
    let scaler = Scaler::new(Arc::clone(&scaling), fleet, INTERVAL).expect("a client");
    for _ in 0..2 {
        scaler.look(&pipeline, Ok(backlog(6))).await;
    }
    assert_eq!(scaling.asked_for(&pipeline, None), Some(6), "{:?}", scaling.finding(&pipeline));
}
