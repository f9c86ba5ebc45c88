//! One trace played through one policy, or through several.

use serde::Serialize;

use crate::{
    outcome::{Outcome, Sample, Watch},
    policy::{ALLOWED, Clairvoyant, Policy, PolicyName},
    scenario::Scenario,
    world::World,
};

/// A burst is gone when no more waits than comes in so many seconds.
const GONE_SECONDS: f64 = 5.0;

/// Plays a scenario; the same seed gives the same outcome.
pub fn run(scenario: &Scenario, policy: &PolicyName, seed: u64) -> Outcome {
    if *policy == PolicyName::clairvoyant() {
        return compare(scenario, std::slice::from_ref(policy), seed).outcomes.remove(0);
    }
    play(scenario, policy, &mut *policy.begin(scenario), seed)
}

fn play(scenario: &Scenario, policy: &PolicyName, formula: &mut dyn Policy, seed: u64) -> Outcome {
    let mut world = World::new(scenario, seed);
    let mut watch = Watch::new(scenario.seconds);
    let can_be_helped = scenario.which_can_be_helped();
    let (mut cost, mut steps, mut late_steps, mut most) = (0_u64, 0, 0, scenario.replicas);
    let mut drained_after = vec![None; scenario.bursts.len()];
    let (first_epoch, mut end) = (world.epoch(), 0);
    for second in 0..scenario.seconds {
        world.pass();
        let waiting = world.waiting();
        let came = world.sums().0 - std::mem::replace(&mut end, world.sums().0);
        let age = world.oldest(&can_be_helped);
        watch.see(second, Sample { second, input: came as f64, waiting, age, pods: world.pods() });
        for ((at, _), drained) in scenario.bursts.iter().zip(&mut drained_after) {
            let is_gone = waiting as f64 <= GONE_SECONDS * scenario.rate_at(f64::from(second));
            if second > *at && drained.is_none() && is_gone {
                *drained = Some(second - at);
            }
        }
        cost += u64::from(world.pods());
        if let Some(replicas) = formula.decide(&world) {
            steps += 1;
            late_steps += u32::from(second >= 600);
            most = most.max(replicas);
            world.scale(replicas);
        }
    }
    let drain_within = u32::try_from(scenario.settings.drain_within.as_secs()).unwrap_or(u32::MAX);
    Outcome {
        policy: policy.to_string(),
        replica_seconds: cost,
        steps,
        steps_after_ten_minutes: late_steps,
        pauses: u32::try_from(world.epoch() - first_epoch).unwrap_or(u32::MAX),
        most_replicas: most,
        age_p50: watch.age(0.5),
        age_p99: watch.age(0.99),
        age_max: watch.age(1.0),
        seconds_too_old: watch.seconds_older_than(drain_within),
        drained_after,
        records: world.sums().1,
        samples: watch.into_samples(),
        decisions: formula.decisions().to_vec(),
    }
}

/// What several policies made of one trace.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The trace.
    pub scenario: Scenario,
    /// The seed of every run.
    pub seed: u64,
    /// The age that counts as kept, in seconds: `drain_within` and the time that a pod takes to start, or a tenth more than
    /// the maximum of replicas from the beginning on would have reached where that is more.
    pub age_allowed: u32,
    /// What the clairvoyant plan costs.
    pub least_replica_seconds: u64,
    /// One for each policy.
    pub outcomes: Vec<Outcome>,
}

impl Comparison {
    /// Whether a policy kept what could be kept.
    pub fn is_kept_by(&self, outcome: &Outcome) -> bool {
        outcome.age_p99 <= self.age_allowed
    }

    /// What a policy costs, as a multiple of the clairvoyant plan.
    pub fn relative_cost(&self, outcome: &Outcome) -> f64 {
        outcome.replica_seconds as f64 / self.least_replica_seconds.max(1) as f64
    }
}

/// Plays a scenario through several policies.
pub fn compare(scenario: &Scenario, policies: &[PolicyName], seed: u64) -> Comparison {
    let drain_within = u32::try_from(scenario.settings.drain_within.as_secs()).unwrap_or(u32::MAX);
    let best = run(scenario, &PolicyName::most(), seed);
    let age_allowed = (drain_within + scenario.start_seconds.1).max(best.age_p99 + best.age_p99 / 10);
    let least = least(scenario, seed, age_allowed);
    let outcome = |policy: &PolicyName| {
        if *policy == PolicyName::clairvoyant() {
            least.clone()
        } else if *policy == PolicyName::most() {
            best.clone()
        } else {
            run(scenario, policy, seed)
        }
    };
    Comparison {
        scenario: scenario.clone(),
        seed,
        age_allowed,
        least_replica_seconds: least.replica_seconds,
        outcomes: policies.iter().map(outcome).collect(),
    }
}

/// The cheapest plan that keeps the age. Plans are made for records that are spread evenly; where they are not, less may wait.
fn least(scenario: &Scenario, seed: u64, age_allowed: u32) -> Outcome {
    let name = PolicyName::clairvoyant();
    let mut plans = ALLOWED.map(|allowed| (allowed, None));
    for (allowed, plan) in &mut plans {
        let mut policy = Clairvoyant::plan(scenario, seed, *allowed);
        let outcome = play(scenario, &name, &mut policy, seed);
        if outcome.age_p99 <= age_allowed {
            return outcome;
        }
        *plan = Some(outcome);
    }
    let kept = plans.into_iter().filter_map(|(_, plan)| plan).min_by_key(|plan| plan.age_p99);
    kept.expect("there is at least one plan")
}
