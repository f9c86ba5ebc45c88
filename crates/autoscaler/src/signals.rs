//! What the rule is told about the world, each part with the time at which it was so.

use std::time::Duration;

use contract::Load;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decision::SignalAge;

/// Something that was read, or could not be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal<T> {
    /// It was so.
    Known {
        /// When.
        at: Timestamp,
        /// What.
        value: T,
    },
    /// Nobody knows, which is something other than zero.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

impl<T> Signal<T> {
    /// The value, unless it is unknown or older than `oldest`; an error says which.
    pub(crate) fn fresh(&self, now: Timestamp, oldest: Duration) -> Result<&T, String> {
        match self {
            Signal::Known { at, value } if age_seconds(*at, now) <= oldest.as_secs_f64() => Ok(value),
            Signal::Known { at, .. } => Err(format!("is {:.0} s old", age_seconds(*at, now))),
            Signal::Unknown { why } => Err(format!("is unknown: {why}")),
        }
    }

    /// When it was read, if it was.
    pub(crate) fn at(&self) -> Option<Timestamp> {
        match self {
            Signal::Known { at, .. } => Some(*at),
            Signal::Unknown { .. } => None,
        }
    }
}

/// How old something is; nothing is younger than now.
pub(crate) fn age_seconds(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}

/// All that is known at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signals {
    /// The moment.
    pub at: Timestamp,
    /// How many replicas are asked for.
    pub replicas: u32,
    /// Until when somebody wants the count left as it is.
    pub hold_until: Option<Timestamp>,
    /// The pods of the processors.
    pub pods: Signal<Pods>,
    /// The consumer group.
    pub group: Signal<Group>,
    /// The topics that are read.
    pub lanes: Vec<Lane>,
    /// The pods that are ready, one by one.
    pub processors: Vec<Processor>,
}

impl Signals {
    /// How old each of them is.
    pub(crate) fn ages(&self) -> Vec<SignalAge> {
        let age = |name: String, at: Option<Timestamp>| SignalAge {
            name,
            age_seconds: at.map(|at| age_seconds(at, self.at)),
        };
        let mut ages = vec![age("pods".to_owned(), self.pods.at()), age("group".to_owned(), self.group.at())];
        ages.extend(self.lanes.iter().map(|lane| age(format!("topic {}", lane.topic), lane.partitions.at())));
        ages.extend(self.processors.iter().map(|pod| age(format!("pod {}", pod.pod), pod.load.at())));
        ages
    }
}

/// How many pods are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pods {
    /// They run and are ready.
    pub ready: u32,
    /// They start, or wait for a place to run.
    pub starting: u32,
    /// They end again and again.
    pub crash_looping: u32,
    /// They were told to end and finish what they have begun, so they may still be members of the group.
    pub draining: u32,
}

/// A consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its state.
    pub state: GroupState,
    /// How many members it has.
    pub members: u32,
    /// The number that grows whenever its members change (KIP-848); none where the broker does not tell.
    pub epoch: Option<i64>,
}

/// The state of a consumer group, in the words of Kafka's protocol where the rule makes a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupState {
    /// Every member has its partitions.
    Stable,
    /// It has no members (`Empty` and `Dead`).
    Empty,
    /// Partitions are given out anew (`PreparingRebalance`, `CompletingRebalance`, `Assigning`, `Reconciling`).
    Rebalancing,
}

/// A topic that is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Its name.
    pub topic: String,
    /// All of its partitions: one that is missing makes the whole unknown.
    pub partitions: Signal<Vec<PartitionOffsets>>,
}

/// How far one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOffsets {
    /// Its number.
    pub partition: i32,
    /// First offset that still exists.
    pub earliest: i64,
    /// Next offset the group reads; none before its first commit.
    pub committed: Option<i64>,
    /// Offset that the next record will get.
    pub end: i64,
    /// How many records behind the committed offset are finished, as the commit's metadata tells.
    pub finished_beyond: u64,
    /// How many records wait for a time that has not come: no backlog.
    pub delayed: u64,
}

/// A processor that is ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Processor {
    /// The name of its pod.
    pub pod: String,
    /// What it tells of itself.
    pub load: Signal<Load>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_unknown_is_no_value() {
        let at = Timestamp::from_second(100).expect("a time");
        let known = Signal::Known { at, value: 7 };
        let oldest = Duration::from_secs(30);
        assert_eq!(known.fresh(Timestamp::from_second(130).expect("a time"), oldest), Ok(&7));
        let stale = known.fresh(Timestamp::from_second(131).expect("a time"), oldest);
        assert_eq!(stale, Err("is 31 s old".to_owned()));
        let unknown = Signal::<u32>::Unknown { why: "no broker answers".to_owned() };
        assert_eq!(unknown.fresh(at, oldest), Err("is unknown: no broker answers".to_owned()));
    }

    #[test]
    fn a_clock_that_is_behind_makes_nothing_younger_than_now() {
        assert!(age_seconds(Timestamp::from_second(5).expect("a time"), Timestamp::UNIX_EPOCH).abs() < f64::EPSILON);
    }
}
