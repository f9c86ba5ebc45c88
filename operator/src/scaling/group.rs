//! The consumer group, as its members tell it: each processor says which partitions it reads.
//!
//! Not asked of the brokers: librdkafka aborts the process when a call that asks a group's coordinator outlives the broker
//! (librdkafka issue 4605), and what processors tell is the same for every group protocol, in a cluster and without one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use autoscaler::{Group, GroupState, Lane, Processor, Signal};
use jiff::Timestamp;

/// Which processors read a partition, by topic and number.
type Owners = BTreeMap<(String, i32), Vec<String>>;

/// Counts how often the partitions were given out anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignments {
    owners: Owners,
    members: BTreeSet<String>,
    epoch: i64,
}

impl Assignments {
    /// The group, from what every processor that is ready tells and the partitions that there are. What nobody claims is
    /// taken to be read by those that are silent, if there are any: one with too much to do for an answer must not keep
    /// others from helping it. An answer older than `stale_after` is none.
    pub fn group(
        &mut self,
        at: Timestamp,
        stale_after: Duration,
        processors: &[Processor],
        lanes: &[Lane],
    ) -> Signal<Group> {
        let (mut owners, mut most_partitions) = (Owners::new(), 0);
        for lane in lanes {
            match &lane.partitions {
                Signal::Known { value, .. } => {
                    most_partitions = most_partitions.max(value.len());
                    owners
                        .extend(value.iter().map(|partition| ((lane.topic.clone(), partition.partition), Vec::new())));
                }
                Signal::Unknown { why } => return Signal::Unknown { why: why.clone() },
            }
        }
        let (mut oldest, mut members, mut silent) = (at, BTreeSet::new(), BTreeMap::<_, &str>::new());
        for Processor { pod, load, .. } in processors {
            let load = match load {
                Signal::Known { at: seen, value } if at.duration_since(*seen).unsigned_abs() <= stale_after => {
                    oldest = oldest.min(*seen);
                    value
                }
                Signal::Known { .. } => {
                    silent.insert(pod.clone(), "its answer is old");
                    continue;
                }
                Signal::Unknown { why } => {
                    silent.insert(pod.clone(), why);
                    continue;
                }
            };
            for lane in &load.lanes {
                for partition in &lane.partitions {
                    owners.entry((lane.topic.clone(), partition.partition)).or_default().push(pod.clone());
                    members.insert(pod.clone());
                }
            }
        }
        if processors.len() > most_partitions {
            // Not all of them can have a partition: that one without comes or goes shows in nothing else.
            members.extend(processors.iter().map(|processor| processor.pod.clone()));
        }
        members.extend(self.members.iter().filter(|member| silent.contains_key(*member)).cloned());
        if let (Some((pod, why)), true) = (silent.first_key_value(), silent.len() == processors.len())
            && !silent.keys().any(|pod| self.members.contains(pod))
        {
            return Signal::Unknown { why: format!("{pod} does not tell what it reads: {why}") };
        }
        for (partition, readers) in owners.iter_mut().filter(|(_, readers)| readers.is_empty()) {
            let before = self.owners.get(partition).into_iter().flatten();
            readers.extend(before.filter(|reader| silent.contains_key(*reader)).cloned());
        }
        let is_settled = |readers: &Vec<String>| match readers.len() {
            0 => !silent.is_empty(),
            readers => readers == 1,
        };
        let state = if processors.is_empty() {
            GroupState::Empty
        } else if owners.values().all(is_settled) {
            GroupState::Stable
        } else {
            GroupState::Rebalancing
        };
        if owners != self.owners || members != self.members {
            self.epoch += 1;
            (self.owners, self.members) = (owners, members);
        }
        let count = u32::try_from(processors.len()).unwrap_or(u32::MAX);
        Signal::Known { at: oldest, value: Group { state, members: count, epoch: Some(self.epoch) } }
    }
}

#[cfg(test)]
mod tests {
    use autoscaler::PartitionOffsets;
    use contract::{LaneLoad, Load, PartitionLoad};

    use super::*;

    const STALE: Duration = Duration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn lanes(partitions: i32) -> Vec<Lane> {
        let offsets = |partition| PartitionOffsets {
            partition,
            earliest: 0,
            committed: None,
            end: 0,
            finished_beyond: 0,
            delayed: 0,
        };
        let value = (0..partitions).map(offsets).collect();
        vec![Lane { topic: "sms.requests".to_owned(), partitions: Signal::Known { at: at(9), value } }]
    }

    fn processor(pod: &str, partitions: &[i32]) -> Processor {
        let partition = |&partition: &i32| PartitionLoad { partition, position: None, finished_beyond: 0 };
        let lane = LaneLoad {
            topic: "sms.requests".to_owned(),
            processed: 0,
            failed: 0,
            busy_seconds: 0.0,
            in_flight: 0,
            throttled_seconds: 0.0,
            oldest_unfinished_seconds: None,
            partitions: partitions.iter().map(partition).collect(),
        };
        let load = Load { at: at(0), since: at(0), max_in_flight: 1, cpu: None, lanes: vec![lane] };
        Processor { pod: pod.to_owned(), load: Signal::Known { at: at(8), value: load } }
    }

    #[track_caller]
    fn check(assignments: &mut Assignments, processors: &[Processor], state: GroupState, members: u32, epoch: i64) {
        let expected = Group { state, members, epoch: Some(epoch) };
        let Signal::Known { value, .. } = assignments.group(at(9), STALE, processors, &lanes(2)) else {
            panic!("known")
        };
        assert_eq!(value, expected);
    }

    #[test]
    fn a_group_is_at_rest_when_every_partition_is_read_by_exactly_one() {
        let mut assignments = Assignments::default();
        check(&mut assignments, &[], GroupState::Empty, 0, 1);
        check(&mut assignments, &[processor("a", &[0, 1])], GroupState::Stable, 1, 2);
        check(&mut assignments, &[processor("a", &[0]), processor("b", &[1])], GroupState::Stable, 2, 3);
        check(&mut assignments, &[processor("a", &[0]), processor("b", &[])], GroupState::Rebalancing, 2, 4);
        check(&mut assignments, &[processor("a", &[0, 1]), processor("b", &[1])], GroupState::Rebalancing, 2, 5);
    }

    #[test]
    fn the_epoch_stands_still_as_long_as_nobody_reads_another_partition() {
        let mut assignments = Assignments::default();
        for _ in 0..3 {
            check(&mut assignments, &[processor("a", &[0, 1])], GroupState::Stable, 1, 1);
        }
    }

    fn silent(pod: &str) -> Processor {
        let load = Signal::Unknown { why: "no answer".to_owned() };
        Processor { pod: pod.to_owned(), load }
    }

    #[test]
    fn what_nobody_claims_is_read_by_who_is_silent() {
        let mut assignments = Assignments::default();
        check(&mut assignments, &[processor("a", &[0]), processor("b", &[1])], GroupState::Stable, 2, 1);
        // It has not lost its partition, so nothing was given out anew.
        check(&mut assignments, &[processor("a", &[0]), silent("b")], GroupState::Stable, 2, 1);
        check(&mut assignments, &[silent("a"), silent("b")], GroupState::Stable, 2, 1);
        let mut old = processor("b", &[1]);
        if let Signal::Known { at: seen, .. } = &mut old.load {
            *seen = at(3);
        }
        check(&mut assignments, &[processor("a", &[0]), old], GroupState::Stable, 2, 1);
        check(&mut assignments, &[processor("a", &[0, 1]), silent("b")], GroupState::Stable, 2, 2);
    }

    #[test]
    fn two_that_claim_one_partition_are_not_at_rest_whoever_is_silent() {
        let processors = [processor("a", &[0]), processor("b", &[0]), silent("c")];
        check(&mut Assignments::default(), &processors, GroupState::Rebalancing, 3, 1);
    }

    #[test]
    fn where_nobody_has_ever_told_anything_the_group_is_unknown() {
        let group = Assignments::default().group(at(9), STALE, &[silent("a")], &lanes(1));
        assert_eq!(group, Signal::Unknown { why: "a does not tell what it reads: no answer".to_owned() });
    }

    #[test]
    fn processors_without_a_partition_that_go_are_noticed_and_those_that_have_none_yet_are_not() {
        let mut assignments = Assignments::default();
        let (a, b) = (|| processor("a", &[0]), || processor("b", &[1]));
        check(&mut assignments, &[a(), b(), processor("c", &[])], GroupState::Stable, 3, 1);
        check(&mut assignments, &[a(), b()], GroupState::Stable, 2, 2);
        let mut assignments = Assignments::default();
        let alone = || processor("a", &[0, 1]);
        check(&mut assignments, &[alone()], GroupState::Stable, 1, 1);
        check(&mut assignments, &[alone(), processor("b", &[])], GroupState::Stable, 2, 1);
    }

    #[test]
    fn a_group_is_as_old_as_the_oldest_answer() {
        let Signal::Known { at: seen, .. } =
            Assignments::default().group(at(9), STALE, &[processor("a", &[0])], &lanes(1))
        else {
            panic!("known")
        };
        assert_eq!(seen, at(8));
    }
}
