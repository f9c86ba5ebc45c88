//! The Kafka clusters in use: one admin client for each way to reach one, shared by all pipelines that use it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use kafka::{Admin, Settings};

use crate::{
    controller::{
        topics::{self, Problem, Topics},
        validate::ValidatedPipeline,
    },
    crd::TopicStatus,
};

/// Admin clients by their complete settings, secrets included.
#[derive(Default)]
pub struct Brokers {
    clients: Mutex<Clients>,
    /// Addresses to use in place of those that a pipeline names: local mode has no cluster DNS.
    replaced: Vec<(String, String)>,
}

#[derive(Default)]
struct Clients {
    admins: HashMap<Settings, Admin>,
    /// The settings that each pipeline uses now, by namespace and name.
    used: HashMap<(String, String), Settings>,
}

impl Brokers {
    /// Connects to the second address of a pair wherever a pipeline names the first.
    pub fn replacing(replaced: Vec<(String, String)>) -> Self {
        Self { clients: Mutex::default(), replaced }
    }

    /// Makes the topics of a pipeline as wanted.
    pub async fn ensure_topics(&self, pipeline: &ValidatedPipeline) -> Result<Topics, Problem> {
        topics::ensure(&self.admin(pipeline)?, pipeline).await
    }

    /// Deletes the topics of a pipeline that goes, as far as they are still those that it used, and gives their names.
    pub async fn delete_topics(&self, pipeline: &ValidatedPipeline) -> Result<Vec<String>, kafka::Error> {
        topics::delete(&self.admin(pipeline)?, &pipeline.topics, &pipeline.known_topics.remembered).await
    }

    /// Records of `topics` that `group` has not committed yet; `None` as long as it is not known how to reach the brokers
    /// of that pipeline.
    pub async fn lag(
        &self,
        namespace: &str,
        pipeline: &str,
        group: String,
        topics: &[TopicStatus],
    ) -> Result<Option<i64>, kafka::Error> {
        let Some(admin) = self.known(namespace, pipeline) else { return Ok(None) };
        let partitions = topics
            .iter()
            .flat_map(|topic| (0..topic.partitions).map(|partition| (topic.name.clone(), partition)))
            .collect();
        let offsets = admin.offsets(group, partitions).await?;
        Ok(Some(offsets.iter().map(kafka::PartitionOffsets::lag).sum()))
    }

    /// A pipeline is gone, and the client with it unless another one uses it.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.used.remove(&(namespace.to_owned(), pipeline.to_owned()));
        let unused = clients.take_unused();
        drop(clients);
        drop_aside(unused);
    }

    fn known(&self, namespace: &str, pipeline: &str) -> Option<Admin> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = clients.used.get(&(namespace.to_owned(), pipeline.to_owned()))?;
        clients.admins.get(settings).cloned()
    }

    /// The client for a pipeline. Settings that have changed make a new one, and the old one goes when it has no other
    /// user.
    fn admin(&self, pipeline: &ValidatedPipeline) -> Result<Admin, kafka::Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let admin = match clients.admins.get(&pipeline.kafka).cloned() {
            Some(admin) => admin,
            None => Admin::new(&self.reachable(&pipeline.kafka), "sms-operator")?,
        };
        clients.admins.insert(pipeline.kafka.clone(), admin.clone());
        clients.used.insert((pipeline.namespace.clone(), pipeline.name.clone()), pipeline.kafka.clone());
        let unused = clients.take_unused();
        drop(clients);
        drop_aside(unused);
        Ok(admin)
    }

    fn reachable(&self, settings: &Settings) -> Settings {
        let named = settings.bootstrap_servers.clone();
        let used = self.replaced.iter().fold(named, |address, (named, used)| address.replace(named, used));
        Settings { bootstrap_servers: used, ..settings.clone() }
    }
}

impl Clients {
    fn take_unused(&mut self) -> Vec<Admin> {
        let used: HashSet<&Settings> = self.used.values().collect();
        self.admins.extract_if(|settings, _| !used.contains(settings)).map(|(_, admin)| admin).collect()
    }
}

/// A client that goes waits for its threads, which must not keep a pipeline waiting.
fn drop_aside(clients: Vec<Admin>) {
    if !clients.is_empty() {
        tokio::task::spawn_blocking(move || drop(clients));
    }
}

#[cfg(test)]
mod tests {
    use kafka::Source;

    use super::*;
    use crate::controller::{
        fixtures::{pipeline, referenced},
        validate::{DefaultImages, validate},
    };

    fn named(name: &str) -> ValidatedPipeline {
        let images = DefaultImages { api: String::new(), processor: String::new() };
        let mut pipeline = pipeline();
        pipeline.metadata.name = Some(name.to_owned());
        validate(&pipeline, &referenced(), &images).expect("usable")
    }

    fn clients(brokers: &Brokers) -> usize {
        brokers.clients.lock().expect("no panic").admins.len()
    }

    #[tokio::test]
    async fn pipelines_with_the_same_settings_share_a_client_until_the_last_is_gone() {
        let brokers = Brokers::default();
        for name in ["one", "two"] {
            brokers.admin(&named(name)).expect("a client");
        }
        assert_eq!(clients(&brokers), 1);
        brokers.forget("default", "one");
        assert!(brokers.known("default", "one").is_none() && brokers.known("default", "two").is_some());
        brokers.forget("default", "two");
        assert_eq!(clients(&brokers), 0);
    }

    #[tokio::test]
    async fn a_rotated_password_makes_a_new_client_and_the_old_one_is_dropped() {
        let brokers = Brokers::default();
        let mut pipeline = named("one");
        brokers.admin(&pipeline).expect("a client");
        pipeline.kafka.security.password = Some(Source::Value("rotated".to_owned()));
        brokers.admin(&pipeline).expect("a client");
        let clients = brokers.clients.lock().expect("no panic");
        assert_eq!(clients.admins.keys().collect::<Vec<_>>(), [&pipeline.kafka]);
    }
}
