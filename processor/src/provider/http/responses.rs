//! What a provider's answer means: the rules of the resource, and what holds where none of them matches. Pure.

mod condition;
mod default;

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

pub use self::condition::{Condition, Pointer};
use crate::decide::Outcome;

/// One rule: which answers, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Which answers.
    pub when: Condition,
    /// What they mean.
    pub outcome: RuleOutcome,
    /// Where in the body the provider names the message.
    pub message_id: Option<Pointer>,
    /// Where in the body it says why.
    pub reason: Option<Pointer>,
}

/// What an answer can mean; the outcomes of [`crate::decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum RuleOutcome {
    /// The provider took the message.
    Delivered,
    /// It refused it for good.
    Refused,
    /// It did not take it this time.
    Unavailable,
    /// It did not take it because it gets too many.
    Throttled,
    /// It may or may not have taken it.
    Unknown,
}

/// What a provider answered.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    /// How long it wants to be left alone.
    pub retry_after: Option<Duration>,
    /// `None` where it is no JSON, too long, or did not come to its end.
    pub body: Option<Value>,
}

impl Rule {
    /// Refuses what makes no sense; the error begins with the field within the rule.
    pub(super) fn validate(&self) -> Result<(), String> {
        self.when.validate()?;
        match self.outcome {
            RuleOutcome::Delivered | RuleOutcome::Throttled if self.reason.is_some() => {
                Err(".reason: only Refused, Unavailable and Unknown have a reason".to_owned())
            }
            RuleOutcome::Delivered => Ok(()),
            _ if self.message_id.is_some() => Err(".messageId: only Delivered has one".to_owned()),
            _ => Ok(()),
        }
    }
}

/// What holds where no rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// What the status code says.
    Status,
    /// That nobody knows, unless the status says that the answer is none.
    Unknown,
}

/// What `answer` means. `mask` takes out of the provider's words what nobody may read.
pub(super) fn judge(rules: &[Rule], otherwise: Otherwise, answer: &Answer, mask: impl Fn(&str) -> String) -> Outcome {
    let matching = rules.iter().find(|rule| rule.when.matches(answer.status, answer.body.as_ref()));
    let Some(rule) = matching else {
        let asks_for_body = rules.iter().any(|rule| rule.when.asks_for_body_of(answer.status));
        let unreadable = || format!("{}, and what else it said is not readable", answered(answer.status));
        return match default::outcome(answer.status, answer.retry_after) {
            Outcome::Delivered { .. } | Outcome::Refused { .. } if otherwise == Otherwise::Unknown => {
                Outcome::Unknown { reason: answered(answer.status) }
            }
            // Where the body decides, as with providers that always answer 200, the status says nothing.
            Outcome::Delivered { .. } if answer.body.is_none() && asks_for_body => {
                Outcome::Unknown { reason: unreadable() }
            }
            Outcome::Refused { .. } if answer.body.is_none() && asks_for_body => {
                Outcome::Unavailable { reason: unreadable() }
            }
            outcome => outcome,
        };
    };
    let told = |pointer: &Option<Pointer>| pointer.as_ref()?.text(answer.body.as_ref()?);
    let reason = || match told(&rule.reason).map(|words| mask(&words)).filter(|words| !words.is_empty()) {
        Some(words) => format!("{}: {words}", answered(answer.status)),
        None => answered(answer.status),
    };
    match rule.outcome {
        RuleOutcome::Delivered => Outcome::Delivered { provider_message_id: told(&rule.message_id).map(cut) },
        RuleOutcome::Refused => Outcome::Refused { reason: reason() },
        RuleOutcome::Unavailable => Outcome::Unavailable { reason: reason() },
        RuleOutcome::Throttled => Outcome::Throttled { retry_after: answer.retry_after },
        RuleOutcome::Unknown => Outcome::Unknown { reason: reason() },
    }
}

/// Holds nothing of the provider's own words.
pub(super) fn answered(status: StatusCode) -> String {
    format!("the provider answered {status}")
}

/// Ids of providers are short; a longer one is none that anybody could use.
fn cut(id: String) -> String {
    if id.chars().count() <= super::masking::LONGEST { id } else { id.chars().take(super::masking::LONGEST).collect() }
}

#[cfg(test)]
mod tests;
