//! What holds for every history of signals, however mad: tried on random ones.
//!
//! `AUTOSCALER_STEPS` sets how many decisions are tried; a million take about half a minute in the dev profile.

use std::time::Duration;

use contract::{LaneLoad, Load, PartitionLoad};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    need::partitions_of_fullest,
    record::{Recorded, replay},
    signals::{Group, GroupState, Lane, PartitionOffsets, Pods, Processor},
};

const STEPS: usize = 50_000;
/// How many decisions one history has.
const LENGTH: usize = 200;

/// A world that changes at random, and does not care what it is told.
struct Chaos {
    random: Rng,
    now: Timestamp,
    lanes: Vec<Vec<PartitionOffsets>>,
    input: f64,
    ready: u32,
    /// Whether the broker is new enough to tell the group's epoch.
    tells_epoch: bool,
    epoch: i64,
    sums: (u64, f64),
    /// For so many decisions more, this signal is unknown.
    unknown: [u32; 4],
}

impl Chaos {
    fn new(seed: u64) -> Chaos {
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
            lanes,
            epoch: 0,
            sums: (0, 0.0),
            unknown: [0; 4],
        }
    }

    fn settings(&mut self) -> Settings {
        let min = self.random.u32(0..=3);
        Settings {
            first_guess: 1.0 + self.random.f64() * 1000.0,
            utilization: 0.1 + 0.9 * self.random.f64(),
            scale_down_after: Duration::from_secs(self.random.u64(0..=120)),
            fallback: self.random.bool().then(|| self.random.u32(0..=12)),
            rate_limit: self.random.bool().then(|| 1.0 + self.random.f64() * 2000.0),
            max_in_flight: 100,
            ..Settings::new(min, min.max(1) + self.random.u32(0..=9), Duration::from_secs(self.random.u64(1..=600)))
        }
    }

    /// Everything moves on; `replicas` are asked for.
    fn signals(&mut self, replicas: u32) -> Signals {
        let random = &mut self.random;
        let seconds = if random.u8(..) < 10 { random.i64(0..=100) } else { 10 };
        self.now += SignedDuration::from_secs(seconds);
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
        self.epoch += i64::from(random.u8(..) < 100);
        for unknown in &mut self.unknown {
            *unknown = if random.u8(..) < 8 { random.u32(1..=60) } else { unknown.saturating_sub(1) };
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
            crash_looping: u32::from(random.u8(..) < 5),
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
            let cpu = random.bool().then(|| random.f64());
            processors.push(Processor { pod: format!("pod-{pod}"), load, cpu });
        }
        Signals {
            at,
            replicas,
            hold_until: None,
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
        Load { at, since: Timestamp::UNIX_EPOCH, max_in_flight: 100, lanes }
    }
}

fn is_known<T>(signal: &Signal<T>, signals: &Signals, settings: &Settings) -> bool {
    signal.fresh(signals.at, settings.stale_after()).is_ok()
}

/// Checks one decision against everything that must hold.
fn check(settings: &Settings, signals: &Signals, decision: &Decision) {
    let Decision { current, desired, reason, .. } = *decision;
    let context = || format!("{decision:#?}");
    let is_complete = !signals.lanes.is_empty()
        && is_known(&signals.pods, signals, settings)
        && is_known(&signals.group, signals, settings)
        && signals.lanes.iter().all(|lane| is_known(&lane.partitions, signals, settings))
        && signals.processors.iter().all(|processor| is_known(&processor.load, signals, settings));
    let is_wanted = reason == Reason::AboveMaximum;
    assert!(!is_wanted || (current > desired && desired == settings.max_replicas), "{}", context());
    assert!(is_complete || is_wanted || desired >= current, "a step in while something is unknown: {}", context());
    assert!(desired >= settings.min_replicas, "below the minimum: {}", context());
    assert!(desired <= settings.max_replicas, "above the maximum: {}", context());
    assert!(is_wanted || desired >= current / 2, "more than half at once: {}", context());
    assert!(desired != 0 || current <= 1, "more than one replica goes to none: {}", context());
    let partitions = signals.lanes.iter().filter_map(|lane| match &lane.partitions {
        Signal::Known { value, .. } => Some(value.len() as u32),
        Signal::Unknown { .. } => None,
    });
    let partitions: Vec<u32> = partitions.collect();
    let most = partitions.iter().copied().max().unwrap_or(u32::MAX);
    let by_formula = matches!(reason, Reason::ScaleUp | Reason::Wake);
    assert!(!by_formula || desired <= most.max(settings.min_replicas), "more than there are partitions: {}", context());
    let fullest = |count: u32| partitions.iter().map(|all| partitions_of_fullest(*all, count)).collect::<Vec<_>>();
    assert!(
        !by_formula || desired <= settings.min_replicas.max(1) || fullest(desired) != fullest(desired - 1),
        "one fewer would be as good: {}",
        context()
    );
    let is_in = matches!(reason, Reason::ScaleDown | Reason::ScaleToZero | Reason::AboveMaximum);
    assert_eq!(is_in, desired < current, "{}", context());
    assert!(!decision.text.contains("NaN") && !decision.text.contains("inf"), "{}", context());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test has no Config, and CI tries more than a developer waits for")]
fn no_history_of_signals_breaks_a_promise() {
    let steps = std::env::var("AUTOSCALER_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS);
    for seed in 0..steps.div_ceil(LENGTH) as u64 {
        let mut chaos = Chaos::new(seed);
        let settings = chaos.settings();
        assert_eq!(settings.check(), Ok(()));
        let mut replicas = chaos.ready;
        let (mut memory, mut epochs) = (Memory::default(), Vec::new());
        for _ in 0..LENGTH {
            let signals = chaos.signals(replicas);
            let (decision, next) = decide(&settings, &signals, &memory);
            check(&settings, &signals, &decision);
            if decision.to_apply().is_some_and(|_| replicas > 0) {
                let by_formula = matches!(decision.reason, Reason::ScaleUp | Reason::ScaleDown | Reason::ScaleToZero);
                epochs.extend(group_epoch(&signals).filter(|_| by_formula && memory.held_since.is_none()));
            }
            if chaos.random.u8(..) < 8 {
                let (settings, signals, decision) = (settings.clone(), signals.clone(), decision.clone());
                let json = serde_json::to_string(&Recorded { settings, signals, memory, decision }).expect("JSON");
                let recorded: Recorded = serde_json::from_str(&json).expect("a record");
                assert_eq!(replay(&recorded), recorded.decision, "seed {seed}");
                assert_eq!(serde_json::to_string(&recorded).expect("JSON"), json, "seed {seed}");
            }
            memory = next;
            replicas = decision.to_apply().unwrap_or(replicas);
        }
        let all = epochs.len();
        epochs.dedup();
        assert_eq!(epochs.len(), all, "two steps in one epoch of the group, seed {seed}");
    }
}
