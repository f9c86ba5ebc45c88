//! Tells an outage from a hiccup: a neighbour counts as away once nothing has succeeded for a while.
//!
//! Thousands of calls run at once, so one failed call says little; a health check that followed each of
//! them would flap, and log, as fast as they come.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use telemetry::Check;

/// How long nothing may succeed before the check goes down.
const PATIENCE: Duration = Duration::from_secs(1);

/// One neighbour, with the check that shows how it stands.
#[derive(Debug)]
pub struct Outage {
    check: Check,
    weight: Weight,
    failing_since: Mutex<Option<Instant>>,
}

/// What an outage means for this process.
#[derive(Clone, Copy, Debug)]
enum Weight {
    /// It is not ready.
    Serious,
    /// It tells of it and stays ready, because another process would fare no better.
    Tolerable,
}

impl Outage {
    /// The neighbour counts as well until a call says otherwise: with nothing to do, nothing is known.
    pub fn new(check: Check) -> Self {
        check.up();
        Self { check, weight: Weight::Serious, failing_since: Mutex::new(None) }
    }

    /// [`Outage::new`] for a neighbour whose outage leaves this process ready.
    pub fn tolerable(check: Check) -> Self {
        Self { weight: Weight::Tolerable, ..Self::new(check) }
    }

    /// A call succeeded, so the neighbour is there.
    pub fn succeeded(&self) {
        if self.failing_since.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            self.check.up();
        }
    }

    /// A call failed at `now`. `reason` is shown to operators.
    pub fn failed(&self, now: Instant, reason: impl FnOnce() -> String) {
        let mut failing_since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*failing_since.get_or_insert(now)) >= PATIENCE {
            match self.weight {
                Weight::Serious => self.check.down(reason()),
                Weight::Tolerable => self.check.impaired(reason()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use telemetry::Health;

    use super::*;

    #[test]
    fn a_hiccup_is_no_outage() {
        let health = Health::default();
        let outage = Outage::new(health.check("sms-api"));
        let start = Instant::now();
        outage.failed(start, || "refused".to_owned());
        assert!(health.report().is_up());
        outage.succeeded();
        outage.failed(start + PATIENCE, || "refused".to_owned());
        assert!(health.report().is_up());
    }

    #[test]
    fn a_tolerable_outage_is_told_and_leaves_the_process_ready() {
        let health = Health::default();
        let outage = Outage::tolerable(health.check("provider"));
        let start = Instant::now();
        outage.failed(start, || "refused".to_owned());
        outage.failed(start + PATIENCE, || "refused".to_owned());
        assert!(health.report().is_up());
        assert!(format!("{:?}", health.report()).contains("refused"));
        outage.succeeded();
        assert!(!format!("{:?}", health.report()).contains("refused"));
    }

    #[test]
    fn an_outage_shows_until_the_first_success() {
        let health = Health::default();
        let outage = Outage::new(health.check("sms-api"));
        let start = Instant::now();
        outage.failed(start, || "refused".to_owned());
        outage.failed(start + PATIENCE, || "refused".to_owned());
        assert!(!health.report().is_up());
        outage.succeeded();
        assert!(health.report().is_up());
    }
}
