//! How far many groups are, on a real broker.
//!
//! Needs what `cargo xtask test` prepares: Java, and Kafka in the cache (it is fetched when it is not there).

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use kafka::{Admin, NewTopic, Settings};

/// More than twice as many as have a client of their own.
const GROUPS: usize = 150;
/// The threads of so many clients, and of this process.
const THREADS_AT_MOST: usize = 64 * 5 + 32 * 5 + 80;

/// A broker that is ready for groups, with a topic of one partition, and the folder that it needs.
async fn broker() -> (Kafka, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
    let settings = KafkaSettings { folder: folder.path(), port: None, tuning: JavaTuning::QuickStart };
    let kafka = Kafka::start(&binaries, &settings).expect("the broker starts");
    let topic = NewTopic { name: "t".to_owned(), partitions: 1, replication_factor: 1, config: BTreeMap::new() };
    let admin = admin(&kafka);
    admin.create_topics(&[topic]).await.expect("the topic is created");
    // The first question for a group has the broker make the topic of all groups.
    let asked = async {
        while let Err(error) = admin.offsets("first".to_owned(), vec![("t".to_owned(), 0)]).await {
            println!("{error}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.expect("the broker is ready for groups");
    (kafka, folder)
}

fn admin(kafka: &Kafka) -> Admin {
    Admin::new(&Settings::plaintext(kafka.bootstrap_servers()), "tests").expect("usable settings")
}

#[tokio::test(flavor = "multi_thread")]
async fn new_partitions_of_a_topic_that_somebody_else_has_grown_are_told_of_within_seconds() {
    let (kafka, _folder) = broker().await;
    let (asks, grows) = (admin(&kafka), admin(&kafka));
    let topic =
        |name: &str| NewTopic { name: name.to_owned(), partitions: 1, replication_factor: 1, config: BTreeMap::new() };
    let names = ["a", "b", "c"];
    grows.create_topics(&names.map(topic)).await.expect("the topics are created");
    let ask = async |partitions: i32| {
        let places = names.iter().flat_map(|name| (0..partitions).map(|number| ((*name).to_owned(), number)));
        asks.offsets("group".to_owned(), places.collect()).await
    };
    assert_eq!(ask(1).await.expect("an answer").len(), 3);
    let refused = ask(3).await.expect_err("they have one");
    assert_eq!(refused.to_string(), r#"Kafka call ListOffsets failed: topic "a" has no partition 1"#);
    for name in names {
        grows.grow_topic(name, 3).await.expect("the topic grows");
    }
    // A new partition has no leader for a moment.
    let asked = async {
        while let Err(error) = ask(3).await {
            println!("{error}");
        }
    };
    tokio::time::timeout(Duration::from_secs(10), asked).await.expect("all are known");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_group_is_told_of_however_many_there_are_and_the_threads_stay_bounded() {
    let (kafka, _folder) = broker().await;
    let admin = admin(&kafka);
    let ask = || {
        let asked = (0..GROUPS).map(|number| admin.offsets(format!("group-{number}"), vec![("t".to_owned(), 0)]));
        futures::future::join_all(asked)
    };
    for round in 0..2 {
        let began = Instant::now();
        for answer in ask().await {
            assert_eq!(answer.expect("an answer").len(), 1);
        }
        let threads = std::fs::read_dir("/proc/self/task").expect("Linux").count();
        println!("round {round}: {:?}, {threads} threads", began.elapsed());
        assert!(threads < THREADS_AT_MOST, "{threads}");
    }
}
