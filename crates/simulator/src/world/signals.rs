//! The world as the autoscaler is told of it.

use autoscaler::{Group, GroupState, Lane, PartitionOffsets, Pods, Processor, Signal, Signals};
use contract::{CpuLoad, LaneLoad, Load, PartitionLoad};
use jiff::{SignedDuration, Timestamp};

use super::{World, pods::State};

const TOPIC: &str = "sms.requests";

impl World<'_> {
    /// The signals of now. Commits are what processors have told a moment ago; here they tell at once.
    pub fn signals(&self) -> Signals {
        let at = time(self.second);
        let count = |is: fn(State) -> bool| self.pods.iter().filter(|pod| is(pod.state)).count() as u32;
        let pods = Pods {
            ready: self.ready(),
            starting: count(|state| matches!(state, State::Starting(_))),
            crash_looping: 0,
            draining: count(|state| matches!(state, State::Draining(_))),
        };
        let state = match self.members.len() {
            0 => GroupState::Empty,
            _ if self.second < self.pauses_until => GroupState::Rebalancing,
            _ => GroupState::Stable,
        };
        let group = Group { state, members: self.members.len() as u32, epoch: Some(self.epoch) };
        // One partition that is missing makes the whole unknown.
        let partitions = if self.partitions.iter().any(|partition| partition.is_away) {
            Signal::Unknown { why: "a broker does not answer".to_owned() }
        } else {
            let offsets = (0..).zip(&self.partitions).map(|(partition, read)| PartitionOffsets {
                partition,
                earliest: 0,
                committed: Some(offset(read.position)),
                end: offset(read.end),
                finished_beyond: 0,
                delayed: 0,
            });
            Signal::Known { at, value: offsets.collect() }
        };
        let processors = self.members.iter().map(|(pod, own)| Processor {
            pod: self.pods[*pod].number.to_string(),
            load: Signal::Known { at, value: self.load(*pod, own) },
        });
        Signals {
            at,
            replicas: self.replicas,
            hold_until: None,
            pods: Signal::Known { at, value: pods },
            group: Signal::Known { at, value: group },
            lanes: vec![Lane { topic: TOPIC.to_owned(), partitions }],
            processors: processors.collect(),
        }
    }

    fn load(&self, pod: usize, own: &[usize]) -> Load {
        let pod = &self.pods[pod];
        let oldest = own.iter().filter_map(|&number| self.partitions[number].queue.first()).min();
        let partitions = own.iter().map(|&number| PartitionLoad {
            partition: i32::try_from(number).unwrap_or(i32::MAX),
            position: Some(offset(self.partitions[number].position)),
            finished_beyond: 0,
        });
        let lane = LaneLoad {
            topic: TOPIC.to_owned(),
            processed: pod.processed,
            failed: pod.failed,
            busy_seconds: pod.busy_seconds,
            in_flight: pod.in_flight,
            throttled_seconds: pod.throttled_seconds,
            oldest_unfinished_seconds: oldest.map(|oldest| f64::from(self.second.saturating_sub(oldest))),
            partitions: partitions.collect(),
        };
        Load {
            at: time(self.second),
            since: time(pod.since),
            max_in_flight: self.scenario.settings.max_in_flight,
            cpu: Some(CpuLoad { used_seconds: pod.cpu_seconds, available: 1.0 }),
            lanes: vec![lane],
        }
    }
}

fn time(second: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second.into())
}

fn offset(records: u64) -> i64 {
    i64::try_from(records).unwrap_or(i64::MAX)
}
