use std::{net::SocketAddr, sync::Mutex};

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
    assert!(matches!(pods(Err("forbidden".to_owned())), Signal::Unknown { .. }));
}

/// How many messages each pod has in work.
type InWork = Vec<(String, u32)>;

/// Replicas that are always the same, or cannot be found. Notes how many are asked for while they are weighed.
struct Fixed {
    replicas: Mutex<Result<Vec<Replica>, String>>,
    scaling: Arc<Scaling>,
    weighed: Mutex<Vec<(Option<i32>, InWork)>>,
}

impl Fleet for &Fixed {
    async fn replicas(&self, _namespace: &str, _pipeline: &str) -> Result<Found, String> {
        let replicas = self.replicas.lock().expect("no test panicked").clone()?;
        Ok(Found { at: Timestamp::now(), replicas })
    }

    async fn weigh(&self, _namespace: &str, in_work: &[(String, u32)]) {
        let mut in_work = in_work.to_vec();
        in_work.sort();
        let asked_for = self.scaling.asked_for(&scaled(""), None);
        self.weighed.lock().expect("no test panicked").push((asked_for, in_work));
    }
}

impl Fixed {
    /// Of a pipeline that is taken up with all of them.
    fn new(pipeline: &SmsPipeline, replicas: Vec<Replica>) -> Self {
        let scaling = Arc::new(Scaling::default());
        scaling.asked_for(pipeline, i32::try_from(replicas.len()).ok());
        Self { replicas: Mutex::new(Ok(replicas)), scaling, weighed: Mutex::default() }
    }

    fn scaler(&self) -> Scaler<&Self> {
        Scaler::new(Arc::clone(&self.scaling), self, INTERVAL).expect("a client")
    }
}

const TOPIC: &str = "sms.requests";

fn scaled(options: &str) -> SmsPipeline {
    let mut pipeline = pipeline();
    let comma = if options.is_empty() { "" } else { "," };
    let autoscaling = format!(r#"{{"maxReplicas":6{comma}{options}}}"#);
    pipeline.spec.processor.autoscaling = Some(serde_json::from_str(&autoscaling).expect("autoscaling"));
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
    let load = Load { at, since: at, max_in_flight: 10, cpu: None, lanes };
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

#[test]
fn pods_are_as_old_as_the_moment_at_which_they_were_found() {
    let (at, replicas) = (Timestamp::from_second(7).expect("a time"), vec![ready("a", None)]);
    let value = Pods { ready: 1, ..Pods::default() };
    assert_eq!(pods(Ok(Found { at, replicas })), Signal::Known { at, value });
}

#[tokio::test]
async fn a_processor_that_has_too_much_to_do_to_answer_does_not_keep_others_from_coming() {
    let pipeline = scaled(r#""minReplicas":1"#);
    let fleet = Fixed::new(&pipeline, vec![ready("a", Some(telling(&[0, 1, 2], 0).await)), ready("b", None)]);
    for _ in 0..2 {
        fleet.scaler().look(&pipeline, Ok(backlog(6))).await;
    }
    assert_eq!(fleet.scaling.asked_for(&pipeline, None), Some(6), "{:?}", fleet.scaling.finding(&pipeline));
}

#[tokio::test]
async fn before_fewer_are_asked_for_it_is_told_what_each_would_lose() {
    let pipeline = scaled(r#""minReplicas":1,"scaleDownAfter":"0s""#);
    let replicas = vec![ready("a", Some(telling(&[0], 7).await)), ready("b", Some(telling(&[1], 3).await))];
    let fleet = Fixed::new(&pipeline, replicas);
    for _ in 0..2 {
        let nothing = backlog(2).into_iter().map(|partition| kafka::PartitionOffsets { end: 0, ..partition });
        fleet.scaler().look(&pipeline, Ok(nothing.collect())).await;
    }
    assert_eq!(fleet.scaling.asked_for(&pipeline, None), Some(1), "{:?}", fleet.scaling.finding(&pipeline));
    let expected = (Some(2), vec![("a".to_owned(), 7), ("b".to_owned(), 3)]);
    assert_eq!(*fleet.weighed.lock().expect("no test panicked"), [expected]);
}

#[tokio::test]
async fn that_pods_cannot_be_listed_for_a_moment_is_no_change_of_the_group() {
    let pipeline = scaled(r#""minReplicas":1"#);
    let fleet = Fixed::new(&pipeline, vec![ready("a", Some(telling(&[0, 1], 0).await))]);
    let look = async || {
        fleet.scaler().look(&pipeline, Ok(backlog(2))).await;
        let key = (pipeline.namespace().unwrap_or_default(), pipeline.name_any());
        let recorded = fleet.scaling.recorded(&key.0, &key.1, 1).expect("it is scaled");
        recorded[0].signals.group.clone()
    };
    let Signal::Known { value: before, .. } = look().await else { panic!("known") };
    let found = std::mem::replace(&mut *fleet.replicas.lock().expect("no test panicked"), Err("timeout".to_owned()));
    assert_eq!(look().await, Signal::Unknown { why: "timeout".to_owned() });
    *fleet.replicas.lock().expect("no test panicked") = found;
    let Signal::Known { value: after, .. } = look().await else { panic!("known") };
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_count_stays_while_an_annotation_holds_no_time() {
    let mut pipeline = scaled(r#""minReplicas":1"#);
    pipeline.annotations_mut().insert(HOLD_UNTIL.to_owned(), "2h".to_owned());
    let fleet = Fixed::new(&pipeline, vec![ready("a", Some(telling(&[0, 1], 0).await))]);
    for _ in 0..2 {
        fleet.scaler().look(&pipeline, Ok(backlog(2))).await;
    }
    assert_eq!(fleet.scaling.asked_for(&pipeline, None), Some(1));
    let last = fleet.scaling.last(&pipeline).expect("it was decided");
    assert_eq!(last.decision.desired, 2);
    assert_eq!(Report::of(&last).active.reason.name, "InvalidHold");
}
