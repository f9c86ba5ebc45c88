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
    Decision::Report(Conclusion::Failed { reason: reason.to_owned(), transient: false })
}

fn failed_for_now(reason: &str) -> Decision {
    Decision::Report(Conclusion::Failed { reason: reason.to_owned(), transient: true })
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
        check(
            delivered(),
            attempt,
            &Decision::Report(Conclusion::Sent { provider_message_id: Some("SM1".to_owned()) }),
        );
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
    let held = Decision::Report(Conclusion::Unknown { reason: "no answer".to_owned() });
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
        (sent, 1, 1, Decision::Report(Conclusion::Sent { provider_message_id: None })),
        (Found::NotSent, 0, 1, Decision::RetryAfter(Duration::ZERO)),
        (Found::NotSent, 1, 1, Decision::RetryAfter(SECOND)),
        (Found::NotSent, 4, 1, failed_for_now(missing)),
        (mute(), 1, 3, Decision::AskAfter(SECOND)),
        (mute(), 1, 4, Decision::Report(Conclusion::Unknown { reason: "it is away".to_owned() })),
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
    (0..=100_u32, 0..=86_400_000_u64, on_unknown_outcome).prop_map(|(max_retries, delay, on_unknown_outcome)| Policy {
        max_retries,
        delay: Duration::from_millis(delay),
        on_unknown_outcome,
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
                Decision::Report(_) | Decision::AskAfter(_) => break,
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
        prop_assert_eq!(matches!(decision, Decision::Report(Conclusion::Sent { .. })), taken);
        if let Decision::Report(Conclusion::Unknown { .. }) = decision {
            prop_assert!(maybe_taken);
        }
        if maybe_taken && policy.on_unknown_outcome != OnUnknownOutcome::Resend {
            let is_held = matches!(decision, Decision::Report(Conclusion::Unknown { .. }) | Decision::AskAfter(_));
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
