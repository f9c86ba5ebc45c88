//! The rule by data: a small world of which each test says only what matters to it.

use std::time::Duration;

use contract::{LaneLoad, Load, PartitionLoad};
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    record::{Recorded, replay},
    signals::{Group, GroupState, Lane, PartitionOffsets, Pods, Processor},
};

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
    epoch: i64,
    /// Of each partition: records that came and that are finished.
    partitions: Vec<(f64, f64)>,
    /// What a replica can do.
    capacity: f64,
    /// What the provider takes from all replicas together.
    provider: f64,
    /// Of each pod: records done and slot seconds.
    pods: Vec<(f64, f64)>,
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
            epoch: 1,
            partitions: vec![(0.0, 0.0); partitions],
            capacity,
            provider: f64::INFINITY,
            pods: vec![(0.0, 0.0); 12],
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
        if self.running != self.replicas && self.starting_looks == 0 {
            self.running = self.replicas;
            self.epoch += 1;
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
            let slots = f64::from(self.settings.max_in_flight);
            self.pods[replica].0 += done;
            self.pods[replica].1 += 10.0 * slots * (done / can).min(1.0);
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
            cpu: None,
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
        let (processed, busy_seconds) = self.pods[replica];
        let lane = LaneLoad {
            topic: TOPIC.to_owned(),
            processed: processed as u64,
            failed: 0,
            busy_seconds,
            in_flight: 0,
            throttled_seconds: 0.0,
            oldest_unfinished_seconds: None,
            partitions: partitions.collect(),
        };
        Load { at: self.now, since: self.since, max_in_flight: self.settings.max_in_flight, lanes: vec![lane] }
    }

    /// Decides by these signals, and carries it out at once.
    fn decide_by(&mut self, signals: &Signals) -> Decision {
        let (decision, memory) = decide(&self.settings, signals, &self.memory);
        self.memory = memory;
        if let Some(replicas) = decision.to_apply() {
            self.replicas = replicas;
            self.starting_looks = self.start_looks;
            if self.start_looks == 0 {
                self.running = replicas;
                self.epoch += 1;
            }
        }
        decision
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

#[test]
fn constant_input_needs_one_step_and_then_none() {
    let mut world = World::new(12, 1, 1000.0);
    let decisions = world.run(200, 2000.0);
    let steps: Vec<_> = decisions.iter().filter_map(Decision::to_apply).collect();
    assert_eq!((steps.first(), world.replicas), (Some(&3), 3), "{steps:?}");
    assert!(decisions[60..].iter().all(|decision| decision.to_apply().is_none()));
}

#[test]
fn a_backlog_is_gone_within_the_time_asked_for_once_its_replicas_are_there() {
    let mut world = World::new(12, 2, 1000.0);
    world.run(30, 1000.0);
    for partition in &mut world.partitions {
        partition.0 += 50_000.0;
    }
    let first = world.run(1, 1000.0).remove(0);
    assert_eq!((first.reason, first.to_apply()), (Reason::ScaleUp, Some(12)), "{}", first.text);
    world.run(12, 1000.0);
    let left: f64 = world.partitions.iter().map(|(came, done)| came - done).sum();
    assert!(left < 1.0, "{left}");
}

#[test]
fn replicas_go_by_half_at_most_after_fewer_were_enough_for_long_enough() {
    let mut world = World::new(12, 12, 1000.0);
    let decisions = world.run(31, 1000.0);
    assert_eq!(reasons(&decisions), [Reason::Learning, Reason::WaitingToScaleDown]);
    let counts: Vec<_> = world.run(40, 1000.0).iter().filter_map(Decision::to_apply).collect();
    assert_eq!(counts, [6, 3, 2]);
}

#[test]
fn no_replica_goes_while_a_backlog_is_left() {
    let mut world = World::new(12, 12, 100.0);
    world.settings.drain_within = Duration::from_hours(1);
    world.partitions.iter_mut().for_each(|partition| partition.0 = 60_000.0);
    let decisions = world.run(50, 100.0);
    assert!(decisions.iter().all(|decision| decision.to_apply().is_none()), "{}", decisions[49].text);
    assert_eq!(decisions[49].reason, Reason::Behind, "{}", decisions[49].text);
}

#[test]
fn with_minimum_zero_the_last_replica_goes_when_there_is_nothing_to_do_and_one_comes_with_the_first_record() {
    let mut world = World::new(12, 1, 1000.0);
    world.settings.min_replicas = 0;
    world.run(10, 100.0);
    let decisions = world.run(40, 0.0);
    assert_eq!(world.replicas, 0);
    assert!(reasons(&decisions).contains(&Reason::ScaleToZero));
    let awake = world.run(1, 1.2).remove(0);
    assert_eq!((awake.reason, awake.to_apply()), (Reason::Wake, Some(1)), "{}", awake.text);
}

#[test]
fn a_record_wakes_whatever_is_unknown_of_pods_and_group() {
    let mut world = World::new(6, 0, 1000.0);
    world.settings.min_replicas = 0;
    world.decide_by(&world.signals());
    world.partitions[3].0 += 1.0;
    world.now += SignedDuration::from_secs(10);
    let unknown = || "timeout".to_owned();
    let signals = Signals {
        pods: Signal::Unknown { why: unknown() },
        group: Signal::Unknown { why: unknown() },
        ..world.signals()
    };
    assert_eq!(world.decide_by(&signals).to_apply(), Some(1));
}

#[test]
fn what_is_left_of_a_transaction_keeps_no_replica_awake() {
    let mut world = World::new(6, 1, 1000.0);
    world.settings.min_replicas = 0;
    for partition in &mut world.partitions {
        *partition = (100.0, 99.0);
    }
    // A world in which nothing can be consumed of what is left.
    for _ in 0..60 {
        world.now += SignedDuration::from_secs(10);
        world.decide_by(&world.signals());
    }
    assert_eq!(world.replicas, 0);
    for _ in 0..60 {
        world.now += SignedDuration::from_secs(10);
        world.decide_by(&world.signals());
        assert_eq!(world.replicas, 0);
    }
}

#[test]
fn unknown_topics_hold_the_count_and_then_fall_back_to_what_is_declared_or_more() {
    let mut world = World::new(12, 3, 1000.0);
    world.settings.fallback = Some(5);
    world.run(40, 100.0);
    assert_eq!(world.replicas, 1);
    let mut unknown = |looks| {
        let mut decisions = Vec::new();
        for _ in 0..looks {
            world.pass(100.0);
            let mut signals = world.signals();
            signals.lanes[0].partitions = Signal::Unknown { why: "no broker answers".to_owned() };
            decisions.push(world.decide_by(&signals));
        }
        decisions
    };
    let decisions = unknown(30);
    assert_eq!(reasons(&decisions), [Reason::SignalUnknown]);
    assert_eq!(decisions[0].text, "1 replica stays: how far topic sms.requests is is unknown: no broker answers.");
    let decisions = unknown(20);
    assert_eq!(reasons(&decisions), [Reason::Fallback, Reason::SignalUnknown]);
    assert_eq!(decisions[0].to_apply(), Some(5));
}

#[test]
fn a_group_that_does_not_come_to_rest_falls_back_and_never_below_what_there_is() {
    let mut world = World::new(12, 4, 1000.0);
    world.settings.fallback = Some(2);
    for look in 0..60 {
        world.pass(100.0);
        let mut signals = world.signals();
        let pods = Pods { ready: 3, crash_looping: 1, ..Pods::default() };
        signals.pods = Signal::Known { at: signals.at, value: pods };
        let decision = world.decide_by(&signals);
        let expected = if look < 30 { Reason::CrashLooping } else { Reason::Fallback };
        assert_eq!((decision.desired, decision.reason), (4, expected), "look {look}");
    }
}

#[test]
fn pods_that_find_no_place_to_run_do_not_hold_the_count_for_ever() {
    let mut world = World::new(12, 6, 1000.0);
    let mut last = None;
    for _ in 0..70 {
        world.pass(100.0);
        let mut signals = world.signals();
        let pods =
            Pods { ready: signals.replicas.min(4), starting: signals.replicas.saturating_sub(4), ..Pods::default() };
        let group = Group { state: GroupState::Stable, members: pods.ready, epoch: None };
        signals.pods = Signal::Known { at: signals.at, value: pods };
        signals.group = Signal::Known { at: signals.at, value: group };
        last = Some(world.decide_by(&signals));
    }
    assert_eq!(world.replicas, 1, "{last:?}");
}

#[test]
fn a_silent_pod_stops_only_those_steps_that_take_replicas_away() {
    let mut world = World::new(12, 4, 1000.0);
    let mut silenced = |looks, input| {
        let mut decisions = Vec::new();
        for _ in 0..looks {
            world.pass(input);
            let mut signals = world.signals();
            signals.processors[0].load = Signal::Unknown { why: "connection refused".to_owned() };
            decisions.push(world.decide_by(&signals));
        }
        decisions
    };
    let decisions = silenced(60, 100.0);
    assert_eq!(decisions[59].reason, Reason::SignalUnknown);
    assert_eq!(decisions[59].desired, 4);
    assert!(decisions[59].text.contains("the load of pod processor-0 is unknown: connection refused"));
    assert!(silenced(10, 5000.0).iter().any(|decision| decision.to_apply().is_some_and(|to| to > decision.current)));
}

#[test]
fn one_hot_partition_asks_for_no_replicas_that_cannot_help_it_and_is_named() {
    let mut world = World::new(12, 2, 1000.0);
    let mut weights = vec![12.0; 12];
    weights[4] = 1500.0;
    let mut last = None;
    for _ in 0..200 {
        world.pass_with(1632.0, &weights);
        last = Some(world.decide_by(&world.signals()));
    }
    let last = last.expect("a decision");
    assert_eq!((last.bound, world.replicas), (Some(Bound::HotPartition), 2), "{}", last.text);
    assert!(matches!(last.findings[..], [Finding::HotPartition { partition: 4, .. }]), "{}", last.text);
    assert!(last.text.contains("Partition 4 of sms.requests needs "), "{}", last.text);
}

#[test]
fn a_provider_that_takes_no_more_stops_steps_up_after_one_that_brought_nothing() {
    let mut world = World::new(12, 2, 1000.0);
    world.start_looks = 3;
    world.run(120, 1500.0);
    assert_eq!(world.replicas, 2);
    world.provider = 1000.0;
    let decisions = world.run(60, 1500.0);
    let ups = decisions.iter().filter(|decision| decision.to_apply().is_some_and(|to| to > decision.current)).count();
    assert_eq!(ups, 1, "{:?}", decisions.iter().filter_map(Decision::to_apply).collect::<Vec<_>>());
    let last = decisions.last().expect("a decision");
    assert_eq!(last.bound, Some(Bound::Ineffective), "{}", last.text);
    assert!(last.text.contains("The step from 2 to "), "{}", last.text);
    // It has room again: more is done by those there are, and then by more.
    world.provider = f64::INFINITY;
    world.run(40, 1500.0);
    let left: f64 = world.partitions.iter().map(|(came, done)| came - done).sum();
    assert!(left < 1.0, "{left}");
}

#[test]
fn a_declared_limit_of_the_provider_is_a_bound() {
    let mut world = World::new(12, 1, 1000.0);
    world.settings.rate_limit = Some(2500.0);
    world.provider = 2500.0;
    let decisions = world.run(60, 5000.0);
    let last = decisions.last().expect("a decision");
    assert_eq!((last.bound, world.replicas), (Some(Bound::ProviderLimit), 3), "{}", last.text);
}

#[test]
fn delayed_records_are_no_backlog() {
    let mut world = World::new(12, 1, 1000.0);
    world.run(40, 500.0);
    for _ in 0..40 {
        world.pass(500.0);
        let mut signals = world.signals();
        let Signal::Known { value, .. } = &mut signals.lanes[0].partitions else { panic!("known") };
        for offsets in value {
            offsets.end += 100_000;
            offsets.delayed += 100_000;
        }
        assert_eq!(world.decide_by(&signals).to_apply(), None);
    }
}

#[test]
fn records_finished_out_of_order_are_no_backlog() {
    let mut world = World::new(12, 1, 1000.0);
    world.run(40, 500.0);
    for _ in 0..40 {
        world.pass(500.0);
        let mut signals = world.signals();
        let Signal::Known { value, .. } = &mut signals.lanes[0].partitions else { panic!("known") };
        for offsets in value {
            // One record at the very beginning is still in work.
            offsets.finished_beyond = u64::try_from(offsets.committed.expect("committed") - 1).expect("positive");
            offsets.committed = Some(0);
        }
        for partition in &mut load_of(&mut signals, 0).lanes[0].partitions {
            partition.finished_beyond = u64::try_from(partition.position.expect("known") - 1).expect("positive");
            partition.position = Some(0);
        }
        assert_eq!(world.decide_by(&signals).to_apply(), None);
    }
}

#[test]
fn a_dry_run_and_a_hold_tell_and_do_nothing() {
    let mut world = World::new(12, 1, 1000.0);
    world.settings.mode = Mode::DryRun;
    let decision = world.run(3, 5000.0).pop().expect("a decision");
    assert_eq!((decision.desired, decision.to_apply(), decision.acting), (12, None, Acting::DryRun));
    assert!(decision.text.ends_with("Nothing is changed: this is a dry run."));

    world.settings.mode = Mode::Auto;
    world.pass(5000.0);
    let until = world.now + SignedDuration::from_secs(1);
    let held = world.decide_by(&Signals { hold_until: Some(until), ..world.signals() });
    assert_eq!((held.desired, held.to_apply(), held.acting), (12, None, Acting::HeldUntil(until)));
    world.pass(5000.0);
    let released = world.decide_by(&Signals { hold_until: Some(until), ..world.signals() });
    assert_eq!(released.to_apply(), Some(12));
}

#[test]
fn fewer_than_the_minimum_are_brought_up_to_it_whatever_is_unknown() {
    let mut world = World::new(12, 1, 1000.0);
    world.settings.min_replicas = 3;
    world.pass(1.0);
    let mut signals = world.signals();
    signals.lanes[0].partitions = Signal::Unknown { why: "timeout".to_owned() };
    let decision = world.decide_by(&signals);
    assert_eq!((decision.to_apply(), decision.reason), (Some(3), Reason::BelowMinimum));
}

#[test]
fn a_decision_tells_its_formula_in_words_and_numbers() {
    let mut world = World::new(12, 2, 1000.0);
    let decision = world.run(2, 2000.0).pop().expect("a decision");
    assert_eq!(
        decision.text,
        "2 → 3 replicas: more are needed. 0.0 records wait and 2,000 come each second; to be done within 120 s that needs \
         0.0 + 50 for a pause of 3.0 s + 2,223 at 90 % use = 2,273 per second; one replica does 1,000, so 3 replicas with 4 \
         of 12 partitions at most has 758."
    );
}

#[test]
fn a_recorded_decision_is_replayed_from_its_json_to_the_same_json() {
    let mut world = World::new(12, 2, 971.3);
    let mut input = 317.7;
    for _ in 0..120 {
        input = (input * 1.37) % 9000.0 + 13.1;
        world.pass(input);
        let (settings, signals, memory) = (world.settings.clone(), world.signals(), world.memory.clone());
        let decision = world.decide_by(&signals);
        let json = serde_json::to_string(&Recorded { settings, signals, memory, decision }).expect("JSON");
        let recorded: Recorded = serde_json::from_str(&json).expect("a record");
        let replayed = serde_json::to_string(&replay(&recorded)).expect("JSON");
        assert_eq!(replayed, serde_json::to_string(&recorded.decision).expect("JSON"));
        assert_eq!(serde_json::to_string(&recorded).expect("JSON"), json);
    }
}
