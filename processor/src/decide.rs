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

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// It was sent.
    Sent {
        /// What the provider calls it.
        provider_message_id: Option<String>,
    },
    /// It failed.
    Failed {
        /// Why.
        reason: String,
        /// Whether another attempt later may succeed.
        transient: bool,
    },
    /// It came too late to be sent.
    Expired,
    /// Nobody knows.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What to do next with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Report this.
    Report(Conclusion),
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
        Outcome::Delivered { provider_message_id } => Decision::Report(Conclusion::Sent { provider_message_id }),
        Outcome::Refused { reason } => Decision::Report(Conclusion::Failed { reason, transient: false }),
        Outcome::Throttled { retry_after } => {
            Decision::SlowDown(prolonged(retry_after.unwrap_or(policy.delay).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)))
        }
        Outcome::Unknown { reason } if policy.on_unknown_outcome == OnUnknownOutcome::Hold => {
            Decision::Report(Conclusion::Unknown { reason })
        }
        Outcome::Unknown { .. } if policy.on_unknown_outcome == OnUnknownOutcome::Query => {
            Decision::AskAfter(prolonged(policy.delay))
        }
        Outcome::Unavailable { .. } | Outcome::Unknown { .. } if attempt <= policy.max_retries => {
            Decision::RetryAfter(prolonged(policy.delay))
        }
        Outcome::Unavailable { reason } | Outcome::Unknown { reason } => {
            let attempts = if attempt == 1 { "1 attempt".to_owned() } else { format!("{attempt} attempts") };
            let reason = format!("{reason} (given up after {attempts})");
            Decision::Report(Conclusion::Failed { reason, transient: true })
        }
    }
}

/// Decides what follows when the provider was asked whether it has a message that was given to it `attempt` times, after
/// being `asked` so often, from 1; `jitter` as in [`decide`].
pub fn decide_found(found: Found, attempt: u32, asked: u32, policy: Policy, jitter: f64) -> Decision {
    match found {
        Found::Sent { provider_message_id } => Decision::Report(Conclusion::Sent { provider_message_id }),
        // It was never given to the provider in this life, so this is no failure.
        Found::NotSent if attempt == 0 => Decision::RetryAfter(Duration::ZERO),
        Found::NotSent => {
            let reason = "the provider does not have the message".to_owned();
            decide(Outcome::Unavailable { reason }, attempt, policy, jitter)
        }
        Found::CannotTell { .. } if asked <= policy.max_retries => {
            Decision::AskAfter(policy.delay.mul_f64(1.0 + LONGEST_JITTER * jitter.clamp(0.0, 1.0)))
        }
        Found::CannotTell { reason } => Decision::Report(Conclusion::Unknown { reason }),
    }
}

#[cfg(test)]
mod tests;
