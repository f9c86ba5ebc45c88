//! What the topics hold: one short text, and as many recipients as records. Pure.

use contract::{SmsRequested, SmsRequestedV1};
use jiff::Timestamp;
use uuid::{Builder, Uuid};

/// 20 characters: with it a record's value has 200 bytes.
const TEXT: &str = "Your code is 471108.";
/// What every recipient starts with; nine digits follow.
const RECIPIENT_PREFIX: &str = "+4915";
/// The bits of an id of version 7 in which its number stands.
const NUMBER_BITS: u128 = u32::MAX as u128;

/// The record of a number: its key and its value.
pub fn record(number: u32, created_at: Timestamp) -> (String, Vec<u8>) {
    let recipient = format!("{RECIPIENT_PREFIX}{number:09}");
    let message = SmsRequestedV1 {
        message_id: id(number, created_at),
        sender: "+15550100".to_owned(),
        recipient: recipient.clone(),
        text: TEXT.to_owned(),
        attempt: 1,
        created_at,
        expires_at: None,
    };
    (recipient, serde_json::to_vec(&SmsRequested::V1(message)).expect("a message can always be written as JSON"))
}

/// An id of version 7 that holds the number.
fn id(number: u32, created_at: Timestamp) -> Uuid {
    let milliseconds = u64::try_from(created_at.as_millisecond()).unwrap_or_default();
    let mut random = [0; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

/// The number that an id holds.
pub fn number_in(id: Uuid) -> u32 {
    u32::try_from(id.as_u128() & NUMBER_BITS).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_about_200_bytes_and_is_what_sms_api_would_write() {
        let created_at: Timestamp = "2026-11-24T12:34:56.123456Z".parse().expect("a time");
        let (key, value) = record(1_999_999, created_at);
        assert!((195..=205).contains(&value.len()), "{}", value.len());
        let SmsRequested::V1(message) = serde_json::from_slice(&value).expect("a request");
        assert_eq!((key.as_str(), message.recipient.as_str()), ("+4915001999999", "+4915001999999"));
        assert_eq!(message.message_id.get_version_num(), 7);
    }

    #[test]
    fn an_id_tells_its_number() {
        for number in [0, 1, 2_000_000, u32::MAX] {
            assert_eq!(number_in(id(number, Timestamp::UNIX_EPOCH)), number);
        }
    }
}
