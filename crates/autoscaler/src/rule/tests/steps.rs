//! Steps up, down, to none and back.

use super::*;

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
    let left = world.left();
    assert!(left < 1.0, "{left}");
}

#[test]
fn replicas_are_added_when_records_wait_for_a_fifth_of_the_time_and_then_work_it_off() {
    let mut world = World::new(12, 2, 1000.0);
    let decisions = world.run(60, 2100.0);
    let up = decisions.iter().position(|decision| decision.to_apply() == Some(3)).expect("a step up");
    let before = reasons(&decisions[..up]);
    assert_eq!(before, [Reason::Learning, Reason::WaitingToScaleUp]);
    let waits = |decision: &Decision| decision.terms.as_ref().map_or(0.0, |terms| terms.expected_wait_seconds);
    assert!(waits(&decisions[up - 1]) < 24.0 && waits(&decisions[up]) >= 24.0, "{}", decisions[up].text);
    assert!(world.left() < 1.0, "{}", world.left());
}

#[test]
fn input_that_goes_up_and_down_around_what_replicas_can_do_changes_nothing() {
    let mut world = World::new(12, 2, 1000.0);
    world.run(30, 1900.0);
    for _ in 0..20 {
        let decisions = [world.run(12, 2150.0), world.run(18, 1850.0)].concat();
        assert!(decisions.iter().all(|decision| decision.to_apply().is_none()), "{decisions:#?}");
    }
    assert_eq!(world.replicas, 2);
}

#[test]
fn a_record_of_a_partition_to_which_hardly_any_come_makes_nobody_impatient() {
    let mut world = World::new(12, 2, 1000.0);
    // Each of two replicas has as much to do.
    let weight = |number| match (number, number % 2) {
        (0, _) => 1e-5,
        (_, 0) => 6.0,
        _ => 5.0,
    };
    let weights: Vec<f64> = (0..12).map(weight).collect();
    for look in 0..100 {
        world.pass_with(1990.0, &weights);
        // One that came at the end of the look.
        world.partitions[0].0 += f64::from(u8::from(look % 5 == 0));
        let decision = world.decide_by(&world.signals());
        assert_eq!(decision.to_apply(), None, "{}", decision.text);
        assert!(look < 10 || decision.reason == Reason::WaitingToScaleUp, "{}", decision.text);
    }
}

#[test]
fn with_head_room_replicas_are_added_before_records_wait() {
    let mut world = World::new(12, 2, 1000.0);
    world.settings.utilization = 0.9;
    let decisions = world.run(3, 1850.0);
    assert_eq!(world.replicas, 3, "{}", decisions[2].text);
    assert!(world.left() < 1.0, "{}", world.left());
}

#[test]
fn pods_that_take_long_to_start_are_asked_for_sooner() {
    let waited_when_asked = |start_looks| {
        let mut world = World::new(12, 1, 1000.0);
        world.start_looks = start_looks;
        world.run(20, 500.0);
        world.run(60, 3000.0);
        assert_eq!(world.replicas, 4);
        let decisions = world.run(90, 4500.0);
        let up = decisions.iter().position(|decision| decision.to_apply().is_some()).expect("a step up");
        decisions[up].terms.as_ref().map_or(0.0, |terms| terms.waiting)
    };
    assert!(waited_when_asked(12) < waited_when_asked(1));
}

#[test]
fn what_a_replica_can_do_ends_where_its_cpu_does_however_many_slots_are_free() {
    let mut world = World::new(12, 2, 1000.0);
    world.settings.first_guess = 2500.0;
    world.full_use = (0.4, 1.0);
    world.run(60, 900.0);
    let decision = world.run(1, 900.0).remove(0);
    let capacity = decision.terms.map(|terms| terms.capacity).expect("terms");
    assert!((950.0..1050.0).contains(&capacity), "{}", decision.text);
}

#[test]
fn a_burst_in_the_middle_of_a_look_says_nothing_about_what_a_replica_can_do() {
    let mut world = World::new(12, 2, 1000.0);
    world.run(60, 800.0);
    world.pass(800.0);
    for partition in &mut world.partitions {
        partition.0 += 1000.0;
    }
    let decision = world.decide_by(&world.signals());
    let capacity = decision.terms.map(|terms| terms.capacity).expect("terms");
    assert!((950.0..1050.0).contains(&capacity), "{}", decision.text);
}

#[test]
fn what_an_idle_replica_uses_of_its_cpu_teaches_nothing() {
    let mut world = World::new(12, 1, 1000.0);
    world.idle_cpus = 0.018;
    world.cpus = 0.1;
    let decision = world.run(60, 1.0).pop().expect("a decision");
    let capacity = decision.terms.map(|terms| terms.capacity).expect("terms");
    assert!((950.0..1050.0).contains(&capacity), "{}", decision.text);
}

#[test]
fn a_backlog_is_gone_in_time_though_replicas_do_a_little_less_than_before() {
    let mut world = World::new(12, 3, 1000.0);
    world.run(30, 300.0);
    for partition in &mut world.partitions {
        partition.0 += 55_000.0;
    }
    world.run(1, 300.0);
    world.capacity *= 0.91;
    world.run(12, 300.0);
    let left = world.left();
    assert!(left < 1.0, "{left}");
}

#[test]
fn replicas_go_by_half_at_most_after_fewer_were_enough_for_long_enough() {
    let mut world = World::new(12, 12, 1000.0);
    let decisions = world.run(19, 1000.0);
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
fn more_than_the_maximum_are_brought_down_to_it_at_once_whatever_waits_or_is_unknown() {
    let mut world = World::new(12, 12, 1000.0);
    world.run(3, 20_000.0);
    world.settings.max_replicas = 3;
    let decision = world.run(1, 20_000.0).remove(0);
    assert_eq!((decision.to_apply(), decision.reason), (Some(3), Reason::AboveMaximum), "{}", decision.text);
    assert!(decision.text.starts_with("12 → 3 replicas: there are more than the maximum."), "{}", decision.text);

    world.settings.max_replicas = 2;
    world.pass(20_000.0);
    let mut signals = world.signals();
    signals.lanes[0].partitions = Signal::Unknown { why: "timeout".to_owned() };
    signals.pods = Signal::Unknown { why: "timeout".to_owned() };
    let decision = world.decide_by(&signals);
    assert_eq!((decision.to_apply(), decision.reason), (Some(2), Reason::AboveMaximum), "{}", decision.text);
}

#[test]
fn more_than_the_maximum_stay_while_somebody_holds_them() {
    let mut world = World::new(12, 12, 1000.0);
    world.settings.max_replicas = 3;
    world.pass(100.0);
    let until = world.now + SignedDuration::from_mins(1);
    let decision = world.decide_by(&Signals { hold_until: Some(until), ..world.signals() });
    assert_eq!((decision.to_apply(), decision.desired), (None, 3), "{}", decision.text);
}
