use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One message to be sent: the value of a record on the requests topics, whose key is the recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum SmsRequested {
    /// The first version.
    #[serde(rename = "1")]
    V1(SmsRequestedV1),
}

/// Version 1 of [`SmsRequested`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SmsRequestedV1 {
    /// The message's id, a UUID of version 7.
    pub message_id: Uuid,
    /// Sender as the client gave it: E.164, the plus sign optional.
    pub sender: String,
    /// Recipient as the client gave it: E.164, the plus sign optional.
    pub recipient: String,
    /// The text, never altered.
    pub text: String,
    /// Which delivery attempt this record asks for, from 1.
    pub attempt: i32,
    /// When sms-api accepted the message.
    pub created_at: Timestamp,
    /// From when on the message is not to be sent any more; none means that it is never too late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_on_the_wire_stays_readable() {
        let golden = include_str!("../golden/sms-requested-v1.json").trim_end();
        let decoded: SmsRequested = serde_json::from_str(golden).expect("golden record decodes");
        assert_eq!(serde_json::to_string(&decoded).expect("record encodes"), golden);
        let SmsRequested::V1(record) = decoded;
        assert_eq!(record.recipient, "+4915112345678");
        assert_eq!(record.text, "Grüße 🎈");
        assert_eq!(record.expires_at, None);
    }

    #[test]
    fn version_1_with_everything_stays_readable() {
        let golden = include_str!("../golden/sms-requested-v1-expiring.json").trim_end();
        let decoded: SmsRequested = serde_json::from_str(golden).expect("golden record decodes");
        assert_eq!(serde_json::to_string(&decoded).expect("record encodes"), golden);
        let SmsRequested::V1(record) = decoded;
        assert_eq!(record.expires_at, "2026-11-23T14:20:00Z".parse().ok());
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let error = serde_json::from_str::<SmsRequested>(r#"{"version":"99"}"#).expect_err("no such version");
        assert!(error.to_string().contains("unknown variant `99`"), "{error}");
    }
}
