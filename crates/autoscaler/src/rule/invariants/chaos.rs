//! Worlds in which anything happens at any time.

use std::time::Duration;

use contract::{CpuLoad, LaneLoad, Load, PartitionLoad};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use crate::{
    settings::{Mode, Settings},
    signals::{Group, GroupState, Lane, PartitionOffsets, Pods, Processor, Signal, Signals},
};

/// A world that changes at random, and does not care what it is told.
pub(super) struct Chaos {
    pub random: Rng,
    now: Timestamp,
    /// Until when somebody wants the count left as it is.
    hold_until: Option<Timestamp>,
    lanes: Vec<Vec<PartitionOffsets>>,
    input: f64,
    pub ready: u32,
    /// For so many decisions more, this many pods end again and again.
    crash_looping: (u32, u32),
    /// Whether the broker is new enough to tell the group's epoch.
    tells_epoch: bool,
    epoch: i64,
    sums: (u64, f64),
    /// For so many decisions more, this signal is unknown.
    unknown: [u32; 4],
}

impl Chaos {
    pub fn new(seed: u64) -> Chaos {
        let mut random = Rng::with_seed(seed);
        let partition = |partition| PartitionOffsets {
            partition,
            earliest: 0,
            committed: None,
            end: 0,
            finished_beyond: 0,
            delayed: 0,
        };
        let lanes = (0..random.usize(0..=3)).map(|_| (0..random.i32(1..=9)).map(partition).collect()).collect();
        Chaos {
            input: random.f64() * 1000.0,
            ready: random.u32(0..=12),
            tells_epoch: random.bool(),
            random,
            now: Timestamp::UNIX_EPOCH,
            hold_until: None,
            crash_looping: (0, 0),
            lanes,
            epoch: 0,
            sums: (0, 0.0),
            unknown: [0; 4],
        }
    }

    pub fn settings(&mut self) -> Settings {
        let min = self.random.u32(0..=3);
        Settings {
            first_guess: 1.0 + self.random.f64() * 1000.0,
            utilization: (0.1 + 1.8 * self.random.f64()).min(1.0),
            scale_down_after: Duration::from_secs(self.random.u64(0..=120)),
            fallback_after: Duration::from_secs(self.random.u64(1..=300)),
            mode: if self.random.u8(..) < 32 { Mode::DryRun } else { Mode::Auto },
            fallback: self.random.bool().then(|| self.random.u32(0..=12)),
            rate_limit: self.random.bool().then(|| 1.0 + self.random.f64() * 2000.0),
            max_in_flight: 100,
            ..Settings::new(min, min.max(1) + self.random.u32(0..=9), Duration::from_secs(self.random.u64(1..=600)))
        }
    }

    /// Everything moves on; `replicas` are asked for.
    pub fn signals(&mut self, replicas: u32) -> Signals {
        let random = &mut self.random;
        let seconds = if random.u8(..) < 10 { random.i64(0..=100) } else { 10 };
        self.now += SignedDuration::from_secs(seconds);
        if random.u8(..) < 2 {
            // Somebody sets the clock back.
            self.now -= SignedDuration::from_secs(random.i64(0..=7200));
        }
        if random.u8(..) < 4 {
            let until = self.now + SignedDuration::from_secs(random.i64(0..=600));
            self.hold_until = random.bool().then_some(until);
        }
        if random.u8(..) < 20 {
            self.input = if random.bool() { 0.0 } else { random.f64() * random.f64() * 10_000.0 };
        }
        for offsets in self.lanes.iter_mut().flatten() {
            offsets.end += (self.input * random.f64() * seconds as f64) as i64;
            let committed = offsets.committed.unwrap_or(0);
            offsets.committed = Some(random.i64(committed..=offsets.end)).filter(|_| random.u8(..) < 250);
            offsets.finished_beyond = random.u64(0..=50);
            offsets.delayed = random.u64(0..=20);
            if random.u16(..) < 20 {
                // The topic was made anew.
                (offsets.end, offsets.committed) = (0, None);
            }
        }
        if random.u8(..) < 200 {
            self.ready = replicas;
        } else {
            self.ready = random.u32(0..=replicas + 1);
        }
        self.crash_looping.0 = self.crash_looping.0.saturating_sub(1);
        if random.u8(..) < 3 {
            self.crash_looping = (random.u32(1..=60), random.u32(1..=3));
        }
        self.epoch += i64::from(random.u8(..) < 100);
        for unknown in &mut self.unknown {
            *unknown = if random.u8(..) < 2 { random.u32(1..=60) } else { unknown.saturating_sub(1) };
        }
        if random.u8(..) < 4 {
            // One node is gone, and with it a broker and a pod.
            let looks = random.u32(1..=60);
            (self.unknown[2], self.unknown[3]) = (looks, looks);
        }
        self.sums.0 += random.u64(0..=20_000);
        self.sums.1 += random.f64() * 100.0 * seconds as f64;
        self.read(replicas)
    }

    fn read(&mut self, replicas: u32) -> Signals {
        let (at, why) = (self.now, || "it is chaos".to_owned());
        let old = at - SignedDuration::from_mins(5);
        let random = &mut self.random.fork();
        let known = |unknown: u32, random: &mut Rng| match unknown {
            0 => Some(at),
            _ => random.bool().then_some(old),
        };
        let mut lanes = Vec::new();
        for (number, offsets) in self.lanes.iter().enumerate() {
            let partitions = match known(self.unknown[0], random) {
                Some(at) => Signal::Known { at, value: offsets.clone() },
                None => Signal::Unknown { why: why() },
            };
            lanes.push(Lane { topic: format!("topic-{number}"), partitions });
        }
        let pods = Pods {
            ready: self.ready,
            starting: replicas.saturating_sub(self.ready),
            crash_looping: if self.crash_looping.0 > 0 { self.crash_looping.1 } else { u32::from(random.u8(..) < 5) },
            draining: random.u32(0..=1),
        };
        let state = match random.u8(..) {
            0..10 => GroupState::Rebalancing,
            10..15 => GroupState::Empty,
            _ => GroupState::Stable,
        };
        let group = Group { state, members: self.ready, epoch: self.tells_epoch.then_some(self.epoch) };
        let mut processors = Vec::new();
        for pod in 0..self.ready {
            let load = match known(self.unknown[3], random) {
                Some(at) => Signal::Known { at, value: self.load(at, pod) },
                None => Signal::Unknown { why: why() },
            };
            processors.push(Processor { pod: format!("pod-{pod}"), load });
        }
        Signals {
            at,
            replicas,
            hold_until: self.hold_until,
            pods: known(self.unknown[1], random)
                .map_or_else(|| Signal::Unknown { why: why() }, |at| Signal::Known { at, value: pods }),
            group: known(self.unknown[2], random)
                .map_or_else(|| Signal::Unknown { why: why() }, |at| Signal::Known { at, value: group }),
            lanes,
            processors,
        }
    }

    fn load(&self, at: Timestamp, pod: u32) -> Load {
        let lane = |(number, offsets): (usize, &Vec<PartitionOffsets>)| LaneLoad {
            topic: format!("topic-{number}"),
            processed: self.sums.0,
            failed: self.sums.0 / 7,
            busy_seconds: self.sums.1,
            in_flight: pod,
            throttled_seconds: self.sums.1 / 1000.0,
            oldest_unfinished_seconds: None,
            partitions: offsets
                .iter()
                .filter(|offsets| offsets.partition.unsigned_abs() % 3 == pod % 3)
                .map(|offsets| PartitionLoad {
                    partition: offsets.partition,
                    position: offsets.committed,
                    finished_beyond: 0,
                })
                .collect(),
        };
        let lanes = self.lanes.iter().enumerate().map(lane).collect();
        let cpu = pod.is_multiple_of(2).then_some(CpuLoad { used_seconds: self.sums.1 / 70.0, available: 1.5 });
        Load { at, since: Timestamp::UNIX_EPOCH, max_in_flight: 100, cpu, lanes }
    }
}
