//! Topics on a real broker, as far as no pure test can tell.
//!
//! Needs what `cargo xtask test` prepares: Java, and Kafka in the cache (it is fetched when it is not there).

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use kafka::Settings;

use super::*;
use crate::controller::fixtures::{self, pipeline};

/// The quickstart pipeline as an object of a cluster with this uid.
fn validated(uid: &str) -> ValidatedKafka {
    let mut pipeline = pipeline();
    pipeline.metadata.uid = Some(uid.to_owned());
    pipeline.metadata.creation_timestamp = serde_json::from_str(r#""2026-01-01T00:00:00Z""#).expect("a time");
    fixtures::validated(&pipeline).kafka
}

async fn until_ensured(admin: &Admin, kafka: &ValidatedKafka) -> Vec<TopicStatus> {
    loop {
        match ensure(admin, kafka).await {
            Ok(found) => return found.topics,
            Err(Unready { problem: Problem::Pending, .. }) => {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Err(Unready { problem, .. }) => panic!("{problem}"),
        }
    }
}

async fn until_gone(admin: &Admin, topic: &str) {
    while !admin.describe_topics(vec![topic.to_owned()]).await.expect("an answer").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A broker that lives as long as the folder is needed, and a client of it.
fn broker(folder: &std::path::Path) -> (Kafka, Admin) {
    let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
    let settings = KafkaSettings { folder, port: None, tuning: JavaTuning::QuickStart };
    let broker = Kafka::start(&binaries, &settings).expect("the broker starts");
    let admin = Admin::new(&Settings::plaintext(broker.bootstrap_servers()), "tests").expect("usable settings");
    (broker, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_not_deleted_where_it_cannot_be_told_whose_they_are() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_broker, admin) = broker(folder.path());
    let mut pipeline = validated("stranger");
    let topics = pipeline.topics.all().map(Clone::clone);
    admin.create_topics(&topics).await.expect("somebody makes them");
    let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let found = loop {
        let found = admin.describe_topics(names.clone()).await.expect("an answer");
        if found.len() == names.len() {
            break found;
        }
    };
    let status = |(name, topic): (String, kafka::TopicDescription)| TopicStatus {
        name,
        topic_id: topic.topic_id,
        partitions: topic.partitions,
    };
    pipeline.known_topics.remembered = found.into_iter().map(status).collect();

    // One broker cannot keep three copies of the claims, so there is no record.
    let claim = pipeline.claim.as_mut().expect("a claim");
    claim.replication_factor = 3;
    let error = delete(&admin, &pipeline).await.expect_err("nobody can tell").to_string();
    assert!(error.contains("__smspipeline_owners"), "{error}");
    // Here there is one, and it holds no claim of this pipeline.
    pipeline.claim.as_mut().expect("a claim").replication_factor = 1;
    let deleted = delete(&admin, &pipeline).await.expect("nothing to do");
    assert_eq!((deleted.gone.len(), deleted.kept.len()), (0, topics.len()));
    assert_eq!(admin.describe_topics(names).await.expect("an answer").len(), topics.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_goes_deletes_its_own_topics_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_broker, admin) = broker(folder.path());
    let (mut owner, mut other) = (validated("owner"), validated("other"));
    owner.known_topics.remembered = until_ensured(&admin, &owner).await;
    other.known_topics.remembered.clone_from(&owner.known_topics.remembered);

    let refused = ensure(&admin, &other).await.expect_err("they are somebody else's");
    assert!(refused.settled.is_none());
    let refused = refused.problem.to_string();
    assert!(refused.contains("default/notifications (uid owner)"), "{refused}");
    let kept = delete(&admin, &other).await.expect("nothing to do");
    assert_eq!((kept.gone.len(), kept.kept.len()), (0, 4));

    let recreated = owner.topics.low_priority.clone();
    admin.delete_topics(std::slice::from_ref(&recreated.name)).await.expect("it is deleted");
    until_gone(&admin, &recreated.name).await;
    admin.create_topics(std::slice::from_ref(&recreated)).await.expect("somebody makes it anew");
    while admin.describe_topics(vec![recreated.name.clone()]).await.expect("an answer").is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let deleted = delete(&admin, &owner).await.expect("the others are deleted");
    let gone = ["sms-requests-dlq", "sms.high-priority", "sms.requests"].map(str::to_owned).to_vec();
    assert_eq!(deleted, Deleted { gone, kept: vec![recreated.name.clone()] });
    for topic in &deleted.gone {
        until_gone(&admin, topic).await;
    }
    assert_eq!(delete(&admin, &owner).await.expect("whoever tries again finds the same"), deleted);
    let left = admin.describe_topics(vec![recreated.name.clone()]).await.expect("an answer");
    assert!(left.contains_key(&recreated.name));

    owners::release(&admin, "sms", "owner").await.expect("the claim is taken back");
    other.known_topics.remembered.clear();
    assert_eq!(until_ensured(&admin, &other).await.len(), 4);
}
