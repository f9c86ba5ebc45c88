//! Settings of topics and groups on a real broker, and topics that are deleted.
//!
//! Needs what `cargo xtask test` prepares: Java, and Kafka in the cache (it is fetched when it is not there).

use std::{collections::BTreeMap, time::Duration};

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use kafka::{Admin, Configurable, Error, NewTopic, Settings};

fn topic(name: &str) -> NewTopic {
    let config = BTreeMap::from([("retention.ms", "60000".to_owned()), ("segment.bytes", "2000000".to_owned())]);
    NewTopic { name: name.to_owned(), partitions: 3, replication_factor: 1, config }
}

async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until_found = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), until_found).await.expect("found in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_named_is_set_and_nothing_else_is_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
    let settings = KafkaSettings { folder: folder.path(), port: None, tuning: JavaTuning::QuickStart };
    let kafka = Kafka::start(&binaries, &settings).expect("the broker starts");
    let admin = Admin::new(&Settings::plaintext(kafka.bootstrap_servers()), "tests").expect("usable settings");
    let names = ["one", "two"].map(str::to_owned);
    admin.create_topics(&names.clone().map(|name| topic(&name))).await.expect("the topics are created");

    let found = admin.describe_topics(names.to_vec()).await.expect("an answer");
    assert_eq!((found["one"].partitions, found["one"].replication_factor), (3, 1));
    let changes = BTreeMap::from([
        (Configurable::Topic("one".to_owned()), BTreeMap::from([("retention.ms", "120000".to_owned())])),
        (Configurable::Group("group".to_owned()), BTreeMap::from([("consumer.session.timeout.ms", "2500".to_owned())])),
    ]);
    admin.alter_configs(changes).await.expect("the settings are set");

    let resources = [
        Configurable::Topic("one".to_owned()),
        Configurable::Topic("two".to_owned()),
        Configurable::Group("group".to_owned()),
    ];
    // The controller has taken the change; the broker that is asked hears of it a little later.
    let (configs, group) = eventually(async || {
        let mut configs = admin.describe_configs(resources.to_vec()).await.expect("an answer");
        let group = configs.pop().expect("one for each resource");
        let is_set = configs[0]["retention.ms"] == "120000" && group["consumer.session.timeout.ms"] == "2500";
        is_set.then_some((configs, group))
    })
    .await;
    assert_eq!([&configs[0]["segment.bytes"], &configs[1]["segment.bytes"]], ["2000000", "2000000"]);
    assert_eq!(configs[1]["retention.ms"], "60000");
    assert_eq!(group["consumer.heartbeat.interval.ms"], "300");
    let broker = admin.describe_configs(vec![Configurable::Broker(1)]).await.expect("an answer");
    assert_eq!(broker[0]["auto.create.topics.enable"], "false");

    let impossible = BTreeMap::from([("retention.ms", "soon".to_owned())]);
    let refused = admin.alter_configs(BTreeMap::from([(Configurable::Topic("two".to_owned()), impossible)])).await;
    let Err(Error::Topic { topic, reason, .. }) = refused else { panic!("{refused:?}") };
    assert!(topic == "two" && reason.contains("retention.ms"), "{reason}");

    admin.delete_topics(&names).await.expect("the topics are deleted");
    eventually(async || admin.describe_topics(names.to_vec()).await.expect("an answer").is_empty().then_some(())).await;
    admin.delete_topics(&names).await.expect("what is gone already is no error");
}
