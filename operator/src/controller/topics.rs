//! The Kafka side of apply: topics that are missing are created, partitions that may grow are grown, settings that the
//! pipeline names are set.
//!
//! Never shrinks, and never touches a setting that the pipeline does not name. [`plan`] is pure; [`ensure`] does what
//! it says. Topics are deleted by [`delete`] only, for a pipeline that goes and asks for it.

mod group;
pub mod owners;
pub mod plan;
mod safety;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use kafka::{Admin, Config, Configurable};

use crate::{
    controller::validate::ValidatedKafka,
    crd::{GroupProtocol, TopicStatus},
};

use owners::{Claim, Claimant, TAKE_TOPICS_FROM};
use plan::{Difference, Found, Plan};
pub use safety::Safety;

/// Why the topics are not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Kafka did not do what it was asked for.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// The topics differ in a way that may not be changed.
    #[error("{}", sentences(.0))]
    Refused(Vec<Difference>),
    /// The topics belong to another pipeline.
    #[error(
        "topics with the prefix {prefix:?} belong to SmsPipeline {namespace}/{name} (uid {uid}), which claimed them first: \
         choose another spec.kafka.topics.prefix, or, if that pipeline is gone, add {uid:?} to the annotation \
         {TAKE_TOPICS_FROM}",
        namespace = owner.namespace,
        name = owner.name,
        uid = owner.uid
    )]
    OwnedByAnother {
        /// What their names start with.
        prefix: String,
        /// The other pipeline.
        owner: Claimant,
    },
    /// Topics were created and the broker asked does not tell of them yet.
    #[error("waiting for the new topics to be known by every broker")]
    Pending,
}

/// Topics as they are wanted, and what was found on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// The topics as Kafka tells them.
    pub topics: Vec<TopicStatus>,
    /// Settings that were set this time, a sentence for each topic or group.
    pub changed: Vec<String>,
    /// Whether the brokers' settings endanger messages, or why that is not known.
    pub safety: Result<Safety, String>,
}

/// That the topics are not as wanted.
#[derive(Debug)]
pub struct Unready {
    /// Why.
    pub problem: Problem,
    /// Those that are there and as they may be; `None` as long as it is not settled whose they are: until then nobody may
    /// read or write them.
    pub settled: Option<Vec<TopicStatus>>,
}

impl<P: Into<Problem>> From<P> for Unready {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), settled: None }
    }
}

/// The settings that keep what is written safe on so many brokers: with three copies or more, a write that only one broker
/// has is not yet safe.
pub fn durability(replication_factor: i32) -> BTreeMap<&'static str, String> {
    let in_sync = (replication_factor >= 3).then(|| ("min.insync.replicas", "2".to_owned()));
    in_sync.into_iter().collect()
}

/// Makes the topics as wanted and tells how they are then.
pub async fn ensure(admin: &Admin, kafka: &ValidatedKafka) -> Result<Topics, Unready> {
    let unclaimed = match &kafka.claim {
        Some(claim) => own(admin, claim).await?,
        None => None,
    };
    let (mut found, mut changed) = (BTreeMap::new(), Vec::new());
    if let Err(problem) = make(admin, kafka, &mut found, &mut changed).await {
        if let Problem::Refused(differences) = &problem {
            found.retain(|topic, _| differences.iter().all(|difference| difference.topic() != topic));
        }
        return Err(Unready { problem, settled: Some(statuses(found)) });
    }
    let safety = settle(admin, kafka, &found, &mut changed).await.map_err(|error| error.to_string());
    let safety = safety.map(|mut safety| {
        safety.notes.extend(unclaimed);
        safety
    });
    Ok(Topics { topics: statuses(found), changed, safety })
}

/// Makes the topics as wanted; `found` tells how they were seen last, also where that fails.
async fn make(
    admin: &Admin,
    kafka: &ValidatedKafka,
    found: &mut BTreeMap<String, Found>,
    changed: &mut Vec<String>,
) -> Result<(), Problem> {
    let (wanted, known) = (&kafka.topics, &kafka.known_topics);
    let names: Vec<String> = wanted.all().map(|topic| topic.name.clone()).into();
    *found = look(admin, &names).await?;
    let Plan { create, grow, alter, refused } = plan::plan(wanted, known, found);
    for topic in &create {
        tracing::info!(topic = topic.name, partitions = topic.partitions, "creating topic");
    }
    if !create.is_empty() {
        admin.create_topics(&create).await?;
    }
    for (topic, partitions) in &grow {
        tracing::info!(topic, partitions, "growing topic");
        admin.grow_topic(topic, *partitions).await?;
    }
    if !alter.is_empty() {
        let alter = alter.into_iter().map(|(topic, settings)| (Configurable::Topic(topic), settings)).collect();
        set(admin, alter, changed).await?;
    }
    if !create.is_empty() || !grow.is_empty() {
        *found = look(admin, &names).await?;
    }
    if !refused.is_empty() {
        return Err(Problem::Refused(refused));
    }
    if found.len() < names.len() {
        return Err(Problem::Pending);
    }
    Ok(())
}

fn statuses(found: BTreeMap<String, Found>) -> Vec<TopicStatus> {
    let status = |(name, Found { description, .. }): (String, Found)| TopicStatus {
        name,
        topic_id: description.topic_id,
        partitions: description.partitions,
    };
    found.into_iter().map(status).collect()
}

/// Proves that the topics are ours. A user of a Kafka that is not his own may not be allowed to record it, which is
/// told in a sentence and no reason to hold up his pipeline.
async fn own(admin: &Admin, claim: &Claim) -> Result<Option<String>, Problem> {
    match owners::claim(admin, claim).await {
        Ok(owner) if owner.uid == claim.claimant.uid => Ok(None),
        Ok(owner) => Err(Problem::OwnedByAnother { prefix: claim.prefix.clone(), owner }),
        Err(error @ kafka::Error::NotAllowed { .. }) => {
            Ok(Some(format!("whose the topics are is not recorded: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Sets what the group shall have, and judges the settings of the brokers by those of one. A user of a Kafka that is
/// not his own may not be allowed to read them, which is no reason to hold up his pipeline.
async fn settle(
    admin: &Admin,
    kafka: &ValidatedKafka,
    topics: &BTreeMap<String, Found>,
    changed: &mut Vec<String>,
) -> Result<Safety, kafka::Error> {
    let Some(broker) = topics.values().find_map(|topic| topic.description.leader) else {
        return Err(kafka::Error::Call { call: "DescribeConfigs", reason: "no partition has a leader".to_owned() });
    };
    let broker = one(admin, Configurable::Broker(broker)).await?;
    if kafka.group_protocol == GroupProtocol::Consumer {
        let group = Configurable::Group(kafka.consumer_group.clone());
        let settings = group::differing(&broker, &one(admin, group.clone()).await?);
        if !settings.is_empty() {
            set(admin, BTreeMap::from([(group, settings)]), changed).await?;
        }
    }
    Ok(safety::judge(&broker, topics, kafka.group_protocol))
}

/// Sets what differs, and tells so.
async fn set(
    admin: &Admin,
    settings: BTreeMap<Configurable, BTreeMap<&'static str, String>>,
    changed: &mut Vec<String>,
) -> Result<(), kafka::Error> {
    let sentence = |(what, settings): (&Configurable, &BTreeMap<&'static str, String>)| {
        let settings: Vec<_> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{what}: {}", settings.join(", "))
    };
    let sentences: Vec<_> = settings.iter().map(sentence).collect();
    for sentence in &sentences {
        tracing::info!("setting what differs for {sentence}");
    }
    admin.alter_configs(settings).await?;
    changed.extend(sentences);
    Ok(())
}

async fn one(admin: &Admin, resource: Configurable) -> Result<Config, kafka::Error> {
    Ok(admin.known_configs(vec![resource]).await?.pop().unwrap_or_default())
}

/// What has become of the topics of a pipeline that goes, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Those that are gone, also where that was so before.
    pub gone: Vec<String>,
    /// Those that are somebody else's and stay.
    pub kept: Vec<String>,
}

/// Deletes the topics of a pipeline that goes, with all that is in them. One that is no longer the topic that the status
/// remembers is somebody else's and stays, and so do all when another pipeline owns them.
/// Kafka deletes by name, so that between the look and the deletion a moment is left in which a topic can be replaced.
pub async fn delete(admin: &Admin, kafka: &ValidatedKafka) -> Result<Deleted, kafka::Error> {
    let (wanted, remembered) = (&kafka.topics, &kafka.known_topics.remembered);
    let names: Vec<_> = remembered.iter().map(|topic| topic.name.clone()).collect();
    let found = admin.describe_topics(names.clone()).await?;
    let is_owner = match &kafka.claim {
        // An earlier try may have taken the claim back already.
        Some(claim) if !found.is_empty() => owners::is_owner(admin, claim).await?,
        Some(_) | None => true,
    };
    let doomed = if is_owner { plan::deletable(wanted, remembered, &found) } else { Vec::new() };
    for topic in &doomed {
        tracing::info!(topic, "deleting topic");
    }
    if !doomed.is_empty() {
        admin.delete_topics(&doomed).await?;
    }
    let (kept, gone) = names.into_iter().partition(|name| found.contains_key(name) && !doomed.contains(name));
    Ok(Deleted { gone, kept })
}

/// As it was some seconds ago, which is soon enough to carry out an edit; what we have just done ourselves shows.
async fn look(admin: &Admin, names: &[String]) -> Result<BTreeMap<String, Found>, kafka::Error> {
    let described = admin.known_topics(names.to_vec()).await?;
    if described.is_empty() {
        return Ok(BTreeMap::new());
    }
    let topics = described.keys().map(|name| Configurable::Topic(name.clone())).collect();
    let configs = admin.known_configs(topics).await?;
    let found = described.into_iter().zip(configs);
    Ok(found.map(|((name, description), config)| (name, Found { description, config })).collect())
}

fn sentences(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
