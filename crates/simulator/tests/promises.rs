//! What the rule promises, over whole traces.

use std::sync::LazyLock;

use autoscaler::{Bound, Finding, Reason};
use simulator::{Comparison, PolicyName, Scenario, TRACES, compare, run};

/// The rule on every trace.
static ALL: LazyLock<Vec<Comparison>> =
    LazyLock::new(|| TRACES.iter().map(|name| compare(&trace(name), &[PolicyName::drain_slo()], 1)).collect());

fn trace(name: &str) -> Scenario {
    Scenario::named(name).expect("a trace")
}

#[test]
fn constant_load_means_constant_replicas_for_a_day() {
    for seed in 0..5 {
        let outcome = run(&trace("steady"), &PolicyName::drain_slo(), seed);
        assert_eq!(outcome.steps_after_ten_minutes, 0, "seed {seed}");
    }
}

#[test]
fn a_backlog_is_gone_within_its_time_and_a_start_up_in_190_of_200_runs() {
    let scenario = trace("backlog");
    let within = u32::try_from(scenario.settings.drain_within.as_secs()).expect("short") + scenario.start_seconds.1;
    let drained = |seed| run(&scenario, &PolicyName::drain_slo(), seed).drained_after[0];
    let kept = (0..200).filter(|&seed| drained(seed).is_some_and(|after| after <= within)).count();
    assert!(kept >= 190, "{kept} of 200");
}

#[test]
fn no_record_waits_too_long_where_that_can_be_kept() {
    for comparison in &*ALL {
        let (name, outcome) = (&comparison.scenario.name, &comparison.outcomes[0]);
        assert!(comparison.is_kept_by(outcome), "{name}: {} s, {} allowed", outcome.age_p99, comparison.age_allowed);
    }
}

#[test]
fn all_traces_together_cost_at_most_1_15_times_what_a_plan_with_foresight_costs() {
    let cost: u64 = ALL.iter().map(|comparison| comparison.outcomes[0].replica_seconds).sum();
    let least: u64 = ALL.iter().map(|comparison| comparison.least_replica_seconds).sum();
    assert!(cost * 100 <= least * 115, "{cost} replica-seconds, at least {least}");
}

#[test]
fn a_wrong_first_guess_changes_nothing_after_five_minutes() {
    let right = run(&trace("backlog"), &PolicyName::drain_slo(), 3);
    for factor in [0.4, 2.0] {
        let mut scenario = trace("backlog");
        scenario.settings.first_guess *= factor;
        let outcome = run(&scenario, &PolicyName::drain_slo(), 3);
        let capacity = |at: i64| {
            let decisions = outcome.decisions.iter().filter(|decision| decision.at.as_second() >= at);
            decisions.filter_map(|decision| decision.terms.as_ref()).map(|terms| terms.capacity).next()
        };
        let found = capacity(300).expect("a decision");
        assert!((found - 1000.0).abs() <= 100.0, "{found} from a guess of {factor}");
        assert_eq!(outcome.drained_after, right.drained_after, "from a guess of {factor}");
    }
}

#[test]
fn a_hot_partition_is_named_and_stops_further_replicas() {
    let outcome = run(&trace("skew"), &PolicyName::drain_slo(), 1);
    let last = outcome.decisions.last().expect("a decision");
    assert_eq!(last.bound, Some(Bound::HotPartition), "{}", last.text);
    let named = |finding: &Finding| matches!(finding, Finding::HotPartition { partition: 0, .. });
    assert!(last.findings.iter().any(named), "{}", last.text);
    let useless = outcome
        .decisions
        .iter()
        .filter(|decision| decision.findings.iter().any(named) && decision.reason == Reason::ScaleUp);
    assert!(useless.count() <= 1);
}

#[test]
fn a_partition_that_stands_still_adds_no_replica_and_is_named() {
    let scenario = trace("poison-partition");
    let outcome = run(&scenario, &PolicyName::drain_slo(), 1);
    let (from, to) = (i64::from(scenario.stuck[0].from), i64::from(scenario.stuck[0].to));
    let meanwhile = || outcome.decisions.iter().filter(|decision| (from..to).contains(&decision.at.as_second()));
    let named = |finding: &Finding| matches!(finding, Finding::PartitionStuck { partition: 5, .. });
    assert!(meanwhile().any(|decision| decision.findings.iter().any(named)));
    assert!(meanwhile().all(|decision| decision.reason != Reason::ScaleUp));
}

#[test]
fn a_slow_provider_gets_one_useless_step_at_most_until_the_verdict_is_old() {
    let outcome = run(&trace("slow-provider"), &PolicyName::drain_slo(), 1);
    // It is slow from 1800 to 4200, and a verdict counts for half an hour.
    let slow = |at: i64| (1800..3600).contains(&at);
    let ups = outcome.decisions.iter().filter(|decision| {
        slow(decision.at.as_second()) && decision.to_apply().is_some_and(|to| to > decision.current)
    });
    let texts: Vec<_> = ups.map(|decision| &decision.text).collect();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    let said = outcome.decisions.iter().any(|decision| decision.text.contains("no further step up"));
    assert!(said, "it says why");
}

#[test]
fn a_provider_that_breaks_down_gets_one_useless_step_at_most_and_what_waits_is_drained_afterwards() {
    for (limit, start) in [(0.0, 5), (0.0, 20), (200.0, 5), (200.0, 20), (600.0, 5), (600.0, 20)] {
        let mut scenario = trace("provider-outage");
        scenario.provider_limit[1].1 = limit;
        scenario.start_seconds = (start, start);
        let (from, to) = (i64::from(scenario.provider_limit[1].0), i64::from(scenario.provider_limit[2].0));
        let outcome = run(&scenario, &PolicyName::drain_slo(), 1);
        let meanwhile = || outcome.decisions.iter().filter(|decision| (from..to).contains(&decision.at.as_second()));
        let ups = meanwhile().filter(|decision| decision.to_apply().is_some_and(|to| to > decision.current));
        let texts: Vec<_> = ups.map(|decision| &decision.text).collect();
        assert!(texts.len() <= 1, "at {limit} with {start} s to start: {texts:#?}");
        assert!(meanwhile().any(|decision| decision.text.contains("no further step up")), "at {limit} it says why");
        let after = u32::try_from(to).expect("a second of the trace") + 600;
        let oldest = outcome.samples.iter().filter(|sample| sample.second >= after).map(|sample| sample.age).max();
        // So long records may wait at any time.
        let allowed = scenario.settings.drain_within.as_secs() / 5;
        assert!(oldest.is_some_and(|age| u64::from(age) <= allowed), "at {limit}: {oldest:?} s old after ten minutes");
    }
}

#[test]
fn a_provider_that_fails_most_is_told_and_adds_no_replica() {
    let scenario = trace("provider-outage");
    let (from, to) = (i64::from(scenario.failing[1].0), i64::from(scenario.failing[2].0));
    let outcome = run(&scenario, &PolicyName::drain_slo(), 1);
    let meanwhile = || outcome.decisions.iter().filter(|decision| (from..to).contains(&decision.at.as_second()));
    let failing = |finding: &Finding| matches!(finding, Finding::ProviderFailing { .. });
    assert!(meanwhile().any(|decision| decision.findings.iter().any(failing)));
    assert!(meanwhile().all(|decision| decision.reason != Reason::ScaleUp));
}

#[test]
fn a_broker_that_is_away_never_takes_a_replica_away() {
    let scenario = trace("broker-replaced");
    let outcome = run(&scenario, &PolicyName::drain_slo(), 1);
    for decision in &outcome.decisions {
        let at = decision.at.as_second();
        let is_away = |from: u32, to: u32| (i64::from(from)..=i64::from(to)).contains(&at);
        let blind = scenario.broker_outages.iter().any(|outage| is_away(outage.from + 1, outage.to));
        assert!(!blind || decision.desired >= decision.current, "{}", decision.text);
    }
}

/// When it is told that replicas do less than usual, in seconds.
fn told_degraded(scenario: &Scenario) -> Option<i64> {
    let outcome = run(scenario, &PolicyName::drain_slo(), 1);
    let degraded = |finding: &Finding| matches!(finding, Finding::ThroughputDegraded { .. });
    let first = outcome.decisions.iter().find(|decision| decision.findings.iter().any(degraded));
    first.map(|decision| decision.at.as_second())
}

#[test]
fn replicas_that_slow_down_are_told_and_days_and_nights_are_not() {
    let mut slow = trace("steady");
    slow.seconds = 14_400;
    slow.latency = vec![(0, 0.5), (7200, 0.8)];
    let told = told_degraded(&slow).expect("it is told");
    assert!((7800..8400).contains(&told), "after {} s", told - 7200);
    assert_eq!(told_degraded(&trace("diurnal-week")), None);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for name in ["backlog", "flash-crowd"] {
        let outcome = || serde_json::to_string(&run(&trace(name), &PolicyName::drain_slo(), 11)).expect("JSON");
        assert_eq!(outcome(), outcome());
    }
}
