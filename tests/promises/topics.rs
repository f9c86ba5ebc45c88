//! Topics follow the resource, and what somebody else did to them is told and never covered up.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use kafka::{Configurable, NewTopic};
use tests::{LocalPipeline, PipelineSettings, eventually};

use crate::autoscaling::{counting_provider, post};

const LIMIT: Duration = Duration::from_secs(30);

async fn until_refused(pipeline: &LocalPipeline, expected: &str) -> String {
    eventually(expected, LIMIT, async || {
        let (status, reason, message) = pipeline.condition("TopicsReady")?;
        (status == "False" && reason == expected).then_some(message)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_retention_is_carried_out_and_a_setting_of_somebody_else_stays() {
    let pipeline = LocalPipeline::ready(PipelineSettings::default()).await;
    let (admin, name) = (pipeline.admin(), format!("{}.requests", pipeline.prefix));
    let foreign = BTreeMap::from([("segment.bytes", "2000000".to_owned())]);
    admin.alter_configs(BTreeMap::from([(Configurable::Topic(name.clone()), foreign)])).await.expect("it is set");

    pipeline.edit(r#""replicationFactor":1"#, r#""replicationFactor":1,"retention":"3d""#);

    let config = eventually("the retention is carried out", LIMIT, async || {
        let config = admin.describe_configs(vec![Configurable::Topic(name.clone())]).await.ok()?.remove(0);
        (config["retention.ms"] == "259200000").then_some(config)
    })
    .await;
    assert_eq!(config["segment.bytes"], "2000000");
    let (status, _, message) = pipeline.condition("KafkaSettingsSafe").expect("the condition is there");
    assert_eq!(status, "True", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_vanished_or_was_made_anew_is_told_and_taken_only_when_that_is_accepted() {
    let pipeline = LocalPipeline::ready(PipelineSettings::default()).await;
    let (admin, name) = (pipeline.admin(), format!("{}.low-priority", pipeline.prefix));
    admin.delete_topics(std::slice::from_ref(&name)).await.expect("it is deleted");

    pipeline.edit(r#""replicationFactor":1"#, r#""replicationFactor":1,"retention":"3d""#);

    let message = until_refused(&pipeline, "TopicVanished").await;
    assert!(message.contains(&name) && message.contains("smspipeline.dev/accept-topics"), "{message}");
    assert!(admin.describe_topics(vec![name.clone()]).await.expect("an answer").is_empty(), "it is not made again");

    let config = BTreeMap::new();
    let topic = NewTopic { name: name.clone(), partitions: 3, replication_factor: 1, config };
    admin.create_topics(&[topic]).await.expect("somebody makes it again");
    let message = until_refused(&pipeline, "TopicRecreated").await;
    let id = admin.describe_topics(vec![name.clone()]).await.expect("an answer")[&name].topic_id.clone();
    assert!(message.contains(&id), "{message}");

    let accepting =
        format!(r#""metadata":{{"annotations":{{"smspipeline.dev/accept-topics":"{id}"}},"name":"notifications"}}"#);
    pipeline.edit(r#""metadata":{"name":"notifications"}"#, &accepting);
    pipeline.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_or_sent_twice_while_topics_grow_under_load() {
    let (sent, provider) = counting_provider().await;
    let settings = PipelineSettings { http_provider: Some(provider), max_in_flight: 20, ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;
    let (admin, name) = (pipeline.admin(), format!("{}.requests", pipeline.prefix));
    pipeline.edit(r#""partitions":3"#, r#""partitions":3,"partitionGrowth":"Acknowledge""#);
    let mut ids = Vec::new();
    for (from, to) in [(3_i32, 4_i32), (4, 7)] {
        ids.extend(post(&pipeline, ids.len()..ids.len() + 200).await);
        pipeline.edit(&format!(r#""partitions":{from}"#), &format!(r#""partitions":{to}"#));
        let is_written_to = async || {
            let places = (0..to).map(|number| (name.clone(), number)).collect();
            // Before it has grown, Kafka knows nothing of some of them.
            let partitions = admin.offsets("nobody".to_owned(), places).await.ok()?;
            partitions.iter().all(|partition| partition.end > 0).then_some(())
        };
        let deadline = Instant::now() + LIMIT;
        while is_written_to().await.is_none() {
            assert!(Instant::now() < deadline, "not all of {to} partitions get messages");
            let some = post(&pipeline, ids.len()..ids.len() + 20).await;
            pipeline.until_final(&some[0], LIMIT).await;
            ids.extend(some);
        }
        ids.extend(post(&pipeline, ids.len()..ids.len() + 200).await);
    }
    for id in &ids {
        assert_eq!(pipeline.until_final(id, LIMIT).await["status"], "SENT");
    }
    let sent = sent.lock().expect("nobody panicked");
    let twice: Vec<_> = sent.iter().filter(|(_, times)| **times != 1).collect();
    assert_eq!((sent.len(), twice), (ids.len(), Vec::new()));
}
