//! What a dead letter is, what is made of a record of the dead letter topic, and when it can be sent again. Pure.

use contract::{FailedMessage, SmsRequested, SmsRequestedV1};
use jiff::Timestamp;
use serde::Serialize;
use uuid::{NoContext, Uuid};

use super::consumer::Record;
use crate::message::{LONGEST_REASON, Status, accepted_at, storable};

/// How much of an error is kept, in characters: somewhat more than a processor writes.
const LONGEST_ERROR: usize = 2_000;
/// The longest name that a topic of Kafka can have.
const LONGEST_TOPIC: usize = 249;

/// A dead letter that is not stored yet. It quotes a message, so it has no `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// A UUID of version 7 with the time at which the record was given up.
    pub id: Uuid,
    /// Where it was read.
    pub place: Place,
    /// The message and the attempt that the record asked for, where it can be decoded.
    pub asked_for: Option<(Uuid, i32)>,
    /// Where the record was before it was given up.
    pub origin: Option<Origin>,
    /// The record's value.
    pub record: String,
    /// Why it was given up.
    pub error: String,
    /// The same, as the message's failure reason.
    pub failure_reason: String,
}

/// Where a record lies in the dead letter topic. No two records have the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
    /// The record's time in Kafka in milliseconds since 1970: a topic that was made anew has the same offsets again.
    pub timestamp: i64,
}

/// Where a record was before it was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// A stored dead letter, and its message as it stands. It can quote the message, so it has no `Debug` form.
#[derive(Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The id.
    pub id: Uuid,
    /// The message and the attempt that the record asked for, where it could be decoded.
    pub asked_for: Option<(Uuid, i32)>,
    /// The message's status and present attempt, where the tenant has such a message.
    pub message: Option<(Status, i32)>,
    /// Where the record was before it was given up.
    pub origin: Option<Origin>,
    /// The record's value; only where it was asked for.
    pub record: Option<String>,
    /// Why it was given up.
    pub error: String,
    /// When the message was sent again because of it.
    pub redriven_at: Option<Timestamp>,
}

/// Why a dead letter cannot be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// That was done already.
    #[error("The message of this dead letter was sent again before, at {0}.")]
    RedrivenBefore(Timestamp),
    /// Nobody knows which message it was.
    #[error("The record of this dead letter cannot be decoded, so there is no message to be sent again.")]
    NotDecodable,
    /// The message is past retention, or never was.
    #[error("The message of this dead letter does not exist (any more).")]
    MessageNotFound,
    /// The message went on.
    #[error("Only a message that is FAILED can be sent again; this one is {}.", .0.name())]
    NotFailed(Status),
    /// The message failed, and not in the attempt that was given up here.
    #[error(
        "This dead letter is of attempt {given_up}, and the message had attempt {present} since. To send it once more \
         all the same, use POST /v1/messages/{{id}}/retry."
    )]
    Outdated {
        /// The attempt of the dead letter.
        given_up: i32,
        /// The message's.
        present: i32,
    },
}

impl NewDeadLetter {
    /// Makes the best of the record: whatever it is, nobody looks into the topic again.
    pub(super) fn read(record: Record) -> Self {
        Self::read_at(record, Timestamp::now())
    }

    /// As [`Self::read`]. `now` bounds the time that the record tells: one of the future would outlive retention.
    fn read_at(record: Record, now: Timestamp) -> Self {
        let Record { place, origin, value } = record;
        let told = Timestamp::from_millisecond(place.timestamp).ok().filter(|_| place.timestamp > 0);
        let (kept, error, given_up_at) = match serde_json::from_slice(&value) {
            Ok(FailedMessage { message, error, timestamp }) => (message, error, Some(timestamp)),
            Err(cause) => {
                let error = format!("not a record as the dead letter topic holds them: {cause}");
                (String::from_utf8_lossy(&value).into_owned(), error, None)
            }
        };
        let asked_for = given_up_at.and_then(|_| serde_json::from_str(&kept).ok());
        Self {
            id: id_of(given_up_at.or(told).unwrap_or(now).min(now)),
            place,
            asked_for: asked_for
                .map(|SmsRequested::V1(SmsRequestedV1 { message_id, attempt, .. })| (message_id, attempt)),
            origin,
            record: storable(&kept, usize::MAX),
            failure_reason: storable(&format!("Could not be processed: {error}"), LONGEST_REASON),
            error: storable(&error, LONGEST_ERROR),
        }
    }
}

fn id_of(moment: Timestamp) -> Uuid {
    let (seconds, nanoseconds) = (u64::try_from(moment.as_second()), u32::try_from(moment.subsec_nanosecond()));
    let (seconds, nanoseconds) = (seconds.unwrap_or_default(), nanoseconds.unwrap_or_default());
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds))
}

impl Origin {
    /// From the headers of a dead letter; all of it or nothing.
    pub(super) fn parse(topic: Option<&str>, partition: Option<&str>, offset: Option<&str>) -> Option<Self> {
        let topic = topic.filter(|topic| (1..=LONGEST_TOPIC).contains(&topic.len()) && !topic.contains('\0'))?;
        Some(Self { topic: topic.to_owned(), partition: partition?.parse().ok()?, offset: offset?.parse().ok()? })
    }
}

impl DeadLetter {
    /// When the record was given up, to the millisecond.
    pub fn failed_at(&self) -> Timestamp {
        accepted_at(self.id)
    }

    /// Why it cannot be sent again; `None` when it can.
    pub fn refusal(&self) -> Option<Refusal> {
        match (self.redriven_at, self.asked_for, self.message) {
            (Some(at), ..) => Some(Refusal::RedrivenBefore(at)),
            (None, None, _) => Some(Refusal::NotDecodable),
            (None, Some(_), None) => Some(Refusal::MessageNotFound),
            (None, Some((_, given_up)), Some((Status::Failed, present))) => {
                (present > given_up).then_some(Refusal::Outdated { given_up, present })
            }
            (None, Some(_), Some((status, _))) => Some(Refusal::NotFailed(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-23T15:00:00Z";

    fn at(moment: &str) -> Timestamp {
        moment.parse().expect("a time")
    }

    fn read(value: &[u8], timestamp: i64) -> NewDeadLetter {
        let place = Place { partition: 1, offset: 2, timestamp };
        NewDeadLetter::read_at(Record { place, origin: None, value: value.to_vec() }, at(NOW))
    }

    fn letter(message: &str, error: &str, timestamp: &str) -> Vec<u8> {
        let letter = FailedMessage { message: message.to_owned(), error: error.to_owned(), timestamp: at(timestamp) };
        serde_json::to_vec(&letter).expect("a dead letter encodes")
    }

    #[test]
    fn a_dead_letter_knows_its_message() {
        let golden = include_str!("../../../crates/contract/golden/sms-requested-v1.json").trim_end();
        let read = read(&letter(golden, "refused", "2026-11-23T14:00:00.123456Z"), 0);
        let id = "01a208c4-e705-7000-8000-000000000001".parse().expect("a UUID");
        assert_eq!(read.asked_for, Some((id, 1)));
        assert_eq!(read.record, golden);
        assert_eq!((&*read.error, &*read.failure_reason), ("refused", "Could not be processed: refused"));
        assert_eq!(accepted_at(read.id), at("2026-11-23T14:00:00.123Z"));
    }

    #[test]
    fn whatever_lies_in_the_topic_is_kept() {
        let time = at("2026-11-23T13:00:00Z").as_millisecond();
        for value in [&b""[..], b"not json", b"\xff\xfe\x00", b"{}", b"[1]", br#"{"version":"1"}"#] {
            let read = read(value, time);
            assert!(read.asked_for.is_none());
            assert!(read.error.starts_with("not a record as the dead letter topic holds them: "), "{}", read.error);
            assert_eq!(read.record, String::from_utf8_lossy(value).replace('\0', "\u{fffd}"));
            assert_eq!(accepted_at(read.id), at("2026-11-23T13:00:00Z"));
        }
    }

    #[test]
    fn what_cannot_be_stored_is_replaced_or_cut() {
        let read = read(&letter("a\0b", &"\0é".repeat(5_000), NOW), 0);
        assert_eq!(read.record, "a\u{fffd}b");
        assert_eq!(read.error.chars().count(), LONGEST_ERROR);
        assert_eq!(read.failure_reason.chars().count(), LONGEST_REASON);
        assert!(read.failure_reason.starts_with("Could not be processed: \u{fffd}é"));
    }

    #[test]
    fn no_dead_letter_is_of_the_future_or_before_1970() {
        for (told, in_kafka, expected) in [
            (Some("2026-11-23T15:00:00.001Z"), 0, NOW),
            (Some("9999-12-30T00:00:00Z"), 0, NOW),
            (Some("1923-01-01T00:00:00.5Z"), 0, "1970-01-01T00:00:00Z"),
            (None, i64::MAX, NOW),
            (None, -1, NOW),
        ] {
            let value = told.map_or_else(Vec::new, |told| letter("", "", told));
            assert_eq!(accepted_at(read(&value, in_kafka).id), at(expected), "{told:?}");
        }
    }

    #[test]
    fn an_origin_is_told_in_full_or_not_at_all() {
        let origin = Origin { topic: "sms.requests".to_owned(), partition: 3, offset: 9 };
        assert_eq!(Origin::parse(Some("sms.requests"), Some("3"), Some("9")), Some(origin));
        let long = "t".repeat(LONGEST_TOPIC + 1);
        for (topic, partition, offset) in [
            (None, Some("3"), Some("9")),
            (Some(""), Some("3"), Some("9")),
            (Some("a\0"), Some("3"), Some("9")),
            (Some(long.as_str()), Some("3"), Some("9")),
            (Some("sms.requests"), None, Some("9")),
            (Some("sms.requests"), Some("x"), Some("9")),
            (Some("sms.requests"), Some("3"), Some("99999999999999999999")),
        ] {
            assert_eq!(Origin::parse(topic, partition, offset), None, "{topic:?} {partition:?} {offset:?}");
        }
    }

    #[track_caller]
    fn check(asked: Option<i32>, message: Option<(Status, i32)>, redriven_at: Option<&str>, expected: Option<&str>) {
        let letter = DeadLetter {
            id: Uuid::nil(),
            asked_for: asked.map(|attempt| (Uuid::nil(), attempt)),
            message,
            origin: None,
            record: None,
            error: String::new(),
            redriven_at: redriven_at.map(at),
        };
        let found = letter.refusal().map(|refusal| refusal.to_string());
        assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(expected.unwrap_or_default()));
    }

    #[test]
    fn only_what_failed_in_the_attempt_that_was_given_up_is_sent_again_and_only_once() {
        check(Some(1), Some((Status::Failed, 1)), None, None);
        // The message's row was restored from a backup that is older than the record.
        check(Some(2), Some((Status::Failed, 1)), None, None);
        check(Some(1), Some((Status::Failed, 2)), None, Some("attempt 1, and the message had attempt 2 since"));
        check(Some(1), Some((Status::Sent, 1)), None, Some("this one is SENT"));
        check(Some(1), Some((Status::Pending, 2)), None, Some("this one is PENDING"));
        check(Some(1), None, None, Some("does not exist"));
        check(None, None, None, Some("cannot be decoded"));
        check(Some(1), Some((Status::Failed, 2)), Some(NOW), Some("sent again before, at 2026-11-23T15:00:00Z"));
    }
}
