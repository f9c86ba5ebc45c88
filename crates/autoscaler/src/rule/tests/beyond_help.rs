//! What more replicas cannot help, and what is no backlog.

use super::*;

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
    let left = world.left();
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

/// The provider takes this part of what it took before, from one look to the next.
#[track_caller]
fn check_collapse(part: f64, start_looks: u32) {
    let mut world = World::new(12, 3, 1000.0);
    world.start_looks = start_looks;
    world.run(120, 1500.0);
    assert_eq!(world.replicas, 2);
    world.provider = 1500.0 * part;
    // As long as a verdict counts, and no longer.
    let decisions = world.run(150, 1500.0);
    let ups: Vec<_> = decisions.iter().filter(|decision| decision.desired > decision.current).collect();
    let texts = || ups.iter().map(|decision| &decision.text).collect::<Vec<_>>();
    assert_eq!(ups.len(), 1, "at {part} with {start_looks} looks to start: {:#?}", texts());
    let last = decisions.last().expect("a decision");
    assert_eq!(last.bound, Some(Bound::Ineffective), "at {part}: {}", last.text);
    assert!(last.text.contains("no further step up"), "{}", last.text);
    world.provider = f64::INFINITY;
    world.run(40, 1500.0);
    let left = world.left();
    assert!(left < 1.0, "{left} are left after {part}");
}

#[test]
fn a_provider_that_breaks_down_gets_one_useless_step_until_it_recovers() {
    for part in [0.0, 0.1, 0.2, 0.3] {
        for start_looks in [1, 2] {
            check_collapse(part, start_looks);
        }
    }
}
