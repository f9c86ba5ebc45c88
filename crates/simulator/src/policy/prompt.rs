//! Who knows the input beforehand and lets nothing wait: a mark for what a rule may cost that works off everything at once.
//!
//! The fewest replicas that can do each moment's input, fully used, asked for so early that they are ready in time, and gone
//! as soon as fewer can. What waits all the same, as after a burst, is worked off within `drain_within`.

use autoscaler::steps;

use super::Policy;
use crate::{scenario::Scenario, world::World};

/// From how many seconds' worth of input on what is not finished is more than noise.
const NOISE_SECONDS: f64 = 5.0;

pub struct Prompt {
    scenario: Scenario,
    can_be_helped: Vec<bool>,
}

impl Prompt {
    pub fn new(scenario: &Scenario) -> Prompt {
        Prompt { scenario: scenario.clone(), can_be_helped: scenario.which_can_be_helped() }
    }
}

impl Policy for Prompt {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        let (scenario, settings) = (&self.scenario, &self.scenario.settings);
        let rate = |second: u32| scenario.rate_at(f64::from(second));
        let input = rate(world.second).max(rate(world.second + scenario.start_seconds.1));
        let helped = world.lags().into_iter().zip(&self.can_be_helped).filter(|(_, can)| **can);
        let waiting = helped.filter_map(|(lag, _)| lag).sum::<u64>() as f64;
        let backlog = if waiting > NOISE_SECONDS * input { waiting / settings.drain_within.as_secs_f64() } else { 0.0 };
        let most = settings.max_replicas.min(scenario.partitions);
        let is_enough = |replicas: &u32| scenario.fleet_capacity_at(world.second, *replicas) >= input + backlog;
        let enough = steps(scenario.partitions, most).find(is_enough);
        let wanted = enough.unwrap_or(most).max(settings.min_replicas);
        (wanted != world.replicas).then_some(wanted)
    }
}
