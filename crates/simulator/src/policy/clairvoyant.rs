//! The cheapest plan of one who knows the whole trace beforehand: what every other policy is measured by.
//!
//! Dynamic programming over slots of half a minute: at the end of each, for every count of replicas and every height of the
//! backlog, the cheapest way there. A change costs what it costs in the world, the pause of the group and the replicas that
//! start; a backlog must never be older than `drain_within`. Records are a fluid that is spread evenly, so that the plan is a
//! little better than what can be. It runs replicas at their full capacity: knowing what comes, it needs no head room.

use autoscaler::steps;

use super::Policy;
use crate::{
    scenario::{Scenario, Stuck},
    world::World,
};

const SLOT_SECONDS: u32 = 30;
/// Which part of the records of the last `drain_within` may wait, from plan to plan.
pub const ALLOWED: [f64; 6] = [0.95, 0.85, 0.7, 0.5, 0.25, 0.05];
/// How many heights of the backlog are told apart.
const HEIGHTS: usize = 24;
/// What a record costs that waits for too long: more than any number of replicas that can prevent it.
const LATE: f64 = 10.0;

pub struct Clairvoyant {
    /// The count of each slot.
    plan: Vec<u32>,
    /// How long before a slot its replicas must be asked for.
    lead_seconds: u32,
}

#[derive(Clone, Copy)]
struct Way {
    cost: f64,
    backlog: f64,
}

/// What a slot brings.
struct Slot {
    arrivals: f64,
    /// The most that may wait at its end.
    allowed: f64,
    second: u32,
}

impl Clairvoyant {
    pub fn plan(scenario: &Scenario, seed: u64, allowed: f64) -> Clairvoyant {
        let slots = slots(scenario, seed, allowed);
        let settings = &scenario.settings;
        let most = settings.max_replicas.min(scenario.partitions);
        let min = settings.min_replicas.max(1).min(most);
        let mut counts: Vec<u32> = steps(scenario.partitions, most).filter(|count| *count >= min).collect();
        if counts.first() != Some(&min) {
            counts.insert(0, min);
        }
        let start = f64::from(scenario.start_seconds.0 + scenario.start_seconds.1) / 2.0;
        let width = counts.len() * HEIGHTS;
        let mut ways: Vec<Option<Way>> = vec![None; width];
        let mut came_from: Vec<u32> = Vec::with_capacity(width * slots.len());
        for (slot_number, slot) in slots.iter().enumerate() {
            let mut next: Vec<Option<Way>> = vec![None; width];
            let mut from = vec![u32::MAX; width];
            let begin = (0, Way { cost: 0.0, backlog: 0.0 });
            let known: Vec<(usize, Way)> = if slot_number == 0 {
                vec![begin]
            } else {
                ways.iter().enumerate().filter_map(|(place, way)| Some((place, (*way)?))).collect()
            };
            for (place, way) in known {
                // What there is at the beginning costs nothing to have.
                let before = if slot_number == 0 { None } else { Some(counts[place / HEIGHTS]) };
                for (index, &count) in counts.iter().enumerate() {
                    let reached = reach(scenario, slot, way, before, count, start);
                    let height = ((reached.backlog / slot.allowed.max(1.0)) * (HEIGHTS - 1) as f64) as usize;
                    let target = index * HEIGHTS + height.min(HEIGHTS - 1);
                    if next[target].is_none_or(|best| reached.cost < best.cost) {
                        next[target] = Some(reached);
                        from[target] = place as u32;
                    }
                }
            }
            ways = next;
            came_from.extend(from);
        }
        let cheapest = (0..width)
            .filter_map(|place| Some((place, ways[place]?.cost)))
            .min_by(|one, other| one.1.total_cmp(&other.1))
            .map_or(0, |(place, _)| place);
        let (mut plan, mut place) = (Vec::with_capacity(slots.len()), cheapest);
        for slot in (0..slots.len()).rev() {
            plan.push(counts[place / HEIGHTS]);
            place = came_from[slot * width + place] as usize;
        }
        plan.reverse();
        Clairvoyant { plan, lead_seconds: scenario.start_seconds.1 }
    }

    fn at(&self, second: u32) -> u32 {
        let slot = (second / SLOT_SECONDS) as usize;
        self.plan[slot.min(self.plan.len() - 1)]
    }
}

/// What comes, as it will come: records of a partition that no policy can help are left out, and those of one that stands
/// still come when it goes on.
fn slots(scenario: &Scenario, seed: u64, allowed: f64) -> Vec<Slot> {
    let needs_too_much = |number: u32| {
        let is_stuck = scenario.stuck.iter().any(|stuck| stuck.partition == number);
        !is_stuck && !scenario.can_be_helped(number)
    };
    let left_out: Vec<bool> = (0..scenario.partitions).map(needs_too_much).collect();
    let mut world = World::new(scenario, seed);
    let mut known = vec![0; left_out.len()];
    let mut arrivals = vec![0.0; scenario.seconds.div_ceil(SLOT_SECONDS) as usize];
    for second in 0..scenario.seconds {
        world.receive();
        for (number, end) in world.ends().enumerate() {
            let stands = |stuck: &Stuck| stuck.partition as usize == number && (stuck.from..stuck.to).contains(&second);
            if !left_out[number] && !scenario.stuck.iter().any(stands) {
                let came = end - std::mem::replace(&mut known[number], end);
                arrivals[(second / SLOT_SECONDS) as usize] += came as f64;
            }
        }
    }
    let window = ((scenario.settings.drain_within.as_secs() as u32) / SLOT_SECONDS).max(1) as usize;
    let slot = |slot: usize| Slot {
        arrivals: arrivals[slot],
        allowed: allowed * arrivals[(slot + 1).saturating_sub(window)..=slot].iter().sum::<f64>(),
        second: slot as u32 * SLOT_SECONDS,
    };
    (0..arrivals.len()).map(slot).collect()
}

fn reach(scenario: &Scenario, slot: &Slot, way: Way, before: Option<u32>, count: u32, start: f64) -> Way {
    let able = scenario.fleet_capacity_at(slot.second, count);
    let able = able.min(scenario.provider_limit_at(slot.second).unwrap_or(f64::INFINITY));
    let able = able.min(scenario.settings.rate_limit.unwrap_or(f64::INFINITY));
    let started = count.saturating_sub(before.unwrap_or(count));
    // Each pod that becomes ready is a pause, up to as many as fit between the first and the last of them.
    let (first, last) = scenario.start_seconds;
    let pauses = (started * scenario.pause_seconds).min(last - first + scenario.pause_seconds);
    let pauses = if before.is_some_and(|before| before > count) { scenario.pause_seconds } else { pauses };
    let working = f64::from(SLOT_SECONDS.saturating_sub(pauses));
    let backlog = (way.backlog + slot.arrivals - able * working).max(0.0);
    let started = f64::from(started);
    let late = (backlog - slot.allowed).max(0.0);
    let cost = way.cost + f64::from(count * SLOT_SECONDS) + started * start + late * LATE;
    Way { cost, backlog }
}

impl Policy for Clairvoyant {
    fn decide(&mut self, world: &World<'_>) -> Option<u32> {
        let second = world.second;
        let wanted = self.at(second).max(self.at(second + self.lead_seconds));
        (wanted != world.replicas).then_some(wanted)
    }
}
