//! What holds for every history of signals, however mad: tried on random ones.
//!
//! `AUTOSCALER_HISTORIES` sets how many are tried, for instance a million, and `--nocapture` prints what happened in them:
//! `AUTOSCALER_HISTORIES=1000000 cargo test -p autoscaler --lib no_history -- --nocapture`.

mod chaos;

use super::*;
use crate::{
    need::partitions_of_fullest,
    record::{Recorded, replay},
};
use chaos::Chaos;

const HISTORIES: u64 = 500;
/// How many decisions a history has at most.
const LONGEST: usize = 200;

fn is_known<T>(signal: &Signal<T>, signals: &Signals, settings: &Settings) -> bool {
    signal.fresh(signals.at, settings.stale_after()).is_ok()
}

/// Whether everything is known.
fn is_complete(settings: &Settings, signals: &Signals) -> bool {
    !signals.lanes.is_empty()
        && is_known(&signals.pods, signals, settings)
        && is_known(&signals.group, signals, settings)
        && signals.lanes.iter().all(|lane| is_known(&lane.partitions, signals, settings))
        && signals.processors.iter().all(|processor| is_known(&processor.load, signals, settings))
}

/// Checks one decision against everything that must hold.
fn check(settings: &Settings, signals: &Signals, decision: &Decision) {
    let Decision { current, desired, reason, .. } = *decision;
    let context = || format!("{decision:#?}");
    let is_complete = is_complete(settings, signals);
    let is_wanted = reason == Reason::AboveMaximum;
    assert!(!is_wanted || (current > desired && desired == settings.max_replicas), "{}", context());
    assert!(is_complete || is_wanted || desired >= current, "a step in while something is unknown: {}", context());
    // What is only told is the sum of all steps that would have been taken.
    let is_told = decision.acting != Acting::Acts;
    assert!(desired >= settings.min_replicas, "below the minimum: {}", context());
    assert!(desired <= settings.max_replicas, "above the maximum: {}", context());
    assert!(is_told || is_wanted || desired >= current / 2, "more than half at once: {}", context());
    assert!(is_told || desired != 0 || current <= 1, "more than one replica goes to none: {}", context());
    let partitions = signals.lanes.iter().filter_map(|lane| match &lane.partitions {
        Signal::Known { value, .. } => Some(value.len() as u32),
        Signal::Unknown { .. } => None,
    });
    let partitions: Vec<u32> = partitions.collect();
    let most = partitions.iter().copied().max().unwrap_or(u32::MAX);
    let by_formula = !is_told && matches!(reason, Reason::ScaleUp | Reason::Wake);
    assert!(!by_formula || desired <= most.max(settings.min_replicas), "more than there are partitions: {}", context());
    let fullest = |count: u32| partitions.iter().map(|all| partitions_of_fullest(*all, count)).collect::<Vec<_>>();
    assert!(
        !by_formula || desired <= settings.min_replicas.max(1) || fullest(desired) != fullest(desired - 1),
        "one fewer would be as good: {}",
        context()
    );
    let is_one_ready = match &signals.pods {
        Signal::Known { value, .. } => value.ready > 0,
        Signal::Unknown { .. } => false,
    };
    assert!(reason != Reason::ScaleUp || is_one_ready, "more where none is ready: {}", context());
    let is_held = signals.hold_until.is_some_and(|until| signals.at < until);
    let may_act = settings.mode == Mode::Auto && !is_held;
    assert!(may_act || decision.to_apply().is_none(), "a step that nobody wants: {}", context());
    let is_in = matches!(reason, Reason::ScaleDown | Reason::ScaleToZero | Reason::AboveMaximum);
    assert_eq!(is_in, desired < current, "{}", context());
    assert!(!decision.text.contains("NaN") && !decision.text.contains("inf"), "{}", context());
}

/// What was tried.
#[derive(Debug, Default)]
struct Tried {
    histories: u64,
    decisions: u64,
    steps: u64,
    /// Steps that took replicas away.
    steps_in: u64,
    /// Those of them that were taken while something was unknown, though the user's maximum did not ask for them.
    steps_in_on_unknown: u64,
}

impl Tried {
    fn count(&mut self, settings: &Settings, signals: &Signals, decision: &Decision) {
        self.decisions += 1;
        let Some(to) = decision.to_apply() else { return };
        self.steps += 1;
        if to < decision.current {
            self.steps_in += 1;
            let is_blind = !is_complete(settings, signals) && decision.reason != Reason::AboveMaximum;
            self.steps_in_on_unknown += u64::from(is_blind);
        }
    }
}

/// One history: what it was and did, decision by decision.
fn live(seed: u64, tried: &mut Tried) {
    let mut chaos = Chaos::new(seed);
    let mut settings = chaos.settings();
    let mut replicas = chaos.ready;
    let (mut memory, mut epochs) = (Memory::default(), Vec::new());
    tried.histories += 1;
    for _ in 0..chaos.random.usize(1..=LONGEST) {
        if chaos.random.u8(..) < 3 {
            // The user changes what is wanted.
            settings = chaos.settings();
        }
        assert_eq!(settings.check(), Ok(()));
        let signals = chaos.signals(replicas);
        let (decision, next) = decide(&settings, &signals, &memory);
        check(&settings, &signals, &decision);
        tried.count(&settings, &signals, &decision);
        if decision.to_apply().is_some_and(|_| replicas > 0) {
            let by_formula = matches!(decision.reason, Reason::ScaleUp | Reason::ScaleDown | Reason::ScaleToZero);
            epochs.extend(group_epoch(&signals).filter(|_| by_formula && memory.held_since.is_none()));
        }
        if chaos.random.u8(..) < 2 {
            check_replay(&Recorded { settings: settings.clone(), signals, memory, decision: decision.clone() }, seed);
        }
        memory = next;
        replicas = decision.to_apply().unwrap_or(replicas);
    }
    let all = epochs.len();
    epochs.dedup();
    assert_eq!(epochs.len(), all, "two steps in one epoch of the group, seed {seed}");
}

fn check_replay(recorded: &Recorded, seed: u64) {
    let json = serde_json::to_string(recorded).expect("JSON");
    let read: Recorded = serde_json::from_str(&json).expect("a record");
    assert_eq!(replay(&read), recorded.decision, "seed {seed}");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), json, "seed {seed}");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test has no Config, and a release tries more than a developer waits for"
)]
fn no_history_of_signals_breaks_a_promise() {
    let histories = std::env::var("AUTOSCALER_HISTORIES").ok().and_then(|histories| histories.parse().ok());
    let mut tried = Tried::default();
    for seed in 0..histories.unwrap_or(HISTORIES) {
        live(seed, &mut tried);
    }
    println!("{tried:?}");
    assert_eq!(tried.steps_in_on_unknown, 0);
}
