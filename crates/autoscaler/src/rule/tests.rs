//! The rule by data: a small world of which each test says only what matters to it.

mod beyond_help;
mod steps;
mod told;
mod unknown;

use std::time::Duration;

use contract::{CpuLoad, LaneLoad, Load, PartitionLoad};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::signals::{Group, GroupState, Lane, PartitionOffsets, Pods, Processor};

const TOPIC: &str = "sms.requests";

/// A pipeline of one topic whose replicas are as many as are asked for, ready, and members of a group at rest.
#[derive(Clone)]
struct World {
    settings: Settings,
    memory: Memory,
    now: Timestamp,
    /// How many replicas are asked for.
    replicas: u32,
    /// How many are ready.
    running: u32,
    /// How many looks it takes until those that are asked for are ready.
    start_looks: u32,
    starting_looks: u32,
    /// How many find a place to run.
    most_ready: u32,
    epoch: i64,
    /// Of each partition: records that came and that are finished.
    partitions: Vec<(f64, f64)>,
    /// What a replica can do.
    capacity: f64,
    /// What the provider takes from all replicas together.
    provider: f64,
    /// Of each pod: records done and seconds at its full capacity.
    pods: Vec<(f64, f64)>,
    /// Which part of its slots and of its CPUs a pod uses at its full capacity.
    full_use: (f64, f64),
    /// How many CPUs it may use, and how many it uses when there is nothing to do.
    cpus: f64,
    idle_cpus: f64,
    since: Timestamp,
}

impl World {
    fn new(partitions: usize, replicas: u32, capacity: f64) -> World {
        World {
            settings: Settings { first_guess: capacity, ..Settings::new(1, 12, Duration::from_mins(2)) },
            memory: Memory::default(),
            now: Timestamp::UNIX_EPOCH,
            replicas,
            running: replicas,
            start_looks: 0,
            starting_looks: 0,
            most_ready: u32::MAX,
            epoch: 1,
            partitions: vec![(0.0, 0.0); partitions],
            capacity,
            provider: f64::INFINITY,
            pods: vec![(0.0, 0.0); 12],
            full_use: (1.0, 0.1),
            cpus: 1.0,
            idle_cpus: 0.0,
            since: Timestamp::UNIX_EPOCH,
        }
    }

    /// Ten seconds pass in which `input` records come each second, spread over `weights`.
    fn pass_with(&mut self, input: f64, weights: &[f64]) {
        self.now += SignedDuration::from_secs(10);
        let all: f64 = weights.iter().sum();
        for (partition, weight) in self.partitions.iter_mut().zip(weights) {
            partition.0 += input * 10.0 * weight / all;
        }
        self.starting_looks = self.starting_looks.saturating_sub(1);
        if self.starting_looks == 0 {
            self.start();
        }
        let replicas = self.running as usize;
        for replica in 0..replicas {
            let own = || (replica..self.partitions.len()).step_by(replicas);
            let can = 10.0 * self.capacity.min(self.provider / f64::from(self.running));
            let waiting: f64 = own().map(|number| self.partitions[number].0 - self.partitions[number].1).sum();
            let done = waiting.min(can);
            for number in own().collect::<Vec<_>>() {
                let partition = &mut self.partitions[number];
                partition.1 += if waiting > 0.0 { done * (partition.0 - partition.1) / waiting } else { 0.0 };
            }
            self.pods[replica].0 += done;
            self.pods[replica].1 += 10.0 * (done / can).min(1.0);
        }
    }

    fn start(&mut self) {
        let able = self.replicas.min(self.most_ready);
        if self.running != able {
            self.running = able;
            self.epoch += 1;
        }
    }

    fn pass(&mut self, input: f64) {
        self.pass_with(input, &vec![1.0; self.partitions.len()]);
    }

    fn signals(&self) -> Signals {
        let at = self.now;
        let offsets = self.partitions.iter().zip(0..).map(|((came, done), partition)| PartitionOffsets {
            partition,
            earliest: 0,
            committed: Some(*done as i64),
            end: *came as i64,
            finished_beyond: 0,
            delayed: 0,
        });
        let processors = (0..self.running as usize).map(|replica| Processor {
            pod: format!("processor-{replica}"),
            load: Signal::Known { at, value: self.load(replica) },
        });
        let starting = self.replicas.saturating_sub(self.running);
        let pods = Pods { ready: self.running, starting, ..Pods::default() };
        let group = Group { state: GroupState::Stable, members: self.running, epoch: Some(self.epoch) };
        Signals {
            at,
            replicas: self.replicas,
            hold_until: None,
            pods: Signal::Known { at, value: pods },
            group: Signal::Known { at, value: group },
            lanes: vec![Lane { topic: TOPIC.to_owned(), partitions: Signal::Known { at, value: offsets.collect() } }],
            processors: processors.collect(),
        }
    }

    fn load(&self, replica: usize) -> Load {
        let own = (replica..self.partitions.len()).step_by(self.running as usize);
        let partitions = own.map(|number| PartitionLoad {
            partition: i32::try_from(number).expect("few"),
            position: Some(self.partitions[number].1 as i64),
            finished_beyond: 0,
        });
        let (processed, full_seconds) = self.pods[replica];
        let slots = f64::from(self.settings.max_in_flight);
        let idle_seconds = self.now.duration_since(self.since).as_secs_f64() * self.idle_cpus;
        let lane = LaneLoad {
            topic: TOPIC.to_owned(),
            processed: processed as u64,
            failed: 0,
            busy_seconds: full_seconds * self.full_use.0 * slots,
            in_flight: 0,
            throttled_seconds: 0.0,
            oldest_unfinished_seconds: None,
            partitions: partitions.collect(),
        };
        Load {
            at: self.now,
            since: self.since,
            max_in_flight: self.settings.max_in_flight,
            cpu: Some(CpuLoad {
                used_seconds: idle_seconds + full_seconds * self.full_use.1 * self.cpus,
                available: self.cpus,
            }),
            lanes: vec![lane],
        }
    }

    /// Decides by these signals, and carries it out at once.
    fn decide_by(&mut self, signals: &Signals) -> Decision {
        let (decision, memory) = decide(&self.settings, signals, &self.memory);
        self.memory = memory;
        if let Some(replicas) = decision.to_apply() {
            self.replicas = replicas;
            self.starting_looks = self.start_looks;
            if self.start_looks == 0 {
                self.start();
            }
        }
        decision
    }

    /// Records that are not finished.
    fn left(&self) -> f64 {
        self.partitions.iter().map(|(came, done)| came - done).sum()
    }

    /// The same as [`World::run`], while nobody knows how far the topic is.
    fn run_unknown(&mut self, looks: usize, input: f64) -> Vec<Decision> {
        (0..looks)
            .map(|_| {
                self.pass(input);
                let mut signals = self.signals();
                signals.lanes[0].partitions = Signal::Unknown { why: "no broker answers".to_owned() };
                self.decide_by(&signals)
            })
            .collect()
    }

    /// Decides once for each ten seconds.
    fn run(&mut self, looks: usize, input: f64) -> Vec<Decision> {
        (0..looks)
            .map(|_| {
                self.pass(input);
                self.decide_by(&self.signals())
            })
            .collect()
    }
}

fn load_of(signals: &mut Signals, processor: usize) -> &mut Load {
    let Signal::Known { value, .. } = &mut signals.processors[processor].load else { panic!("known") };
    value
}

fn reasons(decisions: &[Decision]) -> Vec<Reason> {
    let mut reasons: Vec<_> = decisions.iter().map(|decision| decision.reason).collect();
    reasons.dedup();
    reasons
}
