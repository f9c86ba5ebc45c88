mod configs;
mod gather;
mod log;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewPartitions, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    types::RDKafkaErrorCode,
};

use gather::{Asker, Gathering};

use crate::{
    Error, Settings,
    cause::Cause,
    native::{self, TopicDescription},
    offsets::{Groups, PartitionOffsets},
};

pub use configs::{Config, Configurable};
pub(crate) use gather::Descriptions;
pub use log::Entry;

/// How long a broker may take to answer one admin call.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Kafka's admin calls. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<DefaultClientContext>>,
    groups: Arc<Groups>,
    settings: Arc<Settings>,
    gathering: Arc<Gathering>,
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
        Ok(Self { client: Arc::new(client), groups, settings, gathering: Arc::default(), cause: Arc::default() })
    }

    /// The topics of `names` that exist. Never creates one, whatever the broker's auto-creation says.
    /// Asked together with what others ask at the same moment.
    pub async fn describe_topics(&self, names: Vec<String>) -> Result<BTreeMap<String, TopicDescription>, Error> {
        let (asker, answer) = self.gathering.add(names);
        if asker == Asker::You {
            let admin = self.clone();
            // Apart from whoever asks, who may stop waiting while others go on.
            tokio::spawn(async move {
                tokio::time::sleep(gather::LINGER).await;
                admin.ask_gathered().await;
            });
        }
        let gone = |_| Err(Error::Call { call: "DescribeTopics", reason: "nobody asks any more".to_owned() });
        answer.await.unwrap_or_else(gone)
    }

    async fn ask_gathered(&self) {
        let questions = self.gathering.take();
        let names = questions.names();
        let ask = move |client: &_| native::describe_topics(client, &names, TIMEOUT);
        questions.answer(&self.blocking("DescribeTopics", ask).await);
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
        let results = self.client.create_topics(&new, &options()).await;
        self.explained(each_topic("CreateTopics", results, &[RDKafkaErrorCode::TopicAlreadyExists]))
    }

    /// Grows a topic to `partitions` in all. Kafka refuses to shrink one.
    pub async fn grow_topic(&self, name: &str, partitions: i32) -> Result<(), Error> {
        let count = usize::try_from(partitions).unwrap_or_default();
        let results = self.client.create_partitions(&[NewPartitions::new(name, count)], &options()).await;
        self.explained(each_topic("CreatePartitions", results, &[]))
    }

    /// Deletes topics with everything in them; one that is gone already is no error.
    pub async fn delete_topics(&self, names: &[String]) -> Result<(), Error> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let results = self.client.delete_topics(&names, &options()).await;
        self.explained(each_topic("DeleteTopics", results, &[RDKafkaErrorCode::UnknownTopicOrPartition]))
    }

    /// First, committed and end offsets of a group in every given partition.
    pub async fn offsets(&self, group: String, partitions: Vec<(String, i32)>) -> Result<Vec<PartitionOffsets>, Error> {
        let groups = Arc::clone(&self.groups);
        self.blocking("ListOffsets", move |client| groups.offsets(client, &group, &partitions, TIMEOUT)).await
    }

    /// The native calls block, so they run on a thread that may.
    async fn blocking<T: Send + 'static>(
        &self,
        call: &'static str,
        work: impl FnOnce(&AdminClient<DefaultClientContext>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let client = Arc::clone(&self.client);
        let result = match tokio::task::spawn_blocking(move || work(&client)).await {
            Ok(result) => result,
            Err(error) => Err(Error::Call { call, reason: error.to_string() }),
        };
        self.explained(result)
    }

    /// A call that found no connection, with the cause in place of "timed out".
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
