//! The topics that are read, one for each priority, and what a partition is called among them.
//!
//! Pure: everything behind the poller knows partitions by their lane, not by the name of its topic.

use std::{fmt, sync::Arc};

/// A priority, and with it one of the topics that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// What must not wait.
    High,
    /// What nobody gave a priority.
    Normal,
    /// What may wait.
    Low,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];
}

/// The topic of every lane; no two are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Topic of [`Lane::High`].
    pub high: Arc<str>,
    /// Topic of [`Lane::Normal`].
    pub normal: Arc<str>,
    /// Topic of [`Lane::Low`].
    pub low: Arc<str>,
}

impl Lanes {
    /// The topic of a lane.
    pub const fn topic(&self, lane: Lane) -> &Arc<str> {
        match lane {
            Lane::High => &self.high,
            Lane::Normal => &self.normal,
            Lane::Low => &self.low,
        }
    }

    /// The partition that Kafka calls by this topic and number; `None` for a topic that is no lane.
    pub fn partition(&self, topic: &str, number: i32) -> Option<Partition> {
        let lane = Lane::ALL.into_iter().find(|&lane| &**self.topic(lane) == topic)?;
        Some(Partition { lane, number })
    }
}

/// One partition of one lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The lane.
    pub lane: Lane,
    /// The number of the partition in the lane's topic.
    pub number: i32,
}

/// Short, because logs list them.
impl fmt::Debug for Partition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}-{}", self.lane, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_found_by_its_topic_and_called_back_by_the_same() {
        let lanes = Lanes { high: "a.high".into(), normal: "a".into(), low: "a.low".into() };
        for (topic, lane) in [("a.high", Lane::High), ("a", Lane::Normal), ("a.low", Lane::Low)] {
            assert_eq!(lanes.partition(topic, 3), Some(Partition { lane, number: 3 }));
            assert_eq!(&**lanes.topic(lane), topic);
        }
        assert_eq!(lanes.partition("a.h", 3), None);
    }
}
