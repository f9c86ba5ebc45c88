//! The whole delivery policy: whether a message may be sent, and what follows from an attempt's outcome.
//!
//! Pure: no Kafka, no HTTP, no clock and no randomness of its own. A new kind of outcome is a new variant of
//! [`Outcome`] and its arm in [`decide`].

use std::time::Duration;

use contract::ClaimOutcome;
use jiff::Timestamp;

/// What a provider said to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the message.
    Delivered {
        /// What it calls the message.
        provider_message_id: Option<String>,
    },
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
    /// It did not take the message because it gets too many.
    Throttled {
        /// How long it wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// It may or may not have taken the message: no answer came, or none that says so.
    Unknown {
        /// Why nobody knows, in words that the sender of the message may read.
        reason: String,
    },
}

/// What a provider knows of a message that it may or may not have taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It has the message.
    Sent {
        /// What it calls the message.
        provider_message_id: Option<String>,
    },
    /// It does not have the message, which may be sent again.
    NotSent,
    /// It does not say.
    CannotTell {
        /// Why, in words that the sender of the message may read.
        reason: String,
    },
}

/// What to do next with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Report it as sent.
    ReportSent {
        /// What the provider calls it.
        provider_message_id: Option<String>,
    },
    /// Report it as failed.
    ReportFailed {
        /// Why.
        reason: String,
        /// Whether another attempt later may succeed.
        transient: bool,
    },
    /// Report that nobody knows.
    ReportUnknown {
        /// Why.
        reason: String,
    },
    /// Try again after this time.
    RetryAfter(Duration),
    /// Ask the provider after this time whether it has the message.
    AskAfter(Duration),
    /// Leave the provider alone for this time, and then try again. That is no failure of this message.
    SlowDown(Duration),
}

/// What follows when a message may have reached the provider and nobody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnUnknownOutcome {
    /// It is sent again, so it may arrive twice.
    #[default]
    Resend,
    /// It is not sent again, and reported as UNKNOWN.
    Hold,
    /// The provider is asked, and as long as it does not say that it does not have the message, this is held.
    Query,
}

/// How patient we are with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often a message is tried again before it counts as failed.
    pub max_retries: u32,
    /// How long after a failed attempt the next one starts.
    pub delay: Duration,
    /// What follows when nobody knows whether the provider has the message.
    pub on_unknown_outcome: OnUnknownOutcome,
}

/// How long a provider is left alone at most before it is tried again, whatever it says: it may be in error.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long it is left alone at least when it asks to slow down, even if it names a time that has passed.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// By how much jitter prolongs a delay at most: messages that failed together do not come back together.
const LONGEST_JITTER: f64 = 0.25;

/// From which time in Kafka on a record is doubted: it may be read again, because somebody has set the group back or its
/// position was lost.
const OLD: Duration = Duration::from_hours(1);

/// Decides whether sms-api is asked before a message is sent. `is_doubtful` says that somebody may have worked on its
/// record and left no trace, and `age` how long the record has been in Kafka.
pub fn is_asked_about(policy: Policy, is_doubtful: bool, age: Duration) -> bool {
    policy.on_unknown_outcome != OnUnknownOutcome::Resend || is_doubtful || age >= OLD
}

/// Whether a message may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Send,
    /// No, and there is nothing to report.
    Skip,
    /// No: it may have been sent, and nobody knows.
    Hold,
    /// It may have been sent, and the provider knows.
    AskProvider,
    /// sms-api knows no such message.
    UnknownMessage,
}

/// Decides by sms-api's answer whether a message may be sent.
pub fn permission(claimed: ClaimOutcome, policy: Policy) -> Permission {
    match (claimed, policy.on_unknown_outcome) {
        (ClaimOutcome::Granted, _) | (ClaimOutcome::ClaimedBefore, OnUnknownOutcome::Resend) => Permission::Send,
        (ClaimOutcome::ClaimedBefore, OnUnknownOutcome::Hold) => Permission::Hold,
        (ClaimOutcome::ClaimedBefore, OnUnknownOutcome::Query) => Permission::AskProvider,
        (ClaimOutcome::Final | ClaimOutcome::Outdated, _) => Permission::Skip,
        (ClaimOutcome::MessageNotFound, _) => Permission::UnknownMessage,
    }
}

/// Decides before every attempt whether it is too late for it: a message that may be sent until `expires_at` is no
/// longer sent at that very moment.
pub fn has_expired(expires_at: Timestamp, now: Timestamp) -> bool {
    expires_at <= now
}

/// Decides after the `attempt`th attempt (from 1), not counting those that were throttled; `jitter` is a random number
/// from 0 to 1.
pub fn decide(outcome: Outcome, attempt: u32, policy: Policy, jitter: f64) -> Decision {
    let prolonged = |delay: Duration| delay.mul_f64(1.0 + LONGEST_JITTER * jitter.clamp(0.0, 1.0));
    match outcome {
        Outcome::Delivered { provider_message_id } => Decision::ReportSent { provider_message_id },
        Outcome::Refused { reason } => Decision::ReportFailed { reason, transient: false },
        Outcome::Throttled { retry_after } => {
            Decision::SlowDown(prolonged(retry_after.unwrap_or(policy.delay).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)))
        }
        Outcome::Unknown { reason } if policy.on_unknown_outcome == OnUnknownOutcome::Hold => {
            Decision::ReportUnknown { reason }
        }
        Outcome::Unknown { .. } if policy.on_unknown_outcome == OnUnknownOutcome::Query => {
            Decision::AskAfter(prolonged(policy.delay))
        }
        Outcome::Unavailable { .. } | Outcome::Unknown { .. } if attempt <= policy.max_retries => {
            Decision::RetryAfter(prolonged(policy.delay))
        }
        Outcome::Unavailable { reason } | Outcome::Unknown { reason } => {
            let attempts = if attempt == 1 { "1 attempt".to_owned() } else { format!("{attempt} attempts") };
            Decision::ReportFailed { reason: format!("{reason} (given up after {attempts})"), transient: true }
        }
    }
}

/// Decides what follows when the provider was asked whether it has a message that was given to it `attempt` times, after
/// being `asked` so often, from 1; `jitter` as in [`decide`].
pub fn decide_found(found: Found, attempt: u32, asked: u32, policy: Policy, jitter: f64) -> Decision {
    match found {
        Found::Sent { provider_message_id } => Decision::ReportSent { provider_message_id },
        // It was never given to the provider in this life, so this is no failure.
        Found::NotSent if attempt == 0 => Decision::RetryAfter(Duration::ZERO),
        Found::NotSent => {
            let reason = "the provider does not have the message".to_owned();
            decide(Outcome::Unavailable { reason }, attempt, policy, jitter)
        }
        Found::CannotTell { .. } if asked <= policy.max_retries => {
            Decision::AskAfter(policy.delay.mul_f64(1.0 + LONGEST_JITTER * jitter.clamp(0.0, 1.0)))
        }
        Found::CannotTell { reason } => Decision::ReportUnknown { reason },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy =
        Policy { max_retries: 3, delay: Duration::from_secs(1), on_unknown_outcome: OnUnknownOutcome::Resend };
    const HOLD: Policy = Policy { on_unknown_outcome: OnUnknownOutcome::Hold, ..POLICY };
    const QUERY: Policy = Policy { on_unknown_outcome: OnUnknownOutcome::Query, ..POLICY };
    const SECOND: Duration = Duration::from_secs(1);

    fn delivered() -> Outcome {
        Outcome::Delivered { provider_message_id: Some("SM1".to_owned()) }
    }

    fn refused() -> Outcome {
        Outcome::Refused { reason: "number not in service".to_owned() }
    }

    fn unavailable() -> Outcome {
        Outcome::Unavailable { reason: "carrier busy".to_owned() }
    }

    fn unknown() -> Outcome {
        Outcome::Unknown { reason: "no answer".to_owned() }
    }

    fn throttled(retry_after: Option<Duration>) -> Outcome {
        Outcome::Throttled { retry_after }
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
    fn a_message_expires_at_its_time() {
        let now = Timestamp::UNIX_EPOCH;
        let nanosecond = Duration::from_nanos(1);
        assert!(!has_expired(now + nanosecond, now));
        assert!(has_expired(now, now));
        assert!(has_expired(now - nanosecond, now));
    }

    #[test]
    fn sms_api_is_asked_about_every_message_that_must_not_be_sent_twice_and_about_doubtful_and_old_ones() {
        for (policy, is_doubtful, age, expected) in [
            (POLICY, false, Duration::ZERO, false),
            (POLICY, true, Duration::ZERO, true),
            (POLICY, false, OLD, true),
            (HOLD, false, Duration::ZERO, true),
            (QUERY, false, Duration::ZERO, true),
        ] {
            assert_eq!(is_asked_about(policy, is_doubtful, age), expected, "{policy:?} {is_doubtful} {age:?}");
        }
    }

    #[test]
    fn what_sms_api_says_of_a_claim_decides_whether_a_message_is_sent() {
        use ClaimOutcome::{ClaimedBefore, Final, Granted, MessageNotFound, Outdated};
        let unknown = Permission::UnknownMessage;
        for (claimed, expected) in [
            (Granted, [Permission::Send; 3]),
            (ClaimedBefore, [Permission::Send, Permission::Hold, Permission::AskProvider]),
            (Final, [Permission::Skip; 3]),
            (Outdated, [Permission::Skip; 3]),
            (MessageNotFound, [unknown; 3]),
        ] {
            assert_eq!([POLICY, HOLD, QUERY].map(|policy| permission(claimed, policy)), expected, "{claimed:?}");
        }
    }

    #[test]
    fn a_delivered_message_is_reported_as_sent_whatever_came_before() {
        for attempt in 1..=5 {
            check(delivered(), attempt, &Decision::ReportSent { provider_message_id: Some("SM1".to_owned()) });
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
            check(unavailable(), attempt, &Decision::RetryAfter(SECOND));
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
    fn a_message_of_unknown_outcome_is_sent_again_or_held_as_the_policy_says() {
        check(unknown(), 1, &Decision::RetryAfter(SECOND));
        check(unknown(), 4, &failed_for_now("no answer (given up after 4 attempts)"));
        let held = Decision::ReportUnknown { reason: "no answer".to_owned() };
        assert_eq!(decide(unknown(), 1, HOLD, 0.0), held);
        assert_eq!(decide(unavailable(), 1, HOLD, 0.0), Decision::RetryAfter(SECOND), "it was not sent for certain");
        assert_eq!(decide(unknown(), 9, QUERY, 0.0), Decision::AskAfter(SECOND));
    }

    #[test]
    fn what_the_provider_says_of_a_message_decides_whether_it_is_sent_again() {
        let sent = Found::Sent { provider_message_id: None };
        let mute = || Found::CannotTell { reason: "it is away".to_owned() };
        let missing = "the provider does not have the message (given up after 4 attempts)";
        for (found, attempt, asked, expected) in [
            (sent, 1, 1, Decision::ReportSent { provider_message_id: None }),
            (Found::NotSent, 0, 1, Decision::RetryAfter(Duration::ZERO)),
            (Found::NotSent, 1, 1, Decision::RetryAfter(SECOND)),
            (Found::NotSent, 4, 1, failed_for_now(missing)),
            (mute(), 1, 3, Decision::AskAfter(SECOND)),
            (mute(), 1, 4, Decision::ReportUnknown { reason: "it is away".to_owned() }),
        ] {
            assert_eq!(decide_found(found.clone(), attempt, asked, QUERY, 0.0), expected, "{found:?}");
        }
    }

    #[test]
    fn a_throttled_message_waits_as_long_as_the_provider_says_but_not_for_ever() {
        check(throttled(None), 1, &Decision::SlowDown(SECOND));
        check(throttled(Some(5 * SECOND)), 1, &Decision::SlowDown(5 * SECOND));
        check(throttled(Some(Duration::from_hours(5))), 1, &Decision::SlowDown(LONGEST_PAUSE));
        check(throttled(Some(Duration::ZERO)), 1, &Decision::SlowDown(SHORTEST_PAUSE));
    }

    #[test]
    fn jitter_prolongs_a_delay_by_a_quarter_at_most() {
        for (jitter, milliseconds) in [(0.0, 1000), (0.5, 1125), (1.0, 1250), (7.0, 1250), (-7.0, 1000)] {
            let expected = Decision::RetryAfter(Duration::from_millis(milliseconds));
            assert_eq!(decide(unavailable(), 1, POLICY, jitter), expected, "jitter {jitter}");
        }
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        let reason = "[a-z ]{0,20}";
        prop_oneof![
            proptest::option::of(reason).prop_map(|provider_message_id| Outcome::Delivered { provider_message_id }),
            reason.prop_map(|reason| Outcome::Refused { reason }),
            reason.prop_map(|reason| Outcome::Unavailable { reason }),
            proptest::option::of(any::<Duration>()).prop_map(throttled),
            reason.prop_map(|reason| Outcome::Unknown { reason }),
        ]
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let on_unknown_outcome =
            prop_oneof![Just(OnUnknownOutcome::Resend), Just(OnUnknownOutcome::Hold), Just(OnUnknownOutcome::Query)];
        (0..=100_u32, 0..=86_400_000_u64, on_unknown_outcome).prop_map(|(max_retries, delay, on_unknown_outcome)| {
            Policy { max_retries, delay: Duration::from_millis(delay), on_unknown_outcome }
        })
    }

    proptest! {
        #[test]
        fn whatever_the_provider_says_each_message_ends_after_so_many_attempts(
            outcomes in proptest::collection::vec(any_outcome(), 1..120), policy in any_policy(), jitter in any::<f64>(),
        ) {
            let mut attempt = 1;
            for outcome in outcomes {
                match decide(outcome, attempt, policy, jitter) {
                    Decision::RetryAfter(_) => attempt += 1,
                    Decision::SlowDown(_) => {}
                    Decision::ReportSent { .. }
                    | Decision::ReportFailed { .. }
                    | Decision::ReportUnknown { .. }
                    | Decision::AskAfter(_) => break,
                }
            }
            prop_assert!(attempt <= policy.max_retries + 1, "{attempt} attempts");
        }

        #[test]
        fn only_what_the_provider_took_is_reported_as_sent_and_only_what_it_may_have_taken_as_unknown(
            outcome in any_outcome(), attempt in 1..200_u32, policy in any_policy(), jitter in any::<f64>(),
        ) {
            let (taken, maybe_taken) =
                (matches!(outcome, Outcome::Delivered { .. }), matches!(outcome, Outcome::Unknown { .. }));
            let decision = decide(outcome, attempt, policy, jitter);
            prop_assert_eq!(matches!(decision, Decision::ReportSent { .. }), taken);
            if let Decision::ReportUnknown { .. } = decision {
                prop_assert!(maybe_taken);
            }
            if maybe_taken && policy.on_unknown_outcome != OnUnknownOutcome::Resend {
                let is_held = matches!(decision, Decision::ReportUnknown { .. } | Decision::AskAfter(_));
                prop_assert!(is_held, "a message that may have been taken is sent again: {:?}", decision);
            }
        }

        #[test]
        fn a_delay_is_never_shorter_than_asked_for_and_never_much_longer(
            outcome in any_outcome(), policy in any_policy(), jitter in any::<f64>(),
        ) {
            let asked = match &outcome {
                Outcome::Throttled { retry_after } => {
                    retry_after.unwrap_or(policy.delay).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
                }
                _ => policy.delay,
            };
            if let Decision::RetryAfter(delay) | Decision::SlowDown(delay) = decide(outcome, 1, policy, jitter) {
                let longest = asked.mul_f64(1.0 + LONGEST_JITTER) + Duration::from_nanos(1);
                prop_assert!((asked..=longest).contains(&delay), "{delay:?} for {asked:?}");
            }
        }
    }
}
