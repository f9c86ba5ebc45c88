//! The Kafka clusters in use: one admin client for each way to reach one, shared by all pipelines that use it.

mod line;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use kafka::{Admin, Interceptor, PartitionOffsets, Settings};
use line::Line;

use crate::{
    controller::{
        topics::{
            self, Deleted, Topics, Unready,
            owners::{self, Claim, Claimant},
        },
        validate::ValidatedKafka,
    },
    crd::TopicStatus,
};

/// Admin clients by their complete settings, secrets included.
pub struct Brokers {
    clients: Mutex<Clients>,
    /// Addresses to use in place of those that a pipeline names: local mode has no cluster DNS.
    replaced: Vec<(String, String)>,
    interceptor: Arc<dyn Interceptor>,
}

#[derive(Default)]
struct Clients {
    admins: HashMap<Settings, Shared>,
    /// What each pipeline uses now, by namespace and name.
    used: HashMap<(String, String), Used>,
}

/// What the pipelines with the same settings have in common.
#[derive(Clone)]
struct Shared {
    admin: Admin,
    line: Arc<Line>,
}

/// What a pipeline uses.
struct Used {
    settings: Settings,
    claim: Option<Claim>,
}

impl Brokers {
    /// Connects to the second address of a pair wherever a pipeline names the first. Every call goes through
    /// `interceptor`.
    pub fn new(replaced: Vec<(String, String)>, interceptor: Arc<dyn Interceptor>) -> Self {
        Self { clients: Mutex::default(), replaced, interceptor }
    }

    /// Makes the topics of a pipeline as wanted.
    pub async fn ensure_topics(&self, kafka: &ValidatedKafka) -> Result<Topics, Unready> {
        if let Some(predecessor) = self.predecessor(kafka) {
            predecessor.release().await;
        }
        let Shared { admin, line } = self.shared(kafka)?;
        line.served(topics::ensure(&admin, kafka)).await
    }

    /// Deletes the topics of a pipeline that goes, as far as they are still those that it used.
    pub async fn delete_topics(&self, kafka: &ValidatedKafka) -> Result<Deleted, kafka::Error> {
        let Shared { admin, line } = self.shared(kafka)?;
        line.served(topics::delete(&admin, kafka)).await
    }

    /// Takes back the claim that the pipeline with this uid has to the same topics as `kafka`. Not to be called before
    /// it is gone, or goes and its topics are deleted.
    pub async fn release(&self, kafka: &ValidatedKafka, uid: &str) -> Result<(), kafka::Error> {
        match &kafka.claim {
            Some(claim) => owners::release(&self.shared(kafka)?.admin, &claim.prefix, uid).await,
            None => Ok(()),
        }
    }

    /// How the brokers of a pipeline were reached last.
    pub fn settings(&self, namespace: &str, pipeline: &str) -> Option<Settings> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        Some(clients.used.get(&(namespace.to_owned(), pipeline.to_owned()))?.settings.clone())
    }

    /// How far `group` is in every partition of `topics`; `None` as long as it is not known how to reach the brokers of
    /// that pipeline.
    pub async fn offsets(
        &self,
        namespace: &str,
        pipeline: &str,
        group: String,
        topics: &[TopicStatus],
    ) -> Result<Option<Vec<PartitionOffsets>>, kafka::Error> {
        let Some(admin) = self.known(namespace, pipeline) else { return Ok(None) };
        let partitions = topics
            .iter()
            .flat_map(|topic| (0..topic.partitions).map(|partition| (topic.name.clone(), partition)))
            .collect();
        admin.offsets(group, partitions).await.map(Some)
    }

    /// The pipelines that use a client, by namespace and name.
    pub fn pipelines(&self) -> BTreeSet<(String, String)> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).used.keys().cloned().collect()
    }

    /// A pipeline is gone: its claim is taken back, and its client goes unless another one uses it.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        if let Some(gone) = self.take(namespace, pipeline) {
            // Aside: a broker that hangs delays no other pipeline.
            tokio::spawn(gone.release());
        }
    }

    /// What was used by a pipeline of the same name that is gone, such as one that was deleted and made again.
    fn predecessor(&self, kafka: &ValidatedKafka) -> Option<Gone> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let used = clients.used.get(&(kafka.namespace.clone(), kafka.pipeline.clone()))?;
        let uid = |claim: &Option<Claim>| claim.as_ref().map(|claim| claim.claimant.uid.clone());
        let is_the_same = uid(&used.claim) == uid(&kafka.claim);
        drop(clients);
        if is_the_same { None } else { self.take(&kafka.namespace, &kafka.pipeline) }
    }

    fn take(&self, namespace: &str, pipeline: &str) -> Option<Gone> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let Used { settings, claim } = clients.used.remove(&(namespace.to_owned(), pipeline.to_owned()))?;
        let shared = clients.admins.get(&settings).cloned();
        let unused = clients.take_unused();
        drop(clients);
        drop_aside(unused);
        Some(Gone { admin: shared?.admin, claim: claim? })
    }

    fn known(&self, namespace: &str, pipeline: &str) -> Option<Admin> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let used = clients.used.get(&(namespace.to_owned(), pipeline.to_owned()))?;
        Some(clients.admins.get(&used.settings)?.admin.clone())
    }

    /// The client for a pipeline. Settings that have changed make a new one, and the old one goes when it has no other
    /// user.
    fn shared(&self, kafka: &ValidatedKafka) -> Result<Shared, kafka::Error> {
        let settings = &kafka.settings;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = match clients.admins.get(settings).cloned() {
            Some(shared) => shared,
            None => Shared { admin: self.client(settings)?, line: Arc::default() },
        };
        clients.admins.insert(settings.clone(), shared.clone());
        let used = Used { settings: settings.clone(), claim: kafka.claim.clone() };
        clients.used.insert((kafka.namespace.clone(), kafka.pipeline.clone()), used);
        let unused = clients.take_unused();
        drop(clients);
        drop_aside(unused);
        Ok(shared)
    }

    fn client(&self, settings: &Settings) -> Result<Admin, kafka::Error> {
        let admin = Admin::new(&self.reachable(settings), "sms-operator")?;
        Ok(admin.intercepted(Arc::clone(&self.interceptor)))
    }

    fn reachable(&self, settings: &Settings) -> Settings {
        let named = settings.bootstrap_servers.clone();
        let used = self.replaced.iter().fold(named, |address, (named, used)| address.replace(named, used));
        Settings { bootstrap_servers: used, ..settings.clone() }
    }
}

impl Clients {
    fn take_unused(&mut self) -> Vec<Shared> {
        let used: HashSet<&Settings> = self.used.values().map(|used| &used.settings).collect();
        self.admins.extract_if(|settings, _| !used.contains(settings)).map(|(_, shared)| shared).collect()
    }
}

/// A pipeline that is gone, with what its claim is taken back by.
struct Gone {
    admin: Admin,
    claim: Claim,
}

impl Gone {
    /// Tried once: where it fails, the pipeline that claims the topics next tells how to take them over.
    async fn release(self) {
        let Claimant { namespace, name, uid, .. } = &self.claim.claimant;
        if let Err(error) = owners::release(&self.admin, &self.claim.prefix, uid).await {
            tracing::warn!(pipeline = name, namespace, uid, %error, "the claim to its topics could not be taken back");
        }
    }
}

/// A client that goes waits for its threads, which must not keep a pipeline waiting.
fn drop_aside(clients: Vec<Shared>) {
    if !clients.is_empty() {
        tokio::task::spawn_blocking(move || drop(clients));
    }
}

#[cfg(test)]
mod tests {
    use kafka::Source;

    use super::*;
    use crate::{
        controller::fixtures::{pipeline, validated},
        metrics::Metrics,
    };

    fn named(name: &str) -> ValidatedKafka {
        let mut pipeline = pipeline();
        pipeline.metadata.name = Some(name.to_owned());
        validated(&pipeline).kafka
    }

    fn brokers() -> Brokers {
        Brokers::new(Vec::new(), Arc::new(Metrics::default()))
    }

    fn clients(brokers: &Brokers) -> usize {
        brokers.clients.lock().expect("no panic").admins.len()
    }

    #[tokio::test]
    async fn pipelines_with_the_same_settings_share_a_client_until_the_last_is_gone() {
        let brokers = brokers();
        for name in ["one", "two"] {
            brokers.shared(&named(name)).expect("a client");
        }
        assert_eq!(clients(&brokers), 1);
        brokers.forget("default", "one");
        assert!(brokers.known("default", "one").is_none() && brokers.known("default", "two").is_some());
        brokers.forget("default", "two");
        assert_eq!(clients(&brokers), 0);
    }

    #[tokio::test]
    async fn a_rotated_password_makes_a_new_client_and_the_old_one_is_dropped() {
        let brokers = brokers();
        let mut kafka = named("one");
        brokers.shared(&kafka).expect("a client");
        kafka.settings.security.password = Some(Source::Value("rotated".to_owned()));
        brokers.shared(&kafka).expect("a client");
        let clients = brokers.clients.lock().expect("no panic");
        assert_eq!(clients.admins.keys().collect::<Vec<_>>(), [&kafka.settings]);
    }
}
