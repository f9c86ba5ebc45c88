//! What a message is, inside this service. Knows neither HTTP nor Kafka.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contract::DeliveryStatus;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How far ahead a message may be scheduled, where its retention allows it.
pub const LONGEST_DELAY: Duration = Duration::from_hours(30 * 24);

/// Longest failure reason that is kept, in characters.
pub const LONGEST_REASON: usize = 500;

/// What a client wants to find again beside its message: texts by their names.
pub type Metadata = BTreeMap<String, String>;

/// A validated message that is not stored yet. Numbers and text stay out of logs, so neither this type nor
/// [`Message`] has a `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// A UUID of version 7 that was made when the message was accepted.
    pub id: Uuid,
    /// Whose message it is. Shared, like what else the messages of a batch have in common.
    pub tenant: Arc<str>,
    /// Sender as the client gave it.
    pub sender: Arc<str>,
    /// Recipient as the client gave it.
    pub recipient: Arc<str>,
    /// The text, never altered.
    pub text: Arc<str>,
    /// Which lane it takes.
    pub priority: Priority,
    /// Not to be sent before this time; `None` means at once.
    pub send_at: Option<Timestamp>,
    /// Not to be sent after this time.
    pub expires_at: Option<Timestamp>,
    /// The batch that it came with.
    pub batch_id: Option<Uuid>,
    /// The client's own name for it.
    pub client_reference: Option<Arc<str>>,
    /// What else the client wants to find again.
    pub metadata: Option<Arc<Metadata>>,
    /// W3C trace context of the request, where it is traced.
    pub traceparent: Option<Arc<str>>,
}

impl NewMessage {
    /// The status it is stored with.
    pub fn status(&self) -> Status {
        if self.send_at.is_some() { Status::Scheduled } else { Status::Pending }
    }

    /// About how many bytes of memory it takes while it waits, so that what waits can be bounded.
    pub fn weight(&self) -> usize {
        let metadata = self.metadata.iter().flat_map(|metadata| metadata.iter());
        let metadata: usize = metadata.map(|(name, value)| name.len() + value.len()).sum();
        let reference = self.client_reference.as_ref().map_or(0, |reference| reference.len());
        size_of::<Self>() + self.sender.len() + self.recipient.len() + self.text.len() + metadata + reference
    }
}

/// A stored message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The message's id.
    pub id: Uuid,
    /// Sender as the client gave it.
    pub sender: Arc<str>,
    /// Recipient as the client gave it.
    pub recipient: Arc<str>,
    /// The text.
    pub text: Arc<str>,
    /// Where the message stands.
    pub status: Status,
    /// Why it failed; only ever there when it did.
    pub failure_reason: Option<String>,
    /// What the provider calls it.
    pub provider_message_id: Option<String>,
    /// The present or last attempt, from 1.
    pub attempt: i32,
    /// Which lane it takes.
    pub priority: Priority,
    /// When its status last changed, by the database's clock; `None` while it has its first one.
    pub changed_at: Option<Timestamp>,
    /// It failed, and is tried again at this time.
    pub retry_at: Option<Timestamp>,
    /// Not sent before this time.
    pub send_at: Option<Timestamp>,
    /// Not sent after this time.
    pub expires_at: Option<Timestamp>,
    /// The batch that it came with.
    pub batch_id: Option<Uuid>,
    /// The client's own name for it.
    pub client_reference: Option<Arc<str>>,
    /// What else the client wants to find again.
    pub metadata: Option<Arc<Metadata>>,
}

impl Message {
    /// The message as it stands right after it was stored.
    pub fn just_stored(new: &NewMessage) -> Self {
        Self {
            id: new.id,
            sender: Arc::clone(&new.sender),
            recipient: Arc::clone(&new.recipient),
            text: Arc::clone(&new.text),
            status: new.status(),
            failure_reason: None,
            provider_message_id: None,
            attempt: 1,
            priority: new.priority,
            changed_at: None,
            retry_at: None,
            send_at: new.send_at,
            expires_at: new.expires_at,
            batch_id: new.batch_id,
            client_reference: new.client_reference.clone(),
            metadata: new.metadata.clone(),
        }
    }

    /// When it was accepted.
    pub fn created_at(&self) -> Timestamp {
        accepted_at(self.id)
    }

    /// When its status last changed. The replica that made the id and the database have clocks of their own, so
    /// that a change could seem to come before the beginning.
    pub fn updated_at(&self) -> Timestamp {
        let created_at = self.created_at();
        self.changed_at.map_or(created_at, |changed_at| changed_at.max(created_at))
    }

    /// Whether its status can no longer change by itself. What is unknown may still come to light.
    pub fn is_final(&self) -> bool {
        match self.status {
            Status::Pending | Status::Scheduled | Status::Unknown => false,
            Status::Failed => self.retry_at.is_none(),
            Status::Sent | Status::Canceled | Status::Expired => true,
        }
    }
}

/// The moment at which a message with this id was accepted: RFC 9562 puts the milliseconds since 1970 into the
/// first 48 bits of a UUID of version 7.
pub fn accepted_at(id: Uuid) -> Timestamp {
    let milliseconds = i64::try_from(id.as_u128() >> 80).unwrap_or_default();
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}

/// The smallest id that a message accepted at this moment, or later, can have.
pub fn first_id_at(moment: Timestamp) -> Uuid {
    // Half a millisecond later, the ids of that millisecond are too early already.
    let milliseconds = moment.as_millisecond() + i64::from(moment.subsec_nanosecond() % 1_000_000 > 0);
    Uuid::from_u128(u128::try_from(milliseconds).unwrap_or_default() << 80)
}

/// As much of a text from elsewhere as is kept: never so much, or such, that PostgreSQL would refuse it, because what
/// it explains must be stored.
pub fn storable(text: &str, longest: usize) -> String {
    text.chars().take(longest).map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Stored, on its way.
    Pending,
    /// The provider took it. Final.
    Sent,
    /// The provider refused it, or no attempt reached it. Final unless a retry is scheduled.
    Failed,
    /// To be sent later.
    Scheduled,
    /// Called back before it was sent. Final.
    Canceled,
    /// Too late to be sent. Final.
    Expired,
    /// The provider may or may not have taken it.
    Unknown,
}

impl Status {
    /// All of them.
    const ALL: [Self; 7] =
        [Self::Pending, Self::Sent, Self::Failed, Self::Scheduled, Self::Canceled, Self::Expired, Self::Unknown];

    /// The one that clients and PostgreSQL spell so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// As clients and PostgreSQL spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Scheduled => "SCHEDULED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl From<DeliveryStatus> for Status {
    fn from(reported: DeliveryStatus) -> Self {
        match reported {
            DeliveryStatus::Sent => Self::Sent,
            DeliveryStatus::Failed => Self::Failed,
            DeliveryStatus::Expired => Self::Expired,
            DeliveryStatus::Unknown => Self::Unknown,
        }
    }
}

/// Which lane a message takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Priority {
    /// Not delayed by any number of other messages.
    High,
    /// What is not said to be otherwise.
    #[default]
    Normal,
    /// When there is nothing more urgent.
    Low,
}

/// A message with nothing but what every message has, for tests.
#[cfg(test)]
pub(crate) fn plain(id: Uuid) -> NewMessage {
    NewMessage {
        id,
        tenant: "default".into(),
        sender: "+15550100".into(),
        recipient: "+15550101".into(),
        text: "hello".into(),
        priority: Priority::Normal,
        send_at: None,
        expires_at: None,
        batch_id: None,
        client_reference: None,
        metadata: None,
        traceparent: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(moment: &str) -> Timestamp {
        moment.parse().expect("a time")
    }

    #[test]
    fn the_time_of_acceptance_is_in_the_id() {
        let id: Uuid = "01a205b3-d001-7000-8000-000000000000".parse().expect("a UUID");
        assert_eq!(accepted_at(id), at("2026-11-23T00:00:00.001Z"));
        assert_eq!(accepted_at(Uuid::nil()), Timestamp::UNIX_EPOCH);
        assert_eq!(accepted_at(Uuid::max()), Timestamp::MAX);
    }

    #[test]
    fn ids_from_a_moment_on_are_those_accepted_then_or_later() {
        for (moment, accepted, expected) in [
            ("2026-11-23T00:00:00.001Z", "2026-11-23T00:00:00.001Z", true),
            ("2026-11-23T00:00:00.001Z", "2026-11-23T00:00:00Z", false),
            ("2026-11-23T00:00:00.0005Z", "2026-11-23T00:00:00Z", false),
            ("2026-11-23T00:00:00.0005Z", "2026-11-23T00:00:00.001Z", true),
            ("1969-01-01T00:00:00Z", "1970-01-01T00:00:00Z", true),
        ] {
            let accepted = Uuid::from_u128(u128::try_from(at(accepted).as_millisecond()).expect("positive") << 80);
            assert_eq!(accepted >= first_id_at(at(moment)), expected, "{accepted} from {moment}");
        }
    }

    #[test]
    fn a_failed_message_is_final_unless_it_is_tried_again() {
        let mut message = Message::just_stored(&plain(Uuid::nil()));
        let with = |message: &mut Message, status, retry_at| {
            message.status = status;
            message.retry_at = retry_at;
            message.is_final()
        };
        assert!(!with(&mut message, Status::Pending, None));
        assert!(!with(&mut message, Status::Failed, Some(Timestamp::UNIX_EPOCH)));
        assert!(with(&mut message, Status::Failed, None));
        assert!(!with(&mut message, Status::Unknown, None));
        assert!(with(&mut message, Status::Expired, None));
    }
}
