//! How we stand in the consumer group, and how the health check tells it.
//!
//! librdkafka says it in pieces: assignments, errors and statistics. Knows nothing of records and offsets.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::{
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::RDKafkaErrorCode,
};
use serde::Deserialize;
use telemetry::Check;

use super::lanes::{Lane, Lanes, Partition};

/// How long a broker may take to say whether a topic exists; nothing is committed meanwhile.
const METADATA_TIMEOUT: Duration = Duration::from_millis(500);

/// What librdkafka has told of the membership.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    joined: bool,
    /// Lanes whose topic existed when the assignment last changed, or since.
    seen: BTreeSet<Lane>,
    last_error: Option<String>,
}

impl Membership {
    /// The group has taken us.
    pub fn joined(&mut self) {
        self.joined = true;
        self.last_error = None;
    }

    /// These are all partitions that are ours now. Which topics exist may have changed as well.
    pub fn assigned(&mut self, partitions: &[Partition]) {
        self.seen = partitions.iter().map(|partition| partition.lane).collect();
    }

    /// librdkafka has reported an error.
    pub fn failed(&mut self, reason: &str) {
        // What follows differs each time: how long it took, and how often it happened.
        self.last_error = Some(reason.split(" (after ").next().unwrap_or(reason).to_owned());
    }

    /// librdkafka has told its statistics.
    pub fn follow(&mut self, statistics: &[u8]) {
        match serde_json::from_slice::<Statistics>(statistics) {
            Ok(statistics) => {
                self.joined = statistics.cgrp.is_some_and(|group| group.is_joined());
                if self.joined {
                    self.last_error = None;
                }
            }
            Err(error) => tracing::warn!(%error, "librdkafka's statistics cannot be read"),
        }
    }

    /// Tells `check` how we stand; may wait for a broker.
    pub fn show<C: ConsumerContext>(&mut self, check: &Check, consumer: &BaseConsumer<C>, lanes: &Lanes) {
        if !self.joined {
            let reason = self.last_error.as_deref().unwrap_or("has not joined the consumer group yet");
            check.down(reason.to_owned());
        } else if let Some(topic) = self.missing_topic(consumer, lanes) {
            check.down(format!("topic {topic:?} does not exist"));
        } else {
            check.up();
        }
    }

    /// The first topic that a broker says does not exist. Without partitions of a lane there may be too few for
    /// everybody, or no topic at all: the group does not tell. A topic that was seen is not asked for again,
    /// because commits wait for the answer; asking for one that is missing also makes librdkafka find it soon
    /// after it is made, not at its next look in five minutes.
    fn missing_topic<'a, C: ConsumerContext>(
        &mut self,
        consumer: &BaseConsumer<C>,
        lanes: &'a Lanes,
    ) -> Option<&'a str> {
        for lane in Lane::ALL {
            if !self.seen.contains(&lane) {
                let topic = lanes.topic(lane);
                match look_for(consumer, topic) {
                    Found::Topic => self.seen.insert(lane),
                    Found::NoTopic => return Some(topic),
                    Found::NoAnswer => return None,
                };
            }
        }
        None
    }
}

/// How many partitions all lanes have together; `None` without an answer.
pub fn count_partitions<C: ConsumerContext>(consumer: &BaseConsumer<C>, lanes: &Lanes) -> Option<u32> {
    let partitions = Lane::ALL.map(|lane| {
        let metadata = consumer.fetch_metadata(Some(lanes.topic(lane)), METADATA_TIMEOUT).ok()?;
        // One that is only missing has none; of any other error the number is not known.
        let errors = metadata.topics().iter().filter_map(|topic| topic.error().map(RDKafkaErrorCode::from));
        if errors.into_iter().any(|error| error != RDKafkaErrorCode::UnknownTopicOrPartition) {
            return None;
        }
        u32::try_from(metadata.topics().iter().map(|topic| topic.partitions().len()).sum::<usize>()).ok()
    });
    partitions.into_iter().sum()
}

/// What a broker says of a topic.
enum Found {
    Topic,
    NoTopic,
    NoAnswer,
}

fn look_for<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> Found {
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT) else { return Found::NoAnswer };
    let unknown = Some(RDKafkaErrorCode::UnknownTopicOrPartition);
    let missing = metadata.topics().iter().any(|topic| topic.error().map(RDKafkaErrorCode::from) == unknown);
    if missing { Found::NoTopic } else { Found::Topic }
}

/// The part of librdkafka's statistics that tells of the group. Source: librdkafka, `STATISTICS.md`.
#[derive(Debug, Deserialize)]
struct Statistics {
    cgrp: Option<GroupStatistics>,
}

#[derive(Debug, Deserialize)]
struct GroupStatistics {
    state: String,
    join_state: String,
}

impl GroupStatistics {
    /// A coordinator is connected, and no step of joining is under way. With KIP-848 a member that gets no
    /// partitions stays in the initial state.
    fn is_joined(&self) -> bool {
        self.state == "up" && matches!(self.join_state.as_str(), "steady" | "init")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(statistics: &str, expected: bool) {
        let mut membership = Membership { joined: !expected, ..Membership::default() };
        membership.follow(statistics.as_bytes());
        assert_eq!(membership.joined, expected, "{statistics}");
    }

    #[test]
    fn a_member_is_one_with_a_coordinator_and_no_step_of_joining_under_way() {
        check(r#"{"cgrp":{"state":"up","join_state":"steady"}}"#, true);
        check(r#"{"cgrp":{"state":"up","join_state":"init"}}"#, true);
        check(r#"{"cgrp":{"state":"up","join_state":"wait-join"}}"#, false);
        check(r#"{"cgrp":{"state":"wait-coord","join_state":"init"}}"#, false);
        check("{}", false);
    }

    #[test]
    fn an_error_is_told_the_same_however_often_it_comes_until_the_group_takes_us() {
        let mut membership = Membership::default();
        membership.failed("Connection refused (after 3ms in state CONNECT, 7 identical error(s) suppressed)");
        assert_eq!(membership.last_error.as_deref(), Some("Connection refused"));
        membership.joined();
        assert_eq!(membership.last_error, None);
    }
}
