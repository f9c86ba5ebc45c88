//! Whether records may wait a little before replicas are added.
//!
//! Load that goes up and down around what the replicas can do would add one and take it away again and again. A backlog that
//! is far smaller than what is allowed evens that out at no cost, and tells better than any measurement of what replicas can
//! do whether they are too few.

use crate::{effect::learnt_of_steps, settings::Settings};

/// For which part of the time within which a backlog is to be gone records may wait.
const PART: f64 = 0.2;
/// How much more than what is needed fewer replicas must be able to do before some are taken away where no backlog evens out
/// what goes up and down: otherwise noise would add and remove one for ever.
const ROOM_TO_SCALE_IN: f64 = 1.05;
/// How long a step up takes until it helps, in seconds, before that was measured: an interval, a pod's start and a rebalance.
pub(crate) const USUAL_STEP_SECONDS: f64 = 35.0;
/// The longest that is believed, in seconds.
const LONGEST_STEP_SECONDS: f64 = 300.0;

/// For how long records wait, and may wait. In seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Patience {
    /// How long the oldest record will have waited by the time that a step taken now would help.
    pub expected_wait_seconds: f64,
    /// How long that may be; 0 where replicas are to have head room, so that nothing waits.
    pub allowed_wait_seconds: f64,
}

impl Patience {
    /// Of records that have waited for so long, where `input` come each second, replicas are able to do so many, and a step
    /// takes so long.
    pub fn of(settings: &Settings, longest_wait_seconds: f64, input: f64, able: f64, step_seconds: f64) -> Patience {
        let further = if input > able { (input - able) / input * step_seconds } else { 0.0 };
        let part = if settings.utilization < 1.0 { 0.0 } else { PART };
        Patience {
            expected_wait_seconds: longest_wait_seconds + further,
            allowed_wait_seconds: part * settings.drain_within.as_secs_f64(),
        }
    }

    /// Whether a step up can wait.
    pub fn lasts(self) -> bool {
        self.expected_wait_seconds < self.allowed_wait_seconds
    }
}

/// How many times what is needed fewer replicas must be able to do before some are taken away.
pub(crate) fn room_to_scale_in(patience: Option<Patience>) -> f64 {
    if patience.is_some_and(Patience::lasts) { 1.0 } else { ROOM_TO_SCALE_IN }
}

/// How long a step takes, after one more took so long. In seconds.
pub(crate) fn learn_step_seconds(before: Option<f64>, took: f64) -> f64 {
    learnt_of_steps(before.unwrap_or(USUAL_STEP_SECONDS), took.min(LONGEST_STEP_SECONDS))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(utilization: f64, longest_wait_seconds: f64, input: f64, step_seconds: f64, expected: (f64, bool)) {
        let settings = Settings { utilization, ..Settings::new(1, 12, Duration::from_mins(2)) };
        let patience = Patience::of(&settings, longest_wait_seconds, input, 2000.0, step_seconds);
        assert!((patience.expected_wait_seconds - expected.0).abs() < 1e-9, "{patience:?}");
        assert_eq!(patience.lasts(), expected.1, "{patience:?}");
    }

    #[test]
    fn it_lasts_until_records_wait_for_a_fifth_of_the_time() {
        check(1.0, 0.0, 0.0, 35.0, (0.0, true));
        check(1.0, 23.0, 1500.0, 35.0, (23.0, true));
        check(1.0, 24.0, 1500.0, 35.0, (24.0, false));
    }

    #[test]
    fn what_comes_beyond_what_replicas_can_do_until_a_step_helps_is_counted_beforehand() {
        check(1.0, 10.0, 2500.0, 35.0, (17.0, true));
        check(1.0, 10.0, 2500.0, 100.0, (30.0, false));
        check(1.0, 0.0, 20_000.0, 35.0, (31.5, false));
    }

    #[test]
    fn there_is_none_where_head_room_is_asked_for() {
        check(0.99, 0.0, 1500.0, 35.0, (0.0, false));
    }

    #[test]
    fn how_long_a_step_takes_is_what_steps_took() {
        let mut learnt = None;
        for _ in 0..20 {
            learnt = Some(learn_step_seconds(learnt, 95.0));
        }
        assert!(learnt.is_some_and(|seconds| (seconds - 95.0).abs() < 0.1));
        assert!(learn_step_seconds(None, 1e9) < LONGEST_STEP_SECONDS);
    }
}
