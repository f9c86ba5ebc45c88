use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What became of a message: the body of `POST /v1/internal/delivery-report` (ADR-007, callback mechanism), and one
/// of many in [`crate::DeliveryReports`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// The message reported on.
    pub message_id: Uuid,
    /// The outcome.
    pub status: DeliveryStatus,
    /// Why the message was not sent, or why nobody knows; meaningless for a sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// When the provider's answer was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processed_at: Option<Timestamp>,
    /// The attempt reported on, from 1; a report without one speaks of the current attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<i32>,
    /// Whether another attempt later may succeed; meaningless unless the message failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub transient: bool,
    /// What the provider calls the message, if it gave it a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_message_id: Option<String>,
}

/// The outcomes that a delivery report can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeliveryStatus {
    /// The provider took the message.
    Sent,
    /// The provider refused the message, or no attempt reached it.
    Failed,
    /// It was too late for an attempt, or for another one.
    Expired,
    /// The provider may or may not have taken the message.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_with_everything_stays_readable() {
        let golden = include_str!("../golden/delivery-report.json").trim_end();
        let decoded: DeliveryReport = serde_json::from_str(golden).expect("golden report decodes");
        assert_eq!(serde_json::to_string(&decoded).expect("report encodes"), golden);
    }

    #[test]
    fn a_report_of_the_two_required_fields_is_enough() {
        let report = r#"{"message_id":"019aa8f0-0000-7000-8000-000000000001","status":"SENT"}"#;
        let decoded: DeliveryReport = serde_json::from_str(report).expect("report decodes");
        assert_eq!(decoded.status, DeliveryStatus::Sent);
        assert_eq!(decoded.attempt, None);
        assert!(!decoded.transient);
        assert_eq!(serde_json::to_string(&decoded).expect("report encodes"), report);
    }
}
