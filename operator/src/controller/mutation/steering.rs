//! The few fields that steer the operator itself and show in nothing that it makes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kafka::{Config, TopicDescription};

use crate::{
    controller::{
        deletion::duty,
        topics::plan::{Found, KnownTopics, plan},
        validate::WantedTopics,
    },
    crd::SmsPipeline,
};

/// These fields.
pub(super) const FIELDS: [&str; 3] = ["spec.paused", "spec.kafka.topics.onDelete", "spec.kafka.topics.partitionGrowth"];

/// What the operator does by each of them: whether it changes anything, what it has to do for the end of the pipeline, and
/// what becomes of topics with too few partitions.
pub(super) fn of(pipeline: &SmsPipeline) -> [String; 3] {
    let wanted = WantedTopics::from(&pipeline.spec.kafka.topics);
    let small = wanted.all().map(|topic| {
        let config: Config = topic.config.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let replication_factor = topic.replication_factor;
        let description =
            TopicDescription { topic_id: "id".to_owned(), partitions: 0, replication_factor, leader: Some(1) };
        (topic.name.clone(), Found { description, config })
    });
    let planned = plan(&wanted, &KnownTopics::default(), &BTreeMap::from(small));
    [
        format!("{:?}", pipeline.paused_by()),
        format!("{:?}", duty(pipeline, Timestamp::UNIX_EPOCH)),
        format!("{:?}", planned.grow),
    ]
}
