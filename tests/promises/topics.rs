//! Topics follow the resource, and what somebody else did to them is told and never covered up.

use std::{collections::BTreeMap, time::Duration};

use kafka::{Configurable, NewTopic};
use tests::{LocalPipeline, PipelineSettings, eventually};

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
