//! What a message is, inside this service. Knows neither HTTP nor Kafka.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

/// A validated message that is not stored yet.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// A UUID of version 7, made when the request was accepted.
    pub id: Uuid,
    /// Sender as the client gave it.
    pub sender: String,
    /// Recipient as the client gave it.
    pub recipient: String,
    /// The text, never altered.
    pub text: String,
    /// W3C trace context of the request, where it is traced.
    pub traceparent: Option<String>,
}

/// A stored message; serialized, it has the first implementation's fields in their order. Numbers and text stay
/// out of logs, so neither this type nor [`NewMessage`] has a `Debug` form.
#[derive(Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Message {
    /// The message's id.
    pub id: Uuid,
    /// Sender as the client gave it.
    pub sender: String,
    /// Recipient as the client gave it.
    pub recipient: String,
    /// The text.
    pub text: String,
    /// Where the message stands.
    pub status: Status,
    /// Why it failed; only ever there when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When it was stored, by the database's clock.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub created_at: Timestamp,
    /// When its status last changed, by the database's clock.
    #[sqlx(try_from = "jiff_sqlx::Timestamp")]
    pub updated_at: Timestamp,
}

impl Message {
    /// The message as it stands right after it was stored.
    pub fn just_stored(new: NewMessage, created_at: Timestamp) -> Self {
        Self {
            id: new.id,
            sender: new.sender,
            recipient: new.recipient,
            text: new.text,
            status: Status::Pending,
            failure_reason: None,
            created_at,
            updated_at: created_at,
        }
    }
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Stored, on its way.
    Pending,
    /// The provider took it. Final.
    Sent,
    /// The provider refused it, or no attempt reached it. Final.
    Failed,
    /// To be sent later; written by later versions only.
    Scheduled,
    /// Called back before it was sent; written by later versions only.
    Canceled,
    /// Too late to be sent.
    Expired,
    /// The provider may or may not have taken it.
    Unknown,
}

impl Status {
    /// Whether it can no longer change. What is unknown may still come to light.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Scheduled | Self::Unknown => false,
            Self::Sent | Self::Failed | Self::Canceled | Self::Expired => true,
        }
    }
}
