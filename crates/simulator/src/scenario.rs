//! What happens in a simulation: a trace of traffic, and the world that it meets.

use autoscaler::{InvalidSettings, Settings};
use serde::{Deserialize, Serialize};

/// A trace and its world. Times are seconds from the beginning, rates records per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about, in one sentence.
    pub about: String,
    /// How long it takes.
    pub seconds: u32,
    /// What comes: `[time, rate]`, with straight lines between.
    pub rate: Vec<(f64, f64)>,
    /// By which part of itself the rate varies from minute to minute (standard deviation), beside the randomness of single
    /// records.
    #[serde(default)]
    pub noise: f64,
    /// Records that come all at once: `[time, records]`.
    #[serde(default)]
    pub bursts: Vec<(u32, u64)>,
    /// How many partitions there are.
    pub partitions: u32,
    /// How much of what comes goes to partition 0, as a multiple of what goes to each of the others; 1 when absent.
    #[serde(default = "one")]
    pub hot_factor: f64,
    /// How many replicas there are at the beginning.
    pub replicas: u32,
    /// How long the provider takes for a record: `[time, seconds]`, each until the next.
    pub latency: Vec<(u32, f64)>,
    /// What the CPU of a replica can do at most, in records per second.
    pub cpu_capacity: f64,
    /// What the provider takes from all replicas together, unknown to them: `[time, rate]`, each until the next. What is
    /// beyond waits with the provider, in slots of the replicas; with a rate of 0 it takes nothing and answers nobody.
    #[serde(default)]
    pub provider_limit: Vec<(u32, f64)>,
    /// Which part of what the provider takes fails, from 0 to 1: `[time, part]`, each until the next. What fails is finished.
    #[serde(default)]
    pub failing: Vec<(u32, f64)>,
    /// How long a pod takes to start, at least and at most.
    #[serde(default = "default_start")]
    pub start_seconds: (u32, u32),
    /// For how long the group stops when its members change.
    #[serde(default = "default_pause")]
    pub pause_seconds: u32,
    /// While a broker is away.
    #[serde(default)]
    pub broker_outages: Vec<BrokerOutage>,
    /// Partitions of which only so much can be done, however many slots are free.
    #[serde(default)]
    pub stuck: Vec<Stuck>,
    /// What the user asks of the autoscaler; bounds are those of every policy.
    pub settings: Settings,
}

/// A broker that is away: its partitions are neither read nor written, and what would have come to them comes afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerOutage {
    /// From when on.
    pub from: u32,
    /// Until when.
    pub to: u32,
    /// Every `one_in`th partition is its.
    pub one_in: u32,
}

/// A partition whose records wait for each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stuck {
    /// From when on.
    pub from: u32,
    /// Until when.
    pub to: u32,
    /// Which.
    pub partition: u32,
    /// How many of its records can be done each second.
    pub per_second: f64,
}

fn one() -> f64 {
    1.0
}

fn default_start() -> (u32, u32) {
    (15, 25)
}

fn default_pause() -> u32 {
    3
}

/// Why a scenario cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum InvalidScenario {
    /// It is no JSON, or not of a scenario.
    #[error("{0}")]
    NotReadable(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// The autoscaler refuses its settings.
    #[error("settings: {0}")]
    Settings(#[from] InvalidSettings),
    /// A field has a value that makes no sense.
    #[error("{field}: {problem}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
}

/// That no trace has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no trace {0:?}, nor a file of that name; traces are {names}", names = NAMES.join(", "))]
pub struct UnknownTrace(pub String);

macro_rules! traces {
    ($($name:literal),+ $(,)?) => {
        /// The names of the traces that come with the simulator.
        pub const NAMES: [&str; [$($name),+].len()] = [$($name),+];
        const CONTENTS: [&str; NAMES.len()] = [$(include_str!(concat!("../traces/", $name, ".json"))),+];
    };
}

traces!(
    "steady",
    "step",
    "backlog",
    "sawtooth",
    "diurnal-week",
    "flash-crowd",
    "skew",
    "slow-provider",
    "provider-outage",
    "broker-replaced",
    "poison-partition",
);

impl Scenario {
    /// The trace of this name.
    pub fn named(name: &str) -> Result<Scenario, UnknownTrace> {
        let index = NAMES.iter().position(|known| *known == name).ok_or_else(|| UnknownTrace(name.to_owned()))?;
        Ok(Scenario::parse(CONTENTS[index]).expect("the traces that come with the simulator are valid"))
    }

    /// Reads a scenario from JSON.
    pub fn parse(json: &str) -> Result<Scenario, InvalidScenario> {
        let scenario: Scenario = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json))?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), InvalidScenario> {
        self.settings.check()?;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let refuse = |field, problem| Err(InvalidScenario::Field { field, problem });
        if self.seconds < 60 || self.seconds > 60 * 86_400 {
            return refuse("seconds", "must be from 60 to 5184000 (sixty days)");
        }
        if self.partitions == 0 || self.partitions > 1000 {
            return refuse("partitions", "must be from 1 to 1000");
        }
        if self.rate.is_empty() || self.rate.iter().any(|(_, rate)| !rate.is_finite() || *rate < 0.0) {
            return refuse("rate", "needs at least one [time, rate], and no rate may be negative");
        }
        if !self.rate.is_sorted_by(|one, other| one.0 <= other.0) {
            return refuse("rate", "times must not go back");
        }
        if self.latency.is_empty() || self.latency.iter().any(|(_, seconds)| !positive(*seconds)) {
            return refuse("latency", "needs at least one [time, seconds], each above 0");
        }
        if self.provider_limit.iter().any(|(_, rate)| !rate.is_finite() || *rate < 0.0) {
            return refuse("provider_limit", "each [time, rate] must have a rate of at least 0");
        }
        if self.failing.iter().any(|(_, part)| !(0.0..=1.0).contains(part)) {
            return refuse("failing", "each [time, part] must have a part from 0 to 1");
        }
        if !positive(self.cpu_capacity) {
            return refuse("cpu_capacity", "must be above 0");
        }
        if !positive(self.hot_factor) {
            return refuse("hot_factor", "must be above 0");
        }
        if !(0.0..=1.0).contains(&self.noise) {
            return refuse("noise", "must be from 0 to 1");
        }
        if self.start_seconds.0 > self.start_seconds.1 {
            return refuse("start_seconds", "must be [least, most]");
        }
        if self.broker_outages.iter().any(|outage| outage.one_in == 0 || outage.from >= outage.to) {
            return refuse("broker_outages", "each must have from before to, and one_in of at least 1");
        }
        if self.stuck.iter().any(|stuck| stuck.partition >= self.partitions || stuck.per_second < 0.0) {
            return refuse("stuck", "each must name a partition that exists, and per_second must not be negative");
        }
        Ok(())
    }

    /// What comes each second at this time, before noise.
    pub fn rate_at(&self, second: f64) -> f64 {
        let after = self.rate.partition_point(|(time, _)| *time <= second);
        match (after.checked_sub(1).map(|index| self.rate[index]), self.rate.get(after)) {
            (Some((from, low)), Some(&(to, high))) => low + (high - low) * (second - from) / (to - from),
            (Some((_, rate)), None) | (None, Some(&(_, rate))) => rate,
            (None, None) => 0.0,
        }
    }

    /// How long the provider takes for a record.
    pub fn latency_at(&self, second: u32) -> f64 {
        until_next(&self.latency, second).unwrap_or(self.latency[0].1)
    }

    /// What the provider takes each second, if it has a limit that nobody knows.
    pub fn provider_limit_at(&self, second: u32) -> Option<f64> {
        until_next(&self.provider_limit, second)
    }

    /// Which part of what the provider takes fails.
    pub fn failing_at(&self, second: u32) -> f64 {
        until_next(&self.failing, second).unwrap_or(0.0)
    }

    /// What one replica can do each second.
    pub fn capacity_at(&self, second: u32) -> f64 {
        (f64::from(self.settings.max_in_flight) / self.latency_at(second)).min(self.cpu_capacity)
    }

    /// What so many replicas can do each second, of records that are spread evenly: the one that reads most partitions is full.
    pub fn fleet_capacity_at(&self, second: u32, replicas: u32) -> f64 {
        let fullest = f64::from(self.partitions.div_ceil(replicas));
        self.capacity_at(second) * f64::from(self.partitions) / fullest
    }

    /// How much of what comes goes to each partition; the sum is 1.
    pub fn shares(&self) -> Vec<f64> {
        let all = self.hot_factor + f64::from(self.partitions - 1);
        (0..self.partitions).map(|partition| if partition == 0 { self.hot_factor / all } else { 1.0 / all }).collect()
    }

    /// Whether some policy could keep records of this partition from waiting too long: one that is stuck or needs more than
    /// a replica of its own tells nothing about policies.
    pub fn can_be_helped(&self, partition: u32) -> bool {
        let average = (0..self.seconds).step_by(60).map(|second| self.rate_at(f64::from(second))).sum::<f64>()
            / f64::from(self.seconds.div_ceil(60));
        let needs = average * self.shares()[partition as usize];
        needs < self.capacity_at(0) && self.stuck.iter().all(|stuck| stuck.partition != partition)
    }

    /// The same of each partition. It looks at the whole trace, so it is asked for once.
    pub fn which_can_be_helped(&self) -> Vec<bool> {
        (0..self.partitions).map(|partition| self.can_be_helped(partition)).collect()
    }
}

/// The value of the last point that is not after `second`.
fn until_next(points: &[(u32, f64)], second: u32) -> Option<f64> {
    points.iter().take_while(|(time, _)| *time <= second).last().map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trace_can_be_played_under_its_name() {
        for name in NAMES {
            assert_eq!(Scenario::named(name).expect("a trace").name, name);
        }
        let unknown = Scenario::named("stedy").expect_err("no trace").to_string();
        assert!(unknown.starts_with("there is no trace \"stedy\", nor a file of that name; traces are steady, step, "));
    }

    #[track_caller]
    fn check_refused(from: &str, to: &str, expected: &str) {
        let text = CONTENTS[0].replacen(from, to, 1);
        assert_ne!(text, CONTENTS[0], "{from:?} is in the trace");
        assert_eq!(Scenario::parse(&text).expect_err("invalid").to_string(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_the_name_of_its_field() {
        check_refused("\"partitions\": 12", "\"partitions\": 0", "partitions: must be from 1 to 1000");
        check_refused("\"max_replicas\": 12", "\"max_replicas\": 0", "settings: max_replicas must be at least 1");
        check_refused("\"seconds\": 86400", "\"seconds\": 5", "seconds: must be from 60 to 5184000 (sixty days)");
        let from = "\"latency\": [[0, 0.5]]";
        let failing = "\"failing\": [[0, 1.5]], \"latency\": [[0, 0.5]]";
        check_refused(from, failing, "failing: each [time, part] must have a part from 0 to 1");
        let limit = "\"provider_limit\": [[0, -1]], \"latency\": [[0, 0.5]]";
        check_refused(from, limit, "provider_limit: each [time, rate] must have a rate of at least 0");
        check_refused("[0, 0.5]", "[0, 0.0]", "latency: needs at least one [time, seconds], each above 0");
    }

    #[test]
    fn the_rate_is_a_line_from_point_to_point() {
        let scenario = Scenario {
            rate: vec![(0.0, 10.0), (10.0, 20.0), (10.0, 50.0)],
            ..Scenario::named("steady").expect("a trace")
        };
        for (second, rate) in [(0.0, 10.0), (5.0, 15.0), (10.0, 50.0), (100.0, 50.0)] {
            assert!((scenario.rate_at(second) - rate).abs() < 1e-9, "at {second}");
        }
    }
}
