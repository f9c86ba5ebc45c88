//! How far many groups are, on a real broker.
//!
//! Needs what `cargo xtask test` prepares: Java, and Kafka in the cache (it is fetched when it is not there).

use std::{collections::BTreeMap, time::Instant};

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use kafka::{Admin, NewTopic, Settings};

/// More than twice as many as have a client of their own.
const GROUPS: usize = 150;
/// The threads of so many clients, and of this process.
const THREADS_AT_MOST: usize = 64 * 5 + 32 * 5 + 80;

#[tokio::test(flavor = "multi_thread")]
async fn every_group_is_told_of_however_many_there_are_and_the_threads_stay_bounded() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
    let settings = KafkaSettings { folder: folder.path(), port: None, tuning: JavaTuning::QuickStart };
    let kafka = Kafka::start(&binaries, &settings).expect("the broker starts");
    let admin = Admin::new(&Settings::plaintext(kafka.bootstrap_servers()), "tests").expect("usable settings");
    let topic = NewTopic { name: "t".to_owned(), partitions: 1, replication_factor: 1, config: BTreeMap::new() };
    admin.create_topics(&[topic]).await.expect("the topic is created");
    let ask = || {
        let asked = (0..GROUPS).map(|number| admin.offsets(format!("group-{number}"), vec![("t".to_owned(), 0)]));
        futures::future::join_all(asked)
    };
    // The first question for a group has the broker make the topic of all groups, and until that is done it refuses some.
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
