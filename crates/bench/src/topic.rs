//! How many messages have reached Kafka.

use std::collections::BTreeMap;

use anyhow::Context;
use kafka::{Admin, NewTopic, Settings};

/// Where sms-api publishes messages of normal priority; its own default.
const REQUESTS: &str = "sms.requests";
/// What else it looks for; its own defaults.
const OTHERS: [&str; 3] = ["sms.high-priority", "sms.low-priority", "sms-requests-dlq"];
/// Partitions of each, as the example pipeline has them.
const PARTITIONS: i32 = 6;
/// A group that never commits: asked for because offsets come with those of a group.
const GROUP: &str = "sms-bench";

/// The topic that is measured.
pub struct Topic {
    admin: Admin,
}

impl Topic {
    /// Makes every topic that sms-api needs.
    pub async fn create(bootstrap_servers: String) -> anyhow::Result<Topic> {
        let admin = Admin::new(&Settings { bootstrap_servers }, "sms-bench").context("cannot make a Kafka client")?;
        let new = |name: &str| NewTopic {
            name: name.to_owned(),
            partitions: PARTITIONS,
            replication_factor: 1,
            config: BTreeMap::new(),
        };
        let topics: Vec<_> = std::iter::once(REQUESTS).chain(OTHERS).map(new).collect();
        admin.create_topics(&topics).await.context("cannot create the topics")?;
        Ok(Topic { admin })
    }

    /// How many records were ever written to it.
    pub async fn records(&self) -> anyhow::Result<u64> {
        let partitions = (0..PARTITIONS).map(|partition| (REQUESTS.to_owned(), partition)).collect();
        let offsets = self.admin.offsets(GROUP.to_owned(), partitions).await.context("cannot count the records")?;
        Ok(offsets.iter().map(|partition| u64::try_from(partition.end).unwrap_or_default()).sum())
    }
}
