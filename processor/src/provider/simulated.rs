//! A provider that takes time and fails now and then, but sends nothing: for trying out and for load tests.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use contract::SmsRequestedV1;
use serde::{Deserialize, Deserializer, de::Error};

use crate::{decide::Outcome, duration};

const PERMANENT: [&str; 4] =
    ["number not in service", "recipient has blocked the sender", "message refused by the carrier", "quota used up"];
const TRANSIENT: [&str; 3] = ["carrier busy", "carrier did not answer in time", "connection to the carrier lost"];

/// How the simulated provider behaves. Defaults: ADR-007, processing service.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SimulatedSettings {
    /// Shortest time that an attempt takes.
    #[serde(deserialize_with = "duration::deserialize")]
    pub min_delay: Duration,
    /// Longest time that an attempt takes.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_delay: Duration,
    /// Share of attempts that fail for good, in percent.
    #[serde(deserialize_with = "percentage")]
    pub failure_percent: u8,
    /// Share of attempts that fail for the moment, in percent.
    #[serde(deserialize_with = "percentage")]
    pub transient_percent: u8,
    /// Share of attempts that are answered with a wish to slow down, in percent.
    #[serde(deserialize_with = "percentage")]
    pub throttle_percent: u8,
    /// Makes two runs draw the same delays and outcomes in the same order.
    pub seed: Option<u64>,
}

impl Default for SimulatedSettings {
    fn default() -> Self {
        Self {
            min_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(3),
            failure_percent: 10,
            transient_percent: 0,
            throttle_percent: 0,
            seed: None,
        }
    }
}

impl SimulatedSettings {
    /// Refuses values that contradict each other.
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.min_delay > self.max_delay {
            return Err("simulated.minDelay must not be longer than simulated.maxDelay".to_owned());
        }
        let shares = [self.failure_percent, self.transient_percent, self.throttle_percent];
        if shares.into_iter().map(u32::from).sum::<u32>() > 100 {
            let names = "simulated.failurePercent, simulated.transientPercent and simulated.throttlePercent";
            return Err(format!("{names} must not exceed 100 together"));
        }
        Ok(())
    }
}

fn percentage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    let value = i64::deserialize(deserializer)?;
    u8::try_from(value)
        .ok()
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| D::Error::custom(format!("{value} is not a percentage: it must be from 0 to 100")))
}

/// The simulated provider.
#[derive(Debug)]
pub struct Simulated {
    settings: SimulatedSettings,
    /// How long it is waited for.
    timeout: Duration,
    random: Mutex<fastrand::Rng>,
}

impl Simulated {
    /// Starts the sequence of delays and outcomes.
    pub fn new(settings: &SimulatedSettings, timeout: Duration) -> Self {
        let random = settings.seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        Self { settings: settings.clone(), timeout, random: Mutex::new(random) }
    }

    /// The next delay and outcome, drawn together so that the order of calls alone decides.
    fn draw(&self) -> (Duration, Outcome) {
        let SimulatedSettings { min_delay, max_delay, failure_percent, transient_percent, throttle_percent, .. } =
            self.settings;
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let delay = min_delay + max_delay.saturating_sub(min_delay).mul_f64(random.f64());
        let draw = random.u8(0..100);
        let (refused, unavailable) = (failure_percent, failure_percent + transient_percent);
        let outcome = if draw < refused {
            Outcome::Refused { reason: one_of(&mut random, &PERMANENT) }
        } else if draw < unavailable {
            Outcome::Unavailable { reason: one_of(&mut random, &TRANSIENT) }
        } else if draw < unavailable + throttle_percent {
            Outcome::Throttled { retry_after: None }
        } else {
            Outcome::Delivered { provider_message_id: None }
        };
        (delay, outcome)
    }
}

impl super::Send for Simulated {
    async fn send(&self, _: &SmsRequestedV1) -> Outcome {
        let (delay, outcome) = self.draw();
        // What a timer of its own for the timeout would do, at half the price.
        tokio::time::sleep(delay.min(self.timeout)).await;
        if delay > self.timeout { Outcome::Unknown { reason: super::no_answer(self.timeout) } } else { outcome }
    }
}

fn one_of(random: &mut fastrand::Rng, reasons: &[&str]) -> String {
    random.choice(reasons).copied().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(settings: &SimulatedSettings, count: usize) -> Vec<(Duration, Outcome)> {
        let simulated = Simulated::new(settings, Duration::from_secs(30));
        (0..count).map(|_| simulated.draw()).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_sequence() {
        let settings = SimulatedSettings { seed: Some(42), transient_percent: 10, ..SimulatedSettings::default() };
        assert_eq!(drawn(&settings, 100), drawn(&settings, 100));
        let other = SimulatedSettings { seed: Some(43), ..settings.clone() };
        assert_ne!(drawn(&settings, 100), drawn(&other, 100));
    }

    #[test]
    fn delays_fill_the_range_and_never_leave_it() {
        let settings = SimulatedSettings { seed: Some(1), ..SimulatedSettings::default() };
        let drawn = drawn(&settings, 1000);
        assert!(drawn.iter().all(|(delay, _)| (settings.min_delay..=settings.max_delay).contains(delay)));
        assert!(drawn.iter().any(|(delay, _)| *delay < Duration::from_millis(1050)));
        assert!(drawn.iter().any(|(delay, _)| *delay > Duration::from_millis(2950)));
    }

    #[test]
    fn the_shares_of_failures_are_kept() {
        let settings = SimulatedSettings {
            seed: Some(7),
            failure_percent: 10,
            transient_percent: 30,
            throttle_percent: 20,
            ..SimulatedSettings::default()
        };
        let drawn = drawn(&settings, 10_000);
        let share = |wanted: fn(&Outcome) -> bool| drawn.iter().filter(|(_, outcome)| wanted(outcome)).count();
        let refused = share(|outcome| matches!(outcome, Outcome::Refused { .. }));
        let unavailable = share(|outcome| matches!(outcome, Outcome::Unavailable { .. }));
        assert!((900..1100).contains(&refused), "{refused} of 10000 refused");
        assert!((2800..3200).contains(&unavailable), "{unavailable} of 10000 unavailable");
        let throttled = share(|outcome| matches!(outcome, Outcome::Throttled { .. }));
        assert!((1800..2200).contains(&throttled), "{throttled} of 10000 throttled");
    }
}
