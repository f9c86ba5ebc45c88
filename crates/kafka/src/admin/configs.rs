//! Settings that are kept by the brokers: read all, set those that are named.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Admin, TIMEOUT,
    gather::{Found, Questions},
};
use crate::{Error, native};

const DESCRIBE: &str = "DescribeConfigs";

/// For how long settings count that [`Admin::known_configs`] gives: somebody else changes them seldom.
pub(super) const AGE: Duration = Duration::from_mins(1);
/// How many topics and groups are asked for in one call. A broker tells some forty settings of each, in 8 KB.
pub(super) const AT_ONCE: usize = 200;

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Configurable {
    /// A topic by its name.
    Topic(String),
    /// A consumer group by its id, whose settings only brokers of Kafka 4.0 and later keep.
    Group(String),
    /// A broker by its id.
    Broker(i32),
}

/// Settings by Kafka's names, with the values that apply, whoever set them.
pub type Config = BTreeMap<String, String>;

/// One copy of settings that many things have alike.
#[derive(Default)]
pub(super) struct Shared(Mutex<BTreeSet<Arc<Config>>>);

impl Shared {
    fn copy(&self, config: Config) -> Arc<Config> {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        copies.retain(|copy| Arc::strong_count(copy) > 1);
        if let Some(copy) = copies.get(&config) {
            return Arc::clone(copy);
        }
        let copy = Arc::new(config);
        copies.insert(Arc::clone(&copy));
        copy
    }
}

impl Admin {
    /// All settings of each of them, in the same order. Topics must exist, groups need not.
    pub async fn describe_configs(&self, resources: Vec<Configurable>) -> Result<Vec<Config>, Error> {
        let found = self.ask_configs(resources.clone()).await?;
        in_order(&resources, |resource| found.get(resource).cloned())
    }

    /// The same, as it was at most a minute ago. What was changed through this client counts at once.
    pub async fn known_configs(&self, resources: Vec<Configurable>) -> Result<Vec<Config>, Error> {
        let asked = Instant::now();
        let known = match self.known_configs.look(&resources, asked) {
            Ok(known) => known.into_iter().map(|(resource, config)| (resource, Ok(config))).collect(),
            Err(keys) => {
                let found = self.ask_configs(keys.clone()).await?;
                self.known_configs.learn(&keys, &found, asked);
                found
            }
        };
        in_order(&resources, |resource| known.get(resource).cloned())
    }

    /// Sets what is named and touches no other setting.
    pub async fn alter_configs(
        &self,
        changes: BTreeMap<Configurable, BTreeMap<&'static str, String>>,
    ) -> Result<(), Error> {
        let altered: Vec<_> = changes.keys().cloned().collect();
        let alter = move |client: &_| native::alter_configs(client, &changes, TIMEOUT);
        let about = altered.iter().map(ToString::to_string).collect();
        let result = self.blocking("IncrementalAlterConfigs", about, alter).await;
        self.known_configs.forget(altered, Instant::now());
        result
    }

    async fn ask_configs(&self, resources: Vec<Configurable>) -> Result<Found<Configurable, Arc<Config>>, Error> {
        let admin = self.clone();
        let ask = |questions: Questions<_, _>| async move {
            let asked = admin.ask_gathered_configs(questions.keys()).await;
            questions.answer(&asked);
        };
        self.configs.ask(resources, DESCRIBE, ask).await
    }

    /// Each broker needs a call of its own, because it must be asked itself.
    async fn ask_gathered_configs(
        &self,
        resources: Vec<Configurable>,
    ) -> Result<Found<Configurable, Arc<Config>>, Error> {
        let (brokers, others): (Vec<_>, Vec<_>) =
            resources.into_iter().partition(|resource| matches!(resource, Configurable::Broker(_)));
        let mut found = BTreeMap::new();
        for asked in others.chunks(self.known_configs.at_once()).chain(brokers.chunks(1)).map(<[_]>::to_vec) {
            let about = asked.iter().map(ToString::to_string).collect();
            let describe = move |client: &_| {
                let told = native::describe_configs(client, &asked, TIMEOUT)?;
                Ok(asked.into_iter().zip(told).collect::<Vec<_>>())
            };
            for (resource, told) in self.blocking(DESCRIBE, about, describe).await? {
                found.insert(resource, told.map(|config| self.shared.copy(config)));
            }
        }
        Ok(found)
    }
}

fn in_order(
    resources: &[Configurable],
    found: impl Fn(&Configurable) -> Option<Result<Arc<Config>, Error>>,
) -> Result<Vec<Config>, Error> {
    let missing = || Err(Error::Call { call: DESCRIBE, reason: "the answer lacks a resource".to_owned() });
    let config = |resource| found(resource).unwrap_or_else(missing).map(Arc::unwrap_or_clone);
    resources.iter().map(config).collect()
}
