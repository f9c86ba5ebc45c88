//! What a client may add to a message.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::Rules;
use crate::{
    message::{Metadata, Priority},
    problem::{NOT_A_TIME, Violation},
};

/// A time to send that is past by up to this means at once: requests take their time, and are repeated. A time that is
/// past by more is a mistake, and sending at once could not be undone.
const TOLERATED_LATENESS: SignedDuration = SignedDuration::from_mins(10);
/// Longest client reference, in characters.
const LONGEST_REFERENCE: usize = 255;
/// Largest metadata, in bytes of JSON.
const LARGEST_METADATA: usize = 1024;

pub(super) fn priority(given: &Value, violations: &mut Vec<Violation>) -> Priority {
    match given {
        Value::Null => Priority::Normal,
        given => Priority::deserialize(given).unwrap_or_else(|_| {
            let message = "Priority must be high, normal or low";
            violations.push(Violation::of("priority", "sendMessage.request.priority", message));
            Priority::Normal
        }),
    }
}

/// `send_at`, unless it means at once, and `expires_at`.
pub(super) fn times(
    send_at: &Value,
    expires_at: &Value,
    rules: Rules,
    now: Timestamp,
    violations: &mut Vec<Violation>,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let latest = now.saturating_add(rules.longest_delay).unwrap_or(Timestamp::MAX);
    let days = rules.longest_delay.as_secs() / (24 * 60 * 60);
    let mut complain = |name, peer_name, message: String| violations.push(Violation::of(name, peer_name, message));
    let mut parsed = |given: &Value, name: &'static str, peer_name: &'static str, title: &str, earliest: Timestamp| {
        let time = match given {
            Value::Null => return None,
            Value::String(text) => text.parse::<Timestamp>().ok(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        };
        match time {
            None => complain(name, peer_name, format!("{title} {NOT_A_TIME}")),
            Some(time) if time < earliest => complain(name, peer_name, format!("{title} must be in the future")),
            Some(time) if time > latest => {
                complain(name, peer_name, format!("{title} must be at most {days} days ahead"));
            }
            Some(time) => return Some(time),
        }
        None
    };
    let earliest = now.saturating_sub(TOLERATED_LATENESS).unwrap_or(now);
    let send_at = parsed(send_at, "send_at", "sendMessage.request.sendAt", "Sending time", earliest);
    let expires_at = parsed(expires_at, "expires_at", "sendMessage.request.expiresAt", "Expiry time", now);
    if let (Some(send_at), Some(expires_at)) = (send_at, expires_at)
        && expires_at <= send_at
    {
        let message = "Expiry time must be after the sending time".to_owned();
        complain("expires_at", "sendMessage.request.expiresAt", message);
    }
    (send_at.filter(|&send_at| send_at > now), expires_at)
}

pub(super) fn client_reference(given: &Value, violations: &mut Vec<Violation>) -> Option<Arc<str>> {
    match given {
        Value::Null => None,
        Value::String(text) if is_reference(text) => Some(text.as_str().into()),
        _ => {
            let message = format!(
                "Client reference must be a string of 1 to {LONGEST_REFERENCE} characters without control characters"
            );
            violations.push(Violation::of("client_reference", "sendMessage.request.clientReference", message));
            None
        }
    }
}

/// Whether a client may call a message so.
pub fn is_reference(text: &str) -> bool {
    (1..=LONGEST_REFERENCE).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

pub(super) fn metadata(given: &Value, violations: &mut Vec<Violation>) -> Option<Arc<Metadata>> {
    if given.is_null() {
        return None;
    }
    let metadata = Metadata::deserialize(given).ok();
    let is_usable = |metadata: &Metadata| {
        // PostgreSQL cannot store NUL.
        let has_nul = metadata.iter().any(|(name, value)| name.contains('\0') || value.contains('\0'));
        !has_nul && serde_json::to_string(metadata).is_ok_and(|json| json.len() <= LARGEST_METADATA)
    };
    let usable = metadata.filter(is_usable);
    if usable.is_none() {
        let message = format!(
            "Metadata must be an object of strings without NUL characters, of at most {LARGEST_METADATA} bytes as JSON"
        );
        violations.push(Violation::of("metadata", "sendMessage.request.metadata", message));
    }
    usable.map(Arc::new)
}

/// Anything but true and false is refused, because a guess could send what was not to be sent.
pub(super) fn dry_run(given: &Value, violations: &mut Vec<Violation>) -> bool {
    match given {
        Value::Null => false,
        Value::Bool(given) => *given,
        Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            let message = "Dry run must be true or false";
            violations.push(Violation::of("dry_run", "sendMessage.request.dryRun", message));
            false
        }
    }
}
