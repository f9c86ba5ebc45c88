//! The whole delivery policy: whether an attempt may be made, and what follows from its outcome.
//!
//! Pure: no Kafka, no HTTP, no clock and no randomness of its own. A new kind of outcome is a new variant of
//! [`Outcome`] and its arm in [`decide`].

use std::time::Duration;

use jiff::Timestamp;

/// What a provider said to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the message.
    Delivered,
    /// It refused the message for good; another attempt would end the same.
    Refused {
        /// Why, in words that the sender of the message may read.
        reason: String,
    },
    /// It did not take the message this time.
    Unavailable {
        /// Why, in words that the sender of the message may read.
        reason: String,
    },
}

/// What to do next with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Report it as sent.
    ReportSent,
    /// Report it as failed.
    ReportFailed {
        /// Why.
        reason: String,
        /// Whether another attempt later may succeed.
        transient: bool,
    },
    /// Try again after this time.
    RetryAfter(Duration),
}

/// How patient we are with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a message is tried again before it counts as failed.
    pub max_retries: u32,
    /// How long after a failed attempt the next one starts.
    pub delay: Duration,
}

/// By how much jitter prolongs a delay at most: messages that failed together do not come back together.
const LONGEST_JITTER: f64 = 0.25;

/// Decides before every attempt whether it is too late for it: a message that may be sent until `expires_at` is no
/// longer sent at that very moment.
pub fn has_expired(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|expires_at| expires_at <= now)
}

/// Decides after the `attempt`th attempt (from 1); `jitter` is a random number from 0 to 1.
pub fn decide(outcome: Outcome, attempt: u32, policy: Policy, jitter: f64) -> Decision {
    match outcome {
        Outcome::Delivered => Decision::ReportSent,
        Outcome::Refused { reason } => Decision::ReportFailed { reason, transient: false },
        Outcome::Unavailable { .. } if attempt <= policy.max_retries => {
            Decision::RetryAfter(policy.delay.mul_f64(1.0 + LONGEST_JITTER * jitter.clamp(0.0, 1.0)))
        }
        Outcome::Unavailable { reason } => {
            let attempts = if attempt == 1 { "1 attempt".to_owned() } else { format!("{attempt} attempts") };
            Decision::ReportFailed { reason: format!("{reason} (given up after {attempts})"), transient: true }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { max_retries: 3, delay: Duration::from_secs(1) };

    fn refused() -> Outcome {
        Outcome::Refused { reason: "number not in service".to_owned() }
    }

    fn unavailable() -> Outcome {
        Outcome::Unavailable { reason: "carrier busy".to_owned() }
    }

    fn failed_for_good(reason: &str) -> Decision {
        Decision::ReportFailed { reason: reason.to_owned(), transient: false }
    }

    fn failed_for_now(reason: &str) -> Decision {
        Decision::ReportFailed { reason: reason.to_owned(), transient: true }
    }

    #[track_caller]
    fn check(outcome: Outcome, attempt: u32, expected: &Decision) {
        assert_eq!(&decide(outcome, attempt, POLICY, 0.0), expected);
    }

    #[test]
    fn a_message_expires_at_its_time_and_never_without_one() {
        let now = Timestamp::UNIX_EPOCH;
        let nanosecond = Duration::from_nanos(1);
        assert!(!has_expired(None, now));
        assert!(!has_expired(Some(now + nanosecond), now));
        assert!(has_expired(Some(now), now));
        assert!(has_expired(Some(now - nanosecond), now));
    }

    #[test]
    fn a_delivered_message_is_reported_as_sent_whatever_came_before() {
        for attempt in 1..=5 {
            check(Outcome::Delivered, attempt, &Decision::ReportSent);
        }
    }

    #[test]
    fn a_refused_message_is_never_retried_and_fails_for_good() {
        for attempt in 1..=5 {
            check(refused(), attempt, &failed_for_good("number not in service"));
        }
    }

    #[test]
    fn a_transient_failure_is_retried_as_often_as_the_policy_says_and_stays_transient() {
        for attempt in 1..=3 {
            check(unavailable(), attempt, &Decision::RetryAfter(Duration::from_secs(1)));
        }
        check(unavailable(), 4, &failed_for_now("carrier busy (given up after 4 attempts)"));
        check(unavailable(), 5, &failed_for_now("carrier busy (given up after 5 attempts)"));
    }

    #[test]
    fn without_retries_the_first_transient_failure_is_the_last() {
        let policy = Policy { max_retries: 0, ..POLICY };
        assert_eq!(decide(unavailable(), 1, policy, 0.5), failed_for_now("carrier busy (given up after 1 attempt)"));
    }

    #[test]
    fn jitter_prolongs_a_delay_by_a_quarter_at_most() {
        for (jitter, milliseconds) in [(0.0, 1000), (0.5, 1125), (1.0, 1250), (7.0, 1250), (-7.0, 1000)] {
            let expected = Decision::RetryAfter(Duration::from_millis(milliseconds));
            assert_eq!(decide(unavailable(), 1, POLICY, jitter), expected, "jitter {jitter}");
        }
    }
}
