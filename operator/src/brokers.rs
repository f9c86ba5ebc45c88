//! The Kafka clusters in use: one admin client for each, shared by all pipelines on it.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kafka::{Admin, Settings};

use crate::{
    controller::{
        topics::{self, Problem},
        validate::ValidatedPipeline,
    },
    crd::TopicStatus,
};

/// Admin clients by bootstrap servers.
#[derive(Default)]
pub struct Brokers {
    admins: Mutex<HashMap<String, Admin>>,
    /// Addresses to use in place of those that a pipeline names: local mode has no cluster DNS.
    replaced: Vec<(String, String)>,
}

impl Brokers {
    /// Connects to the second address of a pair wherever a pipeline names the first.
    pub fn replacing(replaced: Vec<(String, String)>) -> Self {
        Self { admins: Mutex::default(), replaced }
    }

    /// Makes the topics of a pipeline as wanted.
    pub async fn ensure_topics(&self, pipeline: &ValidatedPipeline) -> Result<Vec<TopicStatus>, Problem> {
        topics::ensure(&self.admin(&pipeline.bootstrap_servers)?, &pipeline.topics).await
    }

    /// Records of `topics` that `group` has not committed yet.
    pub async fn lag(
        &self,
        bootstrap_servers: &str,
        group: String,
        topics: &[TopicStatus],
    ) -> Result<i64, kafka::Error> {
        let partitions = topics
            .iter()
            .flat_map(|topic| (0..topic.partitions).map(|partition| (topic.name.clone(), partition)))
            .collect();
        let offsets = self.admin(bootstrap_servers)?.offsets(group, partitions).await?;
        Ok(offsets.iter().map(kafka::PartitionOffsets::lag).sum())
    }

    fn admin(&self, bootstrap_servers: &str) -> Result<Admin, kafka::Error> {
        let mut admins = self.admins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(admin) = admins.get(bootstrap_servers) {
            return Ok(admin.clone());
        }
        let address = self
            .replaced
            .iter()
            .fold(bootstrap_servers.to_owned(), |address, (named, used)| address.replace(named, used));
        let admin = Admin::new(&Settings { bootstrap_servers: address }, "sms-operator")?;
        admins.insert(bootstrap_servers.to_owned(), admin.clone());
        Ok(admin)
    }
}
