//! What a message may look like: the first implementation's rules and words for its three fields, and ours for the
//! rest. Pure. Every wrong field is named, not just the first one.

mod optional;
mod required;
mod schema;

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::{
    optional::is_reference,
    required::{NumberValidation, is_phone_number},
    schema::{PhoneNumber, client_reference as client_reference_schema},
};
use super::json_body::TextField;
use crate::{
    message::{Metadata, NewMessage, Priority},
    problem::Violation,
};

/// What differs between deployments in what a message may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How closely numbers are looked at.
    pub number_validation: NumberValidation,
    /// How far ahead `send_at` and `expires_at` may be.
    pub longest_delay: std::time::Duration,
}

/// A message as it came. Fields that are not named here are ignored.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct MessageRequest {
    /// A phone number in international format, the plus sign optional; kept as given.
    #[schema(required, value_type = PhoneNumber)]
    #[serde(default)]
    sender: TextField,
    /// A phone number in international format, the plus sign optional; kept as given.
    #[schema(required, value_type = PhoneNumber)]
    #[serde(default)]
    recipient: TextField,
    /// 1 to 1,600 UTF-16 code units, not only blank; never altered.
    #[schema(required, schema_with = schema::text)]
    #[serde(default)]
    text: TextField,
    /// Which lane it takes.
    #[schema(value_type = Option<Priority>)]
    #[serde(default)]
    priority: Value,
    /// Not to be sent before this time, at most 30 days ahead; a time that has just passed means at once.
    #[schema(value_type = Option<Timestamp>)]
    #[serde(default)]
    send_at: Value,
    /// Not to be sent after this time, at most 30 days ahead.
    #[schema(value_type = Option<Timestamp>)]
    #[serde(default)]
    expires_at: Value,
    /// The client's own name for the message, by which it is found again.
    #[schema(schema_with = client_reference_schema)]
    #[serde(default)]
    client_reference: Value,
    /// What else the client wants to find again: texts by their names, at most 1 KiB as JSON.
    #[schema(value_type = Option<Metadata>)]
    #[serde(default)]
    metadata: Value,
    /// Tell what would be sent, and store nothing.
    #[schema(value_type = Option<bool>)]
    #[serde(default)]
    dry_run: Value,
}

/// Everything of a message but its recipient, as it came.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContentRequest {
    /// The sender.
    pub sender: TextField,
    /// The text.
    pub text: TextField,
    /// The lane.
    pub priority: Value,
    /// When to send it.
    pub send_at: Value,
    /// When it is too late.
    pub expires_at: Value,
    /// The client's name for it.
    pub client_reference: Value,
    /// What the client wants to find again.
    pub metadata: Value,
}

/// A message, proven usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valid {
    /// Everything but the recipient.
    pub content: Content,
    /// Matches the phone number pattern.
    pub recipient: Arc<str>,
    /// Nothing is to be stored or sent.
    pub dry_run: bool,
}

/// Everything of a message but its recipient, proven usable. Cheap to clone, for many recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Matches the phone number pattern.
    pub sender: Arc<str>,
    /// 1 to 1,600 UTF-16 code units, not blank, without NUL.
    pub text: Arc<str>,
    /// The lane.
    pub priority: Priority,
    /// In the future; `None` means at once.
    pub send_at: Option<Timestamp>,
    /// In the future, and after `send_at`.
    pub expires_at: Option<Timestamp>,
    /// 1 to 255 characters.
    pub client_reference: Option<Arc<str>>,
    /// At most 1 KiB of JSON.
    pub metadata: Option<Arc<Metadata>>,
}

impl MessageRequest {
    /// Proves the message usable, or names everything that is wrong with it.
    pub fn validate(self, rules: Rules, now: Timestamp) -> Result<Valid, Vec<Violation>> {
        let Self { sender, recipient, text, priority, send_at, expires_at, client_reference, metadata, dry_run } = self;
        let content = ContentRequest { sender, text, priority, send_at, expires_at, client_reference, metadata };
        let mut violations = Vec::new();
        let recipient = required::recipient(recipient, rules, &mut violations);
        let content = content.take(rules, now, &mut violations);
        let dry_run = optional::dry_run(&dry_run, &mut violations);
        if violations.is_empty() { Ok(Valid { content, recipient, dry_run }) } else { Err(violations) }
    }
}

impl ContentRequest {
    /// Proves the content usable, or names everything that is wrong with it.
    pub fn validate(self, rules: Rules, now: Timestamp) -> Result<Content, Vec<Violation>> {
        let mut violations = Vec::new();
        let content = self.take(rules, now, &mut violations);
        if violations.is_empty() { Ok(content) } else { Err(violations) }
    }

    /// What is usable; the rest is in `violations`.
    fn take(self, rules: Rules, now: Timestamp, violations: &mut Vec<Violation>) -> Content {
        let sender = required::sender(self.sender, rules, violations);
        let text = required::text(self.text, violations);
        let priority = optional::priority(&self.priority, violations);
        let (send_at, expires_at) = optional::times(&self.send_at, &self.expires_at, rules, now, violations);
        let client_reference = optional::client_reference(&self.client_reference, violations);
        let metadata = optional::metadata(&self.metadata, violations);
        Content { sender, text, priority, send_at, expires_at, client_reference, metadata }
    }
}

/// One of many recipients that get the same content.
pub fn recipient(given: TextField, rules: Rules) -> Result<Arc<str>, Vec<Violation>> {
    let mut violations = Vec::new();
    let recipient = required::recipient(given, rules, &mut violations);
    if violations.is_empty() { Ok(recipient) } else { Err(violations) }
}

impl Content {
    /// The message to be stored.
    pub fn into_message(
        self,
        id: Uuid,
        recipient: Arc<str>,
        tenant: Arc<str>,
        batch_id: Option<Uuid>,
        traceparent: Option<Arc<str>>,
    ) -> NewMessage {
        NewMessage {
            id,
            tenant,
            sender: self.sender,
            recipient,
            text: self.text,
            priority: self.priority,
            send_at: self.send_at,
            expires_at: self.expires_at,
            batch_id,
            client_reference: self.client_reference,
            metadata: self.metadata,
            traceparent,
        }
    }
}

#[cfg(test)]
mod tests;
