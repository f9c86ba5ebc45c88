//! When a pipeline that is not as wanted is looked at again. [`delay`] is pure.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::runtime::reflector::ObjectRef;

use crate::crd::SmsPipeline;

/// Why a pipeline is not as wanted, as far as it matters for when to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Somebody else wrote at the same moment: trying again is enough.
    Conflict,
    /// The API server does not answer, or fails.
    Unavailable,
    /// The API server says no, and will say so until somebody changes something.
    Refused,
    /// It waits for something that no watch tells of, such as a broker.
    Waiting,
}

impl Class {
    /// Of an answer of the API server.
    pub fn of(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) if status.code == 409 => Self::Conflict,
            kube::Error::Api(status) if status.code == 429 || status.code >= 500 => Self::Unavailable,
            kube::Error::Api(_) => Self::Refused,
            _ => Self::Unavailable,
        }
    }

    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Waiting => "waiting",
        }
    }

    /// The first delay and the longest.
    fn range(self) -> (Duration, Duration) {
        match self {
            Self::Conflict => (Duration::from_millis(200), Duration::from_secs(10)),
            Self::Unavailable => (Duration::from_secs(1), Duration::from_mins(1)),
            Self::Refused => (Duration::from_secs(5), Duration::from_mins(1)),
            Self::Waiting => (Duration::from_secs(2), Duration::from_secs(15)),
        }
    }
}

/// The delay after `before` earlier rounds that ended the same way: doubled each time up to the longest, and then up to a
/// quarter shorter by `jitter`, a random number from 0 to 1, so that pipelines which failed together do not come back
/// together.
pub fn delay(class: Class, before: u32, jitter: f64) -> Duration {
    let (first, longest) = class.range();
    let doubled = first.saturating_mul(1 << before.min(16)).min(longest);
    doubled.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

/// How often each pipeline ended the same way in a row.
#[derive(Debug, Default)]
pub struct Backoff {
    rounds: Mutex<HashMap<ObjectRef<SmsPipeline>, (Class, u32)>>,
}

impl Backoff {
    /// The delay before the next round of a pipeline that ended this way.
    pub fn next(&self, pipeline: ObjectRef<SmsPipeline>, class: Class) -> Duration {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = rounds.entry(pipeline).or_insert((class, 0));
        if entry.0 != class {
            *entry = (class, 0);
        }
        let before = entry.1;
        entry.1 = before.saturating_add(1);
        delay(class, before, fastrand::f64())
    }

    /// A round ended well, or the pipeline is gone.
    pub fn forget(&self, pipeline: &ObjectRef<SmsPipeline>) {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner).remove(pipeline);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Class; 4] = [Class::Conflict, Class::Unavailable, Class::Refused, Class::Waiting];

    #[test]
    fn delays_double_up_to_the_longest_and_never_pass_it() {
        let seconds: Vec<_> = (0..8).map(|before| delay(Class::Unavailable, before, 0.0).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        for class in ALL {
            assert_eq!(delay(class, u32::MAX, 0.0), class.range().1, "{class:?}");
        }
    }

    #[test]
    fn what_fails_again_and_again_is_tried_less_than_once_in_ten_seconds_in_the_long_run() {
        for class in [Class::Unavailable, Class::Refused, Class::Waiting] {
            assert!(delay(class, 10, 1.0) > Duration::from_secs(10), "{class:?}");
        }
    }

    #[test]
    fn jitter_shortens_a_delay_by_a_quarter_at_most() {
        for class in ALL {
            let (whole, shortest) = (delay(class, 3, 0.0), delay(class, 3, 1.0));
            assert_eq!(shortest, whole.mul_f64(0.75), "{class:?}");
            assert_eq!(delay(class, 3, 7.0), shortest, "{class:?}");
        }
    }

    #[test]
    fn a_round_that_ends_well_or_otherwise_starts_the_count_anew() {
        let (backoff, pipeline) = (Backoff::default(), ObjectRef::<SmsPipeline>::new("a").within("default"));
        let next = |class| backoff.next(pipeline.clone(), class);
        let first = |class: Class| class.range().0;
        assert!(next(Class::Waiting) <= first(Class::Waiting));
        assert!(next(Class::Waiting) > first(Class::Waiting));
        assert!(next(Class::Refused) <= first(Class::Refused));
        assert!(next(Class::Waiting) <= first(Class::Waiting));
        assert!(next(Class::Waiting) > first(Class::Waiting));
        backoff.forget(&pipeline);
        assert!(next(Class::Waiting) <= first(Class::Waiting));
    }
}
