mod configs;
mod gather;
mod intercept;
mod known;
mod log;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewPartitions, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    producer::FutureProducer,
    types::RDKafkaErrorCode,
};

use gather::{Gathering, Questions};
use intercept::Through;
use known::Known;

use crate::{
    Error, Settings,
    cause::Cause,
    native::{self, TopicDescription},
    offsets::{Groups, PartitionOffsets},
};

pub use configs::{Config, Configurable};
pub(crate) use gather::Found;
pub use intercept::{Call, Interceptor, Said};
pub use log::Entry;

const CREATE_PARTITIONS: &str = "CreatePartitions";
const CREATE_TOPICS: &str = "CreateTopics";
const DELETE_TOPICS: &str = "DeleteTopics";
const DESCRIBE_TOPICS: &str = "DescribeTopics";
/// For how long a topic counts as it is that [`Admin::known_topics`] gives.
const TOPICS_AGE: Duration = Duration::from_secs(15);
/// How many topics are asked for in one call. A broker tells some hundred bytes of each, and thirty of each partition.
const TOPICS_AT_ONCE: usize = 1000;
/// How long a broker may take to answer one admin call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Kafka's admin calls. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    groups: Arc<Groups>,
    settings: Arc<Settings>,
    topics: Arc<Gathering<String, TopicDescription>>,
    known_topics: Arc<Known<String, TopicDescription>>,
    configs: Arc<Gathering<Configurable, Arc<Config>>>,
    known_configs: Arc<Known<Configurable, Arc<Config>>>,
    shared: Arc<configs::Shared>,
    reading: Arc<Gathering<String, Arc<Vec<Entry>>>>,
    logs: Arc<tokio::sync::Mutex<log::Logs>>,
    producer: Arc<Mutex<Option<FutureProducer>>>,
    interceptor: Arc<dyn Interceptor>,
    /// Why there is no connection, from the last failure until the next success. librdkafka tells a cause that does not
    /// change only now and then.
    cause: Arc<Mutex<Option<Cause>>>,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it gets.
    pub partitions: i32,
    /// On how many brokers each partition is kept.
    pub replication_factor: i32,
    /// Topic settings beside the broker's defaults, by Kafka's names.
    pub config: BTreeMap<&'static str, String>,
}

impl Admin {
    /// Makes the client; connections are opened by the calls, so this does not wait for a broker.
    pub fn new(settings: &Settings, client_id: &str) -> Result<Self, Error> {
        let mut config = settings.client_config(client_id)?;
        // It tells of brokers that hang up, which is how one that speaks another protocol shows.
        config.set_log_level(RDKafkaLogLevel::Info);
        let client = config.create().map_err(Error::Settings)?;
        let groups = Arc::new(Groups::new(settings.clone()));
        let settings = Arc::new(settings.clone());
        Ok(Self {
            client: Arc::new(client),
            groups,
            settings,
            topics: Arc::default(),
            known_topics: Arc::new(Known::new(TOPICS_AGE, TOPICS_AT_ONCE)),
            configs: Arc::default(),
            known_configs: Arc::new(Known::new(configs::AGE, configs::AT_ONCE)),
            shared: Arc::default(),
            reading: Arc::default(),
            logs: Arc::default(),
            producer: Arc::default(),
            interceptor: Arc::new(Through),
            cause: Arc::default(),
        })
    }

    /// The same client, whose calls go through `interceptor`.
    #[must_use]
    pub fn intercepted(self, interceptor: Arc<dyn Interceptor>) -> Self {
        Self { interceptor, ..self }
    }

    /// The topics of `names` that exist. Never creates one, whatever the broker's auto-creation says.
    /// Asked together with what others ask at the same moment.
    pub async fn describe_topics(&self, names: Vec<String>) -> Result<BTreeMap<String, TopicDescription>, Error> {
        each(self.ask_topics(names).await?)
    }

    /// The same, as it was at most 15 seconds ago. What does not exist is asked for each time, and what was changed through
    /// this client counts at once.
    pub async fn known_topics(&self, names: Vec<String>) -> Result<BTreeMap<String, TopicDescription>, Error> {
        let asked = Instant::now();
        let keys = match self.known_topics.look(&names, asked) {
            Ok(known) => return Ok(known),
            Err(keys) => keys,
        };
        let mut found = self.ask_topics(keys.clone()).await?;
        self.known_topics.learn(&keys, &found, asked);
        found.retain(|name, _| names.contains(name));
        each(found)
    }

    async fn ask_topics(&self, names: Vec<String>) -> Result<Found<String, TopicDescription>, Error> {
        let admin = self.clone();
        let ask = |questions: Questions<_, _>| async move {
            let asked = admin.ask_gathered_topics(&questions.keys()).await;
            questions.answer(&asked);
        };
        self.topics.ask(names, DESCRIBE_TOPICS, ask).await
    }

    async fn ask_gathered_topics(&self, names: &[String]) -> Result<Found<String, TopicDescription>, Error> {
        let mut found = BTreeMap::new();
        for names in names.chunks(TOPICS_AT_ONCE).map(<[_]>::to_vec) {
            let about = names.clone();
            let ask = move |client: &_| native::describe_topics(client, &names, TIMEOUT);
            found.append(&mut self.blocking(DESCRIBE_TOPICS, about, ask).await?);
        }
        Ok(found)
    }

    /// Creates the topics; one that exists already is left as it is.
    pub async fn create_topics(&self, topics: &[NewTopic]) -> Result<(), Error> {
        let new: Vec<_> = topics
            .iter()
            .map(|topic| {
                let replication = TopicReplication::Fixed(topic.replication_factor);
                let new = rdkafka::admin::NewTopic::new(&topic.name, topic.partitions, replication);
                topic.config.iter().fold(new, |new, (name, value)| new.set(name, value))
            })
            .collect();
        let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
        let create = async {
            let results = self.client.create_topics(&new, &options()).await;
            each_topic(CREATE_TOPICS, results, &[RDKafkaErrorCode::TopicAlreadyExists])
        };
        let created = self.made(CREATE_TOPICS, &names, create).await;
        self.forget(names);
        created
    }

    /// Grows a topic to `partitions` in all. Kafka refuses to shrink one.
    pub async fn grow_topic(&self, name: &str, partitions: i32) -> Result<(), Error> {
        let count = usize::try_from(partitions).unwrap_or_default();
        let grow = async {
            let results = self.client.create_partitions(&[NewPartitions::new(name, count)], &options()).await;
            each_topic(CREATE_PARTITIONS, results, &[])
        };
        let grown = self.made(CREATE_PARTITIONS, [name], grow).await;
        self.forget(vec![name.to_owned()]);
        grown
    }

    /// Deletes topics with everything in them; one that is gone already is no error.
    pub async fn delete_topics(&self, names: &[String]) -> Result<(), Error> {
        let doomed: Vec<&str> = names.iter().map(String::as_str).collect();
        let delete = async {
            let results = self.client.delete_topics(&doomed, &options()).await;
            each_topic(DELETE_TOPICS, results, &[RDKafkaErrorCode::UnknownTopicOrPartition])
        };
        let deleted = self.made(DELETE_TOPICS, names, delete).await;
        self.forget(names.to_vec());
        deleted
    }

    /// First, committed and end offsets of a group in every given partition.
    pub async fn offsets(&self, group: String, partitions: Vec<(String, i32)>) -> Result<Vec<PartitionOffsets>, Error> {
        let groups = Arc::clone(&self.groups);
        let about = vec![group.clone()];
        let turn = groups.turn(TIMEOUT).await?;
        let ask = move |client: &_| {
            let _turn = turn;
            groups.offsets(client, &group, &partitions, TIMEOUT)
        };
        self.blocking("ListOffsets", about, ask).await
    }

    /// Topics were changed by us.
    fn forget(&self, names: Vec<String>) {
        let now = Instant::now();
        self.known_configs.forget(names.iter().cloned().map(Configurable::Topic), now);
        self.known_topics.forget(names, now);
    }

    /// The native calls block, so they run on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        call: &'static str,
        about: Vec<String>,
        work: impl FnOnce(&AdminClient<DefaultClientContext>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let client = Arc::clone(&self.client);
        let working = async {
            match tokio::task::spawn_blocking(move || work(&client)).await {
                Ok(result) => result,
                Err(error) => Err(Error::Call { call, reason: error.to_string() }),
            }
        };
        self.made(call, about, working).await
    }

    /// A call that has ended; one that found no connection with the cause in place of "timed out".
    fn explained<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let mut known = self.cause.lock().unwrap_or_else(PoisonError::into_inner);
        let logged = native::logged_cause(&self.client);
        match result {
            Err(Error::Call { call, reason }) => {
                *known = logged.or_else(|| known.take());
                Err(known.clone().map_or(Error::Call { call, reason }, |cause| cause.into_error(call)))
            }
            other => {
                *known = None;
                other
            }
        }
    }
}

/// All of it, unless one of them is refused.
fn each<K: Ord, V>(found: Found<K, V>) -> Result<BTreeMap<K, V>, Error> {
    found.into_iter().map(|(key, value)| Ok((key, value?))).collect()
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT))
}

fn each_topic(
    call: &'static str,
    results: rdkafka::error::KafkaResult<Vec<rdkafka::admin::TopicResult>>,
    fine: &[RDKafkaErrorCode],
) -> Result<(), Error> {
    let results = results.map_err(|error| Error::Call { call, reason: error.to_string() })?;
    for result in results {
        match result {
            Err((topic, code)) if !fine.contains(&code) => {
                return Err(Error::refused(call, topic, code, code.to_string()));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
