//! What is done while something is unknown, or pods and group do not come to rest.

use super::*;

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
fn unknown_topics_hold_the_count_and_then_fall_back_to_what_is_declared_or_more() {
    let mut world = World::new(12, 3, 1000.0);
    world.settings.fallback = Some(5);
    world.run(40, 100.0);
    assert_eq!(world.replicas, 1);
    let decisions = world.run_unknown(30, 100.0);
    assert_eq!(reasons(&decisions), [Reason::SignalUnknown]);
    assert_eq!(decisions[0].text, "1 replica stays: how far topic sms.requests is is unknown: no broker answers.");
    let decisions = world.run_unknown(20, 100.0);
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
fn a_step_whose_pods_find_no_place_stops_no_other_for_longer_than_the_fallback_allows() {
    let mut world = World::new(12, 2, 1000.0);
    world.most_ready = 3;
    let decisions = world.run(60, 3100.0);
    let steps: Vec<_> = decisions.iter().filter_map(Decision::to_apply).collect();
    assert_eq!(steps, [4, 6], "{:?}", reasons(&decisions));
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
    assert!(silenced(10, 9000.0).iter().any(|decision| decision.to_apply().is_some_and(|to| to > decision.current)));
}

/// Decides by signals in which pods and group are as `change` says, for ten seconds each.
fn run_with(
    world: &mut World,
    looks: usize,
    input: f64,
    change: impl Fn(&Signals) -> (Pods, GroupState),
) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for _ in 0..looks {
        world.pass(input);
        let mut signals = world.signals();
        let (pods, state) = change(&signals);
        signals.pods = Signal::Known { at: signals.at, value: pods };
        let group = Group { state, members: pods.ready, epoch: None };
        signals.group = Signal::Known { at: signals.at, value: group };
        signals.processors.truncate(pods.ready as usize);
        decisions.push(world.decide_by(&signals));
    }
    decisions
}

fn steps(decisions: &[Decision]) -> Vec<u32> {
    decisions.iter().filter_map(Decision::to_apply).collect()
}

#[test]
fn pods_none_of_which_is_ready_are_not_made_more_and_this_is_said() {
    let mut world = World::new(12, 3, 1000.0);
    world.run(10, 2000.0);
    world.provider = 0.0;
    let unready = |signals: &Signals| (Pods { starting: signals.replicas, ..Pods::default() }, GroupState::Empty);
    let decisions = run_with(&mut world, 100, 2000.0, unready);
    assert_eq!(steps(&decisions), [0; 0]);
    assert_eq!(reasons(&decisions), [Reason::PodsChanging, Reason::Fallback]);
    assert!(decisions[0].text.contains("none of 3 pods is ready"), "{}", decisions[0].text);
    assert!(decisions[99].text.contains("none of 3 pods is ready"), "{}", decisions[99].text);
}

#[test]
fn one_broken_pod_does_not_keep_others_from_coming_for_ever() {
    let mut world = World::new(12, 3, 1000.0);
    world.run(10, 2000.0);
    let broken = |signals: &Signals| {
        (Pods { ready: signals.replicas - 1, crash_looping: 1, ..Pods::default() }, GroupState::Stable)
    };
    let decisions = run_with(&mut world, 40, 5000.0, broken);
    assert_eq!(reasons(&decisions), [Reason::CrashLooping, Reason::ScaleUp, Reason::CrashLooping]);
    assert_eq!(decisions[30].to_apply(), Some(12), "{}", decisions[30].text);
    // None goes, however little comes.
    assert_eq!(steps(&run_with(&mut world, 100, 1.0, broken)), [0; 0]);
}

#[test]
fn pods_that_are_all_broken_are_not_made_more() {
    let mut world = World::new(12, 3, 1000.0);
    world.run(10, 2000.0);
    let broken = |signals: &Signals| (Pods { crash_looping: signals.replicas, ..Pods::default() }, GroupState::Empty);
    assert_eq!(steps(&run_with(&mut world, 100, 5000.0, broken)), [0; 0]);
}

#[test]
fn a_group_that_never_comes_to_rest_gets_replicas_while_it_is_at_work_and_none_otherwise() {
    let rebalancing =
        |signals: &Signals| (Pods { ready: signals.replicas, ..Pods::default() }, GroupState::Rebalancing);
    let mut world = World::new(12, 3, 1000.0);
    world.run(10, 2000.0);
    assert_eq!(steps(&run_with(&mut world, 60, 5000.0, rebalancing)), [12]);

    let mut world = World::new(12, 3, 1000.0);
    world.run(10, 2000.0);
    world.provider = 0.0;
    assert_eq!(steps(&run_with(&mut world, 60, 5000.0, rebalancing)), [0; 0]);

    // The last members finish what they have begun, and no other pod is ready.
    let mut world = World::new(12, 3, 1000.0);
    world.run(10, 2000.0);
    let unready = |signals: &Signals| (Pods { starting: signals.replicas, ..Pods::default() }, GroupState::Rebalancing);
    assert_eq!(steps(&run_with(&mut world, 60, 5000.0, unready)), [0; 0]);
}

#[test]
fn no_topics_at_all_are_unknown_and_not_nothing_to_do() {
    let mut world = World::new(12, 3, 1000.0);
    world.settings.min_replicas = 0;
    for _ in 0..60 {
        world.pass(100.0);
        let decision = world.decide_by(&Signals { lanes: Vec::new(), ..world.signals() });
        assert_eq!(decision.to_apply(), None, "{}", decision.text);
        assert!(decision.text.contains("which topics are read is unknown"), "{}", decision.text);
    }
}

#[test]
fn a_clock_that_was_set_back_puts_off_no_fallback_by_more_than_its_time() {
    let mut world = World::new(12, 3, 1000.0);
    world.settings.fallback = Some(5);
    world.settings.min_replicas = 3;
    world.run(360, 100.0);
    world.run_unknown(1, 100.0);
    world.now -= SignedDuration::from_hours(1);
    assert_eq!(steps(&world.run_unknown(31, 100.0)), [5]);
}

#[test]
fn a_clock_that_was_set_back_keeps_no_replica_longer_than_its_time() {
    let mut world = World::new(12, 4, 1000.0);
    world.settings.min_replicas = 4;
    world.run(360, 100.0);
    world.now -= SignedDuration::from_hours(1);
    world.settings.min_replicas = 1;
    let decisions = world.run(40, 100.0);
    assert!(decisions[1].terms.as_ref().is_some_and(|terms| terms.input > 99.0), "{}", decisions[1].text);
    assert_eq!(steps(&decisions), [2, 1]);
}

#[test]
fn a_clock_that_was_set_back_lengthens_no_verdict_on_a_useless_step() {
    let mut world = World::new(12, 2, 1000.0);
    world.start_looks = 1;
    world.run(360, 1500.0);
    world.provider = 0.0;
    world.run(60, 1500.0);
    assert!(world.memory.useless.is_some());
    world.now -= SignedDuration::from_hours(1);
    world.run(181, 1500.0);
    assert_eq!(world.memory.useless, None);
}
