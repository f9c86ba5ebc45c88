//! The topics of one pipeline: made, and asked for what is in them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use kafka::{Admin, NewTopic, PartitionOffsets, Settings};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

/// Partitions of sms-api's own topics, as the example pipeline has them.
const PARTITIONS: i32 = 6;
/// A group that never commits: asked for where offsets come with those of a group.
const NO_GROUP: &str = "sms-bench";
/// How long Kafka may take until it knows of groups.
const GROUPS_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// One topic for each priority, and one for dead letters.
pub struct Topics {
    admin: Admin,
    settings: Settings,
    partitions: i32,
    requests: String,
    high_priority: String,
    low_priority: String,
    dead_letters: String,
}

impl std::fmt::Debug for Topics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Topics").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Topics {
    /// Makes those that sms-api looks for by default.
    pub async fn create_defaults(bootstrap_servers: String) -> anyhow::Result<Topics> {
        Topics::create(bootstrap_servers, "sms", PARTITIONS).await
    }

    /// Makes all of them; their names begin with `prefix`.
    pub async fn create(bootstrap_servers: String, prefix: &str, partitions: i32) -> anyhow::Result<Topics> {
        let settings = Settings::plaintext(bootstrap_servers);
        let topics = Topics {
            admin: Admin::new(&settings, "sms-bench").context("cannot make a Kafka client")?,
            settings,
            partitions,
            requests: format!("{prefix}.requests"),
            high_priority: format!("{prefix}.high-priority"),
            low_priority: format!("{prefix}.low-priority"),
            dead_letters: format!("{prefix}-requests-dlq"),
        };
        let new =
            |name: &String| NewTopic { name: name.clone(), partitions, replication_factor: 1, config: BTreeMap::new() };
        let all = [&topics.requests, &topics.high_priority, &topics.low_priority, &topics.dead_letters];
        topics.admin.create_topics(&all.map(new)).await.context("cannot create the topics")?;
        topics.until_groups_are_known().await?;
        Ok(topics)
    }

    /// The first question for a group's offsets lets Kafka make a place for those of all groups, and is refused meanwhile.
    async fn until_groups_are_known(&self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            match self.offsets(NO_GROUP, &[&self.requests]).await {
                Err(_) if began.elapsed() < GROUPS_WITHIN => tokio::time::sleep(POLL).await,
                other => return other.map(|_| ()),
            }
        }
    }

    /// How many records were ever written to one of them.
    pub async fn records(&self, topic: &str) -> anyhow::Result<u64> {
        let offsets = self.offsets(NO_GROUP, &[topic]).await?;
        Ok(offsets.iter().map(|partition| u64::try_from(partition.end).unwrap_or_default()).sum())
    }

    /// How many records of any priority a group has not committed.
    pub async fn lag(&self, group: &str) -> anyhow::Result<u64> {
        let offsets = self.offsets(group, &self.lanes()).await?;
        Ok(offsets.iter().map(|partition| u64::try_from(partition.lag()).unwrap_or_default()).sum())
    }

    /// Lets a group stand at the beginning of the topics of all priorities, as one does that has been there before: where
    /// nobody ever committed, processors ask sms-api about every message.
    pub async fn found(&self, group: &str) -> anyhow::Result<()> {
        let mut config = self.settings.client_config("sms-bench")?;
        config.set("group.id", group);
        let mut positions = TopicPartitionList::new();
        for (topic, partition) in self.partitions_of(&self.lanes()) {
            positions.add_partition_offset(&topic, partition, Offset::Offset(0))?;
        }
        let commit = move || -> anyhow::Result<()> {
            let consumer: BaseConsumer = config.create()?;
            Ok(consumer.commit(&positions, CommitMode::Sync)?)
        };
        tokio::task::spawn_blocking(commit).await?.context("cannot found the consumer group")
    }

    async fn offsets(&self, group: &str, topics: &[&str]) -> anyhow::Result<Vec<PartitionOffsets>> {
        self.admin.offsets(group.to_owned(), self.partitions_of(topics)).await.context("cannot count the records")
    }

    fn partitions_of(&self, topics: &[&str]) -> Vec<(String, i32)> {
        let of =
            |topic: &&str| (0..self.partitions).map(|partition| ((*topic).to_owned(), partition)).collect::<Vec<_>>();
        topics.iter().flat_map(of).collect()
    }

    fn lanes(&self) -> [&str; 3] {
        [&self.high_priority, &self.requests, &self.low_priority]
    }

    /// How clients reach them.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where Kafka is.
    pub fn bootstrap_servers(&self) -> &str {
        &self.settings.bootstrap_servers
    }

    /// How many partitions each of them has.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The topic of normal priority.
    pub fn requests(&self) -> &str {
        &self.requests
    }

    /// The topic of high priority.
    pub fn high_priority(&self) -> &str {
        &self.high_priority
    }

    /// The topic of low priority.
    pub fn low_priority(&self) -> &str {
        &self.low_priority
    }

    /// The topic of dead letters.
    pub fn dead_letters(&self) -> &str {
        &self.dead_letters
    }
}
