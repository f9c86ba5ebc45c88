//! What is told: dry runs, words, and decisions that are made again.

use super::*;
use crate::record::{Recorded, replay};

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
fn a_decision_tells_its_formula_in_words_and_numbers() {
    let mut world = World::new(12, 2, 1000.0);
    let decision = world.run(2, 2000.0).pop().expect("a decision");
    assert_eq!(
        decision.text,
        "2 replicas stay: more are needed only once records wait for longer; by the time that a step would help they will \
         have waited for 0.0 s of the 24 s that they may. 0.0 records wait and 2,000 come each second; to be done within \
         120 s that needs (0.0 + 50 for a pause of 3.0 s) at 90 % use and 2,000 at 100 % use: 2,056 per second; one replica \
         does 1,000, so 3 replicas with 4 of 12 partitions at most has 685."
    );
    world.settings.utilization = 0.8;
    let decision = world.run(1, 2000.0).pop().expect("a decision");
    assert_eq!(
        decision.text,
        "2 → 3 replicas: more are needed. 0.0 records wait and 2,000 come each second; to be done within 120 s that needs \
         (0.0 + 50 for a pause of 3.0 s) at 90 % use and 2,000 at 80 % use: 2,556 per second; one replica does 1,000, so \
         3 replicas with 4 of 12 partitions at most has 852."
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

/// What a dry run tells with four replicas and an input that goes up and down from look to look, after it has begun.
fn previewed(inputs: &[f64]) -> Vec<(u32, Reason)> {
    let mut world = World::new(12, 4, 1000.0);
    world.settings.mode = Mode::DryRun;
    world.run(60, 3300.0);
    let decisions = inputs.iter().map(|input| world.run(1, *input).remove(0));
    let decisions: Vec<_> = decisions.map(|decision| (decision.desired, decision.reason)).collect();
    assert_eq!(world.replicas, 4);
    decisions
}

#[test]
fn a_dry_run_tells_one_step_and_not_each_fluctuation() {
    let fluctuating: Vec<f64> = (0..200).map(|look| if look / 6 % 2 == 0 { 3700.0 } else { 4300.0 }).collect();
    let mut told = previewed(&fluctuating);
    told.dedup();
    assert_eq!(told, [(4, Reason::Steady), (6, Reason::ScaleUp)]);
}

#[test]
fn a_dry_run_tells_every_step_down_after_its_time() {
    let mut told = previewed(&[500.0; 100]);
    told.dedup();
    assert_eq!(told[0], (4, Reason::WaitingToScaleDown));
    assert_eq!(told[1..], [3, 2, 1].map(|count| (count, Reason::ScaleDown)));
}

#[test]
fn what_was_told_counts_no_longer_when_it_is_done_again() {
    let mut world = World::new(12, 4, 1000.0);
    world.settings.mode = Mode::DryRun;
    assert_eq!(world.run(100, 500.0).pop().map(|decision| decision.desired), Some(1));
    world.settings.mode = Mode::Auto;
    let steps: Vec<_> = world.run(3, 500.0).iter().filter_map(Decision::to_apply).collect();
    assert_eq!(steps, [2, 1]);
}

#[test]
fn a_bound_that_only_what_was_told_is_beyond_is_no_reason_for_the_real_count() {
    let mut world = World::new(12, 3, 1000.0);
    world.settings.mode = Mode::DryRun;
    assert_eq!(world.run(10, 9000.0).pop().map(|decision| decision.desired), Some(12));
    world.settings.max_replicas = 3;
    let decision = world.run(1, 9000.0).remove(0);
    assert_eq!((decision.desired, decision.reason), (3, Reason::Steady), "{}", decision.text);
}
