//! What has to be done so that topics are as wanted, and what may not be done. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use kafka::{Config, NewTopic, TopicDescription};

use crate::{
    controller::reasons::{self, Reason},
    controller::validate::WantedTopics,
    crd::{PartitionGrowth, TopicStatus},
};

/// The annotation that says which topics are fine although they are not those that the status remembers: ids separated
/// by commas, of a topic that was made anew, or after [`GONE`] of one that is gone.
pub const ACCEPT_TOPICS: &str = "smspipeline.dev/accept-topics";
/// What stands before the id of a topic that may be made again.
const GONE: &str = "gone:";

/// A topic as Kafka tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Identity and shape.
    pub description: TopicDescription,
    /// All its settings.
    pub config: Config,
}

/// Which topics the pipeline has used so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownTopics {
    /// Those that the status remembers.
    pub remembered: Vec<TopicStatus>,
    /// What was accepted with [`ACCEPT_TOPICS`]: ids of new topics, and those of old ones after [`GONE`].
    pub accepted: BTreeSet<String>,
}

/// What has to be done so that the topics are as wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Topics to create.
    pub create: Vec<NewTopic>,
    /// Topics to grow, each with its new number of partitions.
    pub grow: Vec<(String, i32)>,
    /// Settings to set, by topic.
    pub alter: BTreeMap<String, BTreeMap<&'static str, String>>,
    /// What is not as wanted and may not be changed.
    pub refused: Vec<Difference>,
}

/// What is not as wanted and may not be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Another topic has the name of one that the pipeline used.
    Recreated {
        /// The name.
        topic: String,
        /// The id that the status remembers.
        remembered: String,
        /// The id now.
        found: String,
    },
    /// A topic that the pipeline used is gone.
    Vanished {
        /// Its name.
        topic: String,
        /// The id that the status remembers.
        remembered: String,
    },
    /// A topic is kept on fewer brokers than wanted.
    ReplicationFactor {
        /// Its name.
        topic: String,
        /// How many keep it.
        found: i32,
        /// How many should.
        wanted: i32,
    },
    /// A topic has fewer partitions than wanted and may not grow.
    Growth {
        /// Its name.
        topic: String,
        /// How many it has.
        found: i32,
        /// How many it should have.
        wanted: i32,
    },
}

impl Difference {
    /// The name of the topic.
    pub fn topic(&self) -> &str {
        match self {
            Self::Recreated { topic, .. }
            | Self::Vanished { topic, .. }
            | Self::ReplicationFactor { topic, .. }
            | Self::Growth { topic, .. } => topic,
        }
    }

    /// The reason that the condition tells.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Recreated { .. } => reasons::TOPIC_RECREATED,
            Self::Vanished { .. } => reasons::TOPIC_VANISHED,
            Self::ReplicationFactor { .. } => reasons::REPLICATION_FACTOR_DIFFERS,
            Self::Growth { .. } => reasons::PARTITION_GROWTH_FORBIDDEN,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recreated { topic, remembered, found } => write!(
                formatter,
                "topic {topic:?} is not the one that this pipeline used: its id was {remembered} and is {found}, so it was \
                 deleted and made again, or spec.kafka.bootstrapServers leads to another cluster; if that is as it should \
                 be, add {found:?} to the annotation {ACCEPT_TOPICS} (ids separated by commas)"
            ),
            Self::Vanished { topic, remembered } => write!(
                formatter,
                "topic {topic:?} is gone: it was deleted, or spec.kafka.bootstrapServers leads to another cluster; to have an \
                 empty one made, add \"{GONE}{remembered}\", with the id that it had, to the annotation {ACCEPT_TOPICS} \
                 (separated by commas)"
            ),
            Self::ReplicationFactor { topic, found, wanted } => write!(
                formatter,
                "topic {topic:?} is kept on {found} brokers and spec.kafka.topics.replicationFactor wants {wanted}: reassign \
                 its partitions with Kafka's own tools"
            ),
            Self::Growth { topic, found, wanted } => write!(
                formatter,
                "topic {topic:?} has {found} partitions and spec.kafka.topics.partitions wants {wanted}: set \
                 partitionGrowth: Acknowledge to grow it"
            ),
        }
    }
}

/// What has to be done, given what Kafka tells and what is known. Nothing at all as long as a topic is not the one that
/// it was: whoever looks into it should find everything as it is.
pub fn plan(wanted: &WantedTopics, known: &KnownTopics, found: &BTreeMap<String, Found>) -> Plan {
    let refused: Vec<_> = wanted.all().iter().filter_map(|topic| stranger(&topic.name, known, found)).collect();
    let mut plan = Plan { refused, ..Plan::default() };
    if !plan.refused.is_empty() {
        return plan;
    }
    for topic in wanted.all() {
        match found.get(&topic.name) {
            None => plan.create.push(topic.clone()),
            Some(found) => plan.compare(topic, found, wanted.growth),
        }
    }
    plan
}

fn stranger(name: &str, known: &KnownTopics, found: &BTreeMap<String, Found>) -> Option<Difference> {
    let remembered = &known.remembered.iter().find(|topic| topic.name == name)?.topic_id;
    let found = found.get(name).map(|found| &found.description.topic_id);
    // A word of its own: the id of a topic that was accepted as a new one says nothing of what follows that one.
    if found == Some(remembered) || known.accepted.contains(&format!("{GONE}{remembered}")) {
        return None;
    }
    let (topic, remembered) = (name.to_owned(), remembered.clone());
    match found {
        None => Some(Difference::Vanished { topic, remembered }),
        Some(found) if known.accepted.contains(found) => None,
        Some(found) => Some(Difference::Recreated { topic, remembered, found: found.clone() }),
    }
}

impl Plan {
    fn compare(&mut self, wanted: &NewTopic, found: &Found, growth: PartitionGrowth) {
        let topic = wanted.name.clone();
        let Found { description, config } = found;
        // On more brokers than wanted it is only safer.
        if description.replication_factor >= wanted.replication_factor {
            let differs = |(name, value): &(&&'static str, &String)| config.get(**name) != Some(*value);
            let settings: BTreeMap<_, _> =
                wanted.config.iter().filter(differs).map(|(name, value)| (*name, value.clone())).collect();
            if !settings.is_empty() {
                self.alter.insert(topic.clone(), settings);
            }
        } else {
            // Nor are its settings touched: how many copies a write needs depends on how many there are.
            let (found, wanted) = (description.replication_factor, wanted.replication_factor);
            self.refused.push(Difference::ReplicationFactor { topic: topic.clone(), found, wanted });
        }
        // More partitions than wanted are left alone: Kafka cannot take them away.
        if description.partitions < wanted.partitions {
            let (found, wanted) = (description.partitions, wanted.partitions);
            match growth {
                PartitionGrowth::Acknowledge => self.grow.push((topic, wanted)),
                PartitionGrowth::Forbid => self.refused.push(Difference::Growth { topic, found, wanted }),
            }
        }
    }
}

/// Those of the remembered topics that are wanted and still the same: what may be deleted with the pipeline.
pub fn deletable(
    wanted: &WantedTopics,
    remembered: &[TopicStatus],
    found: &BTreeMap<String, TopicDescription>,
) -> Vec<String> {
    let is_the_same = |topic: &&TopicStatus| {
        wanted.all().iter().any(|wanted| wanted.name == topic.name)
            && found.get(&topic.name).is_some_and(|found| found.topic_id == topic.topic_id)
    };
    remembered.iter().filter(is_the_same).map(|topic| topic.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crd::Topics;

    const NAMES: [&str; 4] = ["sms.requests", "sms.high-priority", "sms.low-priority", "sms-requests-dlq"];

    fn wanted(partitions: i32, partition_growth: PartitionGrowth) -> WantedTopics {
        WantedTopics::from(&Topics { partitions, partition_growth, ..Topics::default() })
    }

    fn id(name: &str) -> String {
        format!("id-of-{name}")
    }

    /// Topics as the operator would have made them, with settings of somebody else beside.
    fn found(partitions: i32) -> BTreeMap<String, Found> {
        let describe = |topic: &NewTopic| {
            let (partitions, replication_factor) = (topic.partitions, topic.replication_factor);
            let mut config: Config =
                topic.config.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            config.insert("segment.bytes".to_owned(), "1000000".to_owned());
            let description =
                TopicDescription { topic_id: id(&topic.name), partitions, replication_factor, leader: Some(1) };
            (topic.name.clone(), Found { description, config })
        };
        wanted(partitions, PartitionGrowth::Forbid).all().map(describe).into()
    }

    fn known(accepted: &[&str]) -> KnownTopics {
        let remember = |name: &str| TopicStatus { name: name.to_owned(), topic_id: id(name), partitions: 6 };
        let accepted = accepted.iter().map(|id| (*id).to_owned()).collect();
        KnownTopics { remembered: NAMES.map(remember).into(), accepted }
    }

    fn planned(wanted: &WantedTopics, found: &BTreeMap<String, Found>) -> Plan {
        plan(wanted, &known(&[]), found)
    }

    #[test]
    fn every_missing_topic_is_created_at_first() {
        let plan = plan(&wanted(6, PartitionGrowth::Forbid), &KnownTopics::default(), &BTreeMap::new());
        let created: Vec<_> = plan.create.iter().map(|topic| (topic.name.as_str(), topic.partitions)).collect();
        let expected =
            [("sms.requests", 6), ("sms.high-priority", 6), ("sms.low-priority", 6), ("sms-requests-dlq", 1)];
        assert_eq!(created, expected);
    }

    #[test]
    fn topics_as_wanted_are_left_alone_with_the_settings_that_the_pipeline_does_not_name() {
        assert_eq!(planned(&wanted(6, PartitionGrowth::Acknowledge), &found(6)), Plan::default());
    }

    #[test]
    fn topics_grow_when_that_is_acknowledged() {
        let plan = planned(&wanted(8, PartitionGrowth::Acknowledge), &found(6));
        let names: Vec<_> = plan.grow.iter().map(|(name, partitions)| (name.as_str(), *partitions)).collect();
        assert_eq!(names, [("sms.requests", 8), ("sms.high-priority", 8), ("sms.low-priority", 8)]);
        assert!(plan.create.is_empty() && plan.refused.is_empty() && plan.alter.is_empty());
    }

    #[test]
    fn topics_that_may_not_grow_are_refused_with_the_field_to_change() {
        let plan = planned(&wanted(8, PartitionGrowth::Forbid), &found(6));
        assert!(plan.grow.is_empty());
        assert_eq!(plan.refused.len(), 3);
        assert_eq!(
            plan.refused[0].to_string(),
            r#"topic "sms.requests" has 6 partitions and spec.kafka.topics.partitions wants 8: set partitionGrowth: Acknowledge to grow it"#
        );
    }

    #[test]
    fn topics_with_more_partitions_than_wanted_never_shrink() {
        assert_eq!(planned(&wanted(6, PartitionGrowth::Acknowledge), &found(12)), Plan::default());
    }

    #[test]
    fn only_the_settings_that_differ_are_set() {
        let mut found = found(6);
        let config = &mut found.get_mut("sms.requests").expect("there").config;
        config.insert("retention.ms".to_owned(), "1".to_owned());
        let plan = planned(&wanted(6, PartitionGrowth::Forbid), &found);
        let settings = BTreeMap::from([("retention.ms", "604800000".to_owned())]);
        assert_eq!(plan, Plan { alter: BTreeMap::from([("sms.requests".to_owned(), settings)]), ..Plan::default() });
    }

    #[test]
    fn a_topic_kept_on_another_number_of_brokers_is_refused_and_its_settings_are_left_alone() {
        let mut found = found(6);
        let requests = found.get_mut("sms.requests").expect("there");
        requests.description.replication_factor = 1;
        requests.config.insert("min.insync.replicas".to_owned(), "1".to_owned());
        let plan = planned(&wanted(6, PartitionGrowth::Forbid), &found);
        let difference = Difference::ReplicationFactor { topic: "sms.requests".to_owned(), found: 1, wanted: 3 };
        assert_eq!(plan, Plan { refused: vec![difference], ..Plan::default() });
        assert!(plan.refused[0].to_string().contains("spec.kafka.topics.replicationFactor wants 3"));
    }

    #[test]
    fn a_topic_made_anew_behind_our_back_is_refused_and_nothing_is_touched_until_it_is_accepted() {
        let mut found = found(6);
        found.get_mut("sms.requests").expect("there").description.topic_id = "new".to_owned();
        let wanted = wanted(8, PartitionGrowth::Acknowledge);
        let plan = planned(&wanted, &found);
        let difference = Difference::Recreated {
            topic: "sms.requests".to_owned(),
            remembered: id("sms.requests"),
            found: "new".to_owned(),
        };
        assert!(difference.to_string().contains(r#"add "new" to the annotation smspipeline.dev/accept-topics"#));
        assert_eq!(plan, Plan { refused: vec![difference], ..Plan::default() });
        let accepted = super::plan(&wanted, &known(&["new"]), &found);
        assert!(accepted.refused.is_empty() && accepted.grow.len() == 3, "{accepted:?}");
    }

    #[test]
    fn a_topic_that_is_gone_is_made_again_only_when_that_is_accepted() {
        let mut found = found(6);
        found.remove("sms.requests");
        let wanted = wanted(6, PartitionGrowth::Forbid);
        let remembered = id("sms.requests");
        let difference = Difference::Vanished { topic: "sms.requests".to_owned(), remembered: remembered.clone() };
        assert_eq!(planned(&wanted, &found), Plan { refused: vec![difference.clone()], ..Plan::default() });
        assert!(difference.to_string().contains(r#"add "gone:id-of-sms.requests", with the id"#), "{difference}");
        let is_gone = format!("{GONE}{remembered}");
        let accepted = plan(&wanted, &known(&[&is_gone]), &found);
        assert_eq!(accepted, Plan { create: vec![wanted.requests.clone()], ..Plan::default() });
        // And the one that was made for it is taken in the next round.
        let mut found = self::found(6);
        found.get_mut("sms.requests").expect("there").description.topic_id = "new".to_owned();
        assert_eq!(plan(&wanted, &known(&[&is_gone]), &found), Plan::default());
    }

    #[test]
    fn to_accept_a_topic_says_nothing_of_what_follows_it() {
        let wanted = wanted(6, PartitionGrowth::Forbid);
        let was_accepted = known(&[&id("sms.requests")]);
        let mut found = found(6);
        found.get_mut("sms.requests").expect("there").description.topic_id = "newer".to_owned();
        assert!(matches!(plan(&wanted, &was_accepted, &found).refused[..], [Difference::Recreated { .. }]));
        found.remove("sms.requests");
        assert!(matches!(plan(&wanted, &was_accepted, &found).refused[..], [Difference::Vanished { .. }]));
    }

    #[test]
    fn only_topics_that_are_still_the_same_are_deleted() {
        let wanted = wanted(6, PartitionGrowth::Forbid);
        let mut described: BTreeMap<_, _> =
            found(6).into_iter().map(|(name, found)| (name, found.description)).collect();
        described.get_mut("sms.requests").expect("there").topic_id = "new".to_owned();
        described.remove("sms.high-priority");
        let mut remembered = known(&[]).remembered;
        remembered.push(TopicStatus { name: "foreign".to_owned(), topic_id: id("foreign"), partitions: 1 });
        let foreign = described["sms.low-priority"].clone();
        described.insert("foreign".to_owned(), TopicDescription { topic_id: id("foreign"), ..foreign });
        assert_eq!(deletable(&wanted, &remembered, &described), ["sms.low-priority", "sms-requests-dlq"]);
    }
}
