//! How we stand in the consumer group, and how the health check tells it.
//!
//! librdkafka says it in pieces: assignments, errors and statistics. Knows nothing of records and offsets.

use std::time::Duration;

use rdkafka::{
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::RDKafkaErrorCode,
};
use serde::Deserialize;
use telemetry::Check;

/// How long a broker may take to say whether the topic exists; polling stands still meanwhile, which harms
/// nobody, since it is asked only without partitions.
const METADATA_TIMEOUT: Duration = Duration::from_millis(500);

/// What librdkafka has told of the membership.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    joined: bool,
    last_error: Option<String>,
}

impl Membership {
    /// The group has given us an assignment.
    pub fn assigned(&mut self) {
        self.joined = true;
        self.last_error = None;
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

    /// Tells `check` how a member with so many `partitions` of `topic` stands; may wait for a broker.
    pub fn show<C: ConsumerContext>(self, check: &Check, consumer: &BaseConsumer<C>, topic: &str, partitions: usize) {
        if !self.joined {
            check.down(self.last_error.unwrap_or_else(|| "has not joined the consumer group yet".to_owned()));
        } else if partitions > 0 || topic_exists(consumer, topic) {
            check.up();
        } else {
            check.down(format!("topic {topic:?} does not exist"));
        }
    }
}

/// Without partitions there may be too few for everybody, or no topic at all: the group does not tell.
fn topic_exists<C: ConsumerContext>(consumer: &BaseConsumer<C>, topic: &str) -> bool {
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT) else { return true };
    !metadata
        .topics()
        .iter()
        .any(|topic| topic.error().map(RDKafkaErrorCode::from) == Some(RDKafkaErrorCode::UnknownTopicOrPartition))
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
        membership.assigned();
        assert_eq!(membership.last_error, None);
    }
}
