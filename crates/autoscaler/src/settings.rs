//! What the user asks of the autoscaler.

use std::time::Duration;

use jiff::fmt::serde::unsigned_duration::friendly::compact::required as friendly;
use serde::{Deserialize, Serialize};

/// Everything that the rule can be told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Fewest replicas; with 0, none run while there is nothing to do.
    pub min_replicas: u32,
    /// Most replicas.
    pub max_replicas: u32,
    /// Within which time a backlog is to be gone, once the replicas that it needs are ready.
    #[serde(with = "friendly")]
    pub drain_within: Duration,
    /// Which part of their capacity replicas are planned to use for what comes, above 0 and up to 1. With 1 records may wait a
    /// little before replicas are added; with less they are added before records wait.
    #[serde(default = "default_utilization")]
    pub utilization: f64,
    /// How often the rule is asked. A signal that is older than three of these is stale.
    #[serde(default = "default_interval", with = "friendly")]
    pub interval: Duration,
    /// For how long fewer replicas must have been enough before some are taken away.
    #[serde(default = "default_scale_down_after", with = "friendly")]
    pub scale_down_after: Duration,
    /// How many messages one replica has in work at most.
    pub max_in_flight: u32,
    /// What one replica does each second with all its slots taken, in records, until that is measured.
    pub first_guess: f64,
    /// How many replicas to run at least while signals are missing or the group does not come to rest for longer than
    /// `fallback_after`; never fewer than there are. None keeps what there is.
    #[serde(default)]
    pub fallback: Option<u32>,
    /// How long to wait for signals, pods and the group before falling back.
    #[serde(default = "default_fallback_after", with = "friendly")]
    pub fallback_after: Duration,
    /// Whether decisions are carried out.
    #[serde(default)]
    pub mode: Mode,
    /// What the provider takes each second from all replicas together, in records; none when it has no known limit.
    #[serde(default)]
    pub rate_limit: Option<f64>,
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// They are.
    #[default]
    Auto,
    /// They are only told.
    DryRun,
}

/// What replicas cannot do comes as backlog, which tells better than any measurement of them that they are too few. The
/// simulator says that 0.9 costs a fifth more over a week of days and nights, and that records then wait for nothing.
const fn default_utilization() -> f64 {
    1.0
}

const fn default_interval() -> Duration {
    Duration::from_secs(10)
}

/// The simulator says that two minutes more cost a hundredth more.
const fn default_scale_down_after() -> Duration {
    Duration::from_mins(3)
}

const fn default_fallback_after() -> Duration {
    Duration::from_mins(5)
}

/// Why settings cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum InvalidSettings {
    /// There would never be a replica.
    #[error("max_replicas must be at least 1")]
    NoReplicas,
    /// No count can keep both.
    #[error("min_replicas is {min} and max_replicas is {max}: min_replicas must not be greater")]
    MinimumAboveMaximum {
        /// The fewest.
        min: u32,
        /// The most.
        max: u32,
    },
    /// A backlog cannot be gone at once.
    #[error("drain_within must be at least 1s")]
    DrainWithin,
    /// It is no part of a whole.
    #[error("utilization is {0}: it must be above 0 and at most 1")]
    Utilization(f64),
    /// The rule would be asked without end.
    #[error("interval must be at least 1s")]
    Interval,
    /// Nothing could be in work.
    #[error("max_in_flight must be at least 1")]
    MaxInFlight,
    /// Nothing would ever be done.
    #[error("first_guess is {0}: it must be above 0, in records per second")]
    FirstGuess(f64),
    /// Nothing could ever be sent.
    #[error("rate_limit is {0}: it must be above 0, in records per second, or absent")]
    RateLimit(f64),
}

impl Settings {
    /// These bounds and this time, and the defaults of everything else.
    pub fn new(min_replicas: u32, max_replicas: u32, drain_within: Duration) -> Settings {
        Settings {
            min_replicas,
            max_replicas,
            drain_within,
            utilization: default_utilization(),
            interval: default_interval(),
            scale_down_after: default_scale_down_after(),
            max_in_flight: 4000,
            first_guess: 1000.0,
            fallback: None,
            fallback_after: default_fallback_after(),
            mode: Mode::Auto,
            rate_limit: None,
        }
    }

    /// Whether the rule can work with them.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        let (min, max) = (self.min_replicas, self.max_replicas);
        if max == 0 {
            return Err(InvalidSettings::NoReplicas);
        }
        if min > max {
            return Err(InvalidSettings::MinimumAboveMaximum { min, max });
        }
        if self.drain_within < Duration::from_secs(1) {
            return Err(InvalidSettings::DrainWithin);
        }
        if !is_positive(self.utilization) || self.utilization > 1.0 {
            return Err(InvalidSettings::Utilization(self.utilization));
        }
        if self.interval < Duration::from_secs(1) {
            return Err(InvalidSettings::Interval);
        }
        if self.max_in_flight == 0 {
            return Err(InvalidSettings::MaxInFlight);
        }
        if !is_positive(self.first_guess) {
            return Err(InvalidSettings::FirstGuess(self.first_guess));
        }
        match self.rate_limit {
            Some(limit) if !is_positive(limit) => Err(InvalidSettings::RateLimit(limit)),
            Some(_) | None => Ok(()),
        }
    }

    /// How old a signal may be.
    pub fn stale_after(&self) -> Duration {
        self.interval * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: impl FnOnce(&mut Settings), expected: &str) {
        let mut settings = Settings::new(1, 6, Duration::from_mins(1));
        assert_eq!(settings.check(), Ok(()));
        change(&mut settings);
        assert_eq!(settings.check().expect_err("invalid").to_string(), expected);
    }

    #[test]
    fn what_the_rule_cannot_work_with_is_refused_by_the_name_of_its_field() {
        check(|settings| settings.max_replicas = 0, "max_replicas must be at least 1");
        check(
            |settings| settings.min_replicas = 7,
            "min_replicas is 7 and max_replicas is 6: min_replicas must not be greater",
        );
        check(|settings| settings.drain_within = Duration::ZERO, "drain_within must be at least 1s");
        check(|settings| settings.utilization = 1.5, "utilization is 1.5: it must be above 0 and at most 1");
        check(|settings| settings.utilization = f64::NAN, "utilization is NaN: it must be above 0 and at most 1");
        check(|settings| settings.interval = Duration::ZERO, "interval must be at least 1s");
        check(|settings| settings.max_in_flight = 0, "max_in_flight must be at least 1");
        check(|settings| settings.first_guess = 0.0, "first_guess is 0: it must be above 0, in records per second");
        check(
            |settings| settings.rate_limit = Some(-1.0),
            "rate_limit is -1: it must be above 0, in records per second, or absent",
        );
    }

    #[test]
    fn settings_are_read_with_durations_as_people_write_them() {
        let json = r#"{"min_replicas":0,"max_replicas":6,"drain_within":"60s","max_in_flight":50,"first_guess":20}"#;
        let settings: Settings = serde_json::from_str(json).expect("settings");
        let expected = Settings { max_in_flight: 50, first_guess: 20.0, ..Settings::new(0, 6, Duration::from_mins(1)) };
        assert_eq!(settings, expected);
    }
}
