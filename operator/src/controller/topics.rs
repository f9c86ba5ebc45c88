//! The Kafka side of apply: topics that are missing are created, partitions that may grow are grown.
//!
//! Never shrinks, never deletes and never alters a setting. [`plan`] is pure; [`ensure`] does what it says.

use std::collections::BTreeMap;

use kafka::{Admin, NewTopic, TopicDescription};

use crate::{
    controller::validate::WantedTopics,
    crd::{PartitionGrowth, TopicStatus},
};

/// What has to be done so that the topics are as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Topics to create.
    pub create: Vec<NewTopic>,
    /// Topics to grow, each with its new number of partitions.
    pub grow: Vec<(String, i32)>,
    /// What is not as wanted and may not be changed, a sentence each.
    pub refused: Vec<String>,
}

/// Why the topics are not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Kafka did not do what it was asked for.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// The topics differ in a way that may not be changed.
    #[error("{}", .0.join("; "))]
    Refused(Vec<String>),
    /// Topics were created and the broker asked does not tell of them yet.
    #[error("waiting for the new topics to be known by every broker")]
    Pending,
}

/// Makes the topics as wanted and tells how they are then.
pub async fn ensure(admin: &Admin, wanted: &WantedTopics) -> Result<Vec<TopicStatus>, Problem> {
    let names: Vec<String> = wanted.all().map(|topic| topic.name.clone()).into();
    let mut found = admin.describe_topics(names.clone()).await?;
    let plan = plan(wanted, &found);
    if !plan.create.is_empty() {
        for topic in &plan.create {
            tracing::info!(topic = topic.name, partitions = topic.partitions, "creating topic");
        }
        admin.create_topics(&plan.create).await?;
    }
    for (name, partitions) in &plan.grow {
        tracing::info!(topic = name, partitions, "growing topic");
        admin.grow_topic(name, *partitions).await?;
    }
    if !plan.create.is_empty() || !plan.grow.is_empty() {
        found = admin.describe_topics(names).await?;
    }
    if !plan.refused.is_empty() {
        return Err(Problem::Refused(plan.refused));
    }
    if found.len() < wanted.all().len() {
        return Err(Problem::Pending);
    }
    Ok(found
        .into_iter()
        .map(|(name, topic)| TopicStatus { name, topic_id: topic.topic_id, partitions: topic.partitions })
        .collect())
}

/// What has to be done, given what Kafka tells.
pub fn plan(wanted: &WantedTopics, found: &BTreeMap<String, TopicDescription>) -> Plan {
    let mut plan = Plan::default();
    for topic in wanted.all() {
        let Some(found) = found.get(&topic.name) else {
            plan.create.push(topic.clone());
            continue;
        };
        // More partitions than wanted are left alone: Kafka cannot take them away.
        if found.partitions >= topic.partitions {
            continue;
        }
        match wanted.growth {
            PartitionGrowth::Acknowledge => plan.grow.push((topic.name.clone(), topic.partitions)),
            PartitionGrowth::Forbid => plan.refused.push(format!(
                "topic {:?} has {} partitions and spec.kafka.topics.partitions wants {}: set partitionGrowth: Acknowledge to grow it",
                topic.name, found.partitions, topic.partitions
            )),
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::Topics;

    fn wanted(partitions: i32, partition_growth: PartitionGrowth) -> WantedTopics {
        WantedTopics::from(&Topics { partitions, partition_growth, ..Topics::default() })
    }

    fn found(partitions: i32) -> BTreeMap<String, TopicDescription> {
        let wanted = wanted(partitions, PartitionGrowth::Forbid);
        let describe = |topic: &NewTopic| {
            let description = TopicDescription { topic_id: "AAAA".to_owned(), partitions: topic.partitions };
            (topic.name.clone(), description)
        };
        wanted.all().map(describe).into()
    }

    #[test]
    fn every_missing_topic_is_created() {
        let plan = plan(&wanted(6, PartitionGrowth::Forbid), &BTreeMap::new());
        let names: Vec<_> = plan.create.iter().map(|topic| (topic.name.as_str(), topic.partitions)).collect();
        let expected =
            [("sms.requests", 6), ("sms.high-priority", 6), ("sms.low-priority", 6), ("sms-requests-dlq", 1)];
        assert_eq!(names, expected);
    }

    #[test]
    fn topics_as_wanted_are_left_alone() {
        assert_eq!(plan(&wanted(6, PartitionGrowth::Acknowledge), &found(6)), Plan::default());
    }

    #[test]
    fn topics_grow_when_that_is_acknowledged() {
        let plan = plan(&wanted(8, PartitionGrowth::Acknowledge), &found(6));
        let names: Vec<_> = plan.grow.iter().map(|(name, partitions)| (name.as_str(), *partitions)).collect();
        assert_eq!(names, [("sms.requests", 8), ("sms.high-priority", 8), ("sms.low-priority", 8)]);
        assert!(plan.create.is_empty() && plan.refused.is_empty());
    }

    #[test]
    fn topics_that_may_not_grow_are_refused_with_the_field_to_change() {
        let plan = plan(&wanted(8, PartitionGrowth::Forbid), &found(6));
        assert!(plan.grow.is_empty());
        assert_eq!(plan.refused.len(), 3);
        assert!(plan.refused[0].contains("spec.kafka.topics.partitions"), "{:?}", plan.refused);
    }

    #[test]
    fn topics_with_more_partitions_than_wanted_never_shrink() {
        assert_eq!(plan(&wanted(6, PartitionGrowth::Acknowledge), &found(12)), Plan::default());
    }

    #[test]
    fn a_write_needs_two_brokers_only_where_three_keep_it() {
        for (replication_factor, expected) in [(1, None), (2, None), (3, Some("2"))] {
            let wanted = WantedTopics::from(&Topics { replication_factor, ..Topics::default() });
            let found = wanted.requests.config.get("min.insync.replicas").map(String::as_str);
            assert_eq!(found, expected, "replication factor {replication_factor}");
        }
    }
}
