//! A delivery report as it came: what it must hold, and as much of it as is kept. Pure.

use contract::{DeliveryReport, DeliveryStatus};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    message::{LONGEST_REASON, storable},
    problem::Violation,
};

/// Reads a report field by field, so that every wrong one is named.
pub fn parse(mut body: Map<String, Value>) -> Result<DeliveryReport, Vec<Violation>> {
    let mut violations = Vec::new();
    let message_id = take(&mut body, &MESSAGE_ID, &mut violations);
    let status = take(&mut body, &STATUS, &mut violations);
    let failure_reason = take(&mut body, &FAILURE_REASON, &mut violations);
    let processed_at = take(&mut body, &PROCESSED_AT, &mut violations);
    let attempt = take(&mut body, &ATTEMPT, &mut violations);
    let transient = take(&mut body, &TRANSIENT, &mut violations).unwrap_or_default();
    let provider_message_id = take(&mut body, &PROVIDER_MESSAGE_ID, &mut violations);
    match (message_id, status) {
        (Some(message_id), Some(status)) if violations.is_empty() => Ok(DeliveryReport {
            message_id,
            status,
            failure_reason: failure_reason.and_then(|reason: String| kept_reason(status, &reason)),
            processed_at,
            attempt,
            transient,
            provider_message_id: provider_message_id.map(|id: String| storable(&id, LONGEST_PROVIDER_MESSAGE_ID)),
        }),
        _ => Err(violations),
    }
}

/// How much of a provider's name for a message is kept, in characters; those that are known have 36 at most.
const LONGEST_PROVIDER_MESSAGE_ID: usize = 200;

struct Field {
    name: &'static str,
    peer_name: &'static str,
    /// What is said when it is missing; nothing is said for an optional field.
    required: Option<&'static str>,
    malformed: &'static str,
}

const MESSAGE_ID: Field = Field {
    name: "message_id",
    peer_name: "processDeliveryReport.deliveryReport.messageId",
    required: Some("Message ID is required"),
    malformed: "Message ID must be a UUID",
};

const STATUS: Field = Field {
    name: "status",
    peer_name: "processDeliveryReport.deliveryReport.status",
    required: Some("Status is required"),
    malformed: "Status must be SENT, FAILED, EXPIRED or UNKNOWN",
};

const FAILURE_REASON: Field = Field {
    name: "failure_reason",
    peer_name: "processDeliveryReport.deliveryReport.failureReason",
    required: None,
    malformed: "Failure reason must be a string",
};

const PROCESSED_AT: Field = Field {
    name: "processed_at",
    peer_name: "processDeliveryReport.deliveryReport.processedAt",
    required: None,
    malformed: "Processing time must be a time with zone (RFC 3339)",
};

const ATTEMPT: Field = Field {
    name: "attempt",
    peer_name: "processDeliveryReport.deliveryReport.attempt",
    required: None,
    malformed: "Attempt must be a whole number",
};

const TRANSIENT: Field = Field {
    name: "transient",
    peer_name: "processDeliveryReport.deliveryReport.transient",
    required: None,
    malformed: "Transient must be true or false",
};

const PROVIDER_MESSAGE_ID: Field = Field {
    name: "provider_message_id",
    peer_name: "processDeliveryReport.deliveryReport.providerMessageId",
    required: None,
    malformed: "Provider message ID must be a string",
};

fn take<T: DeserializeOwned>(
    body: &mut Map<String, Value>,
    field: &Field,
    violations: &mut Vec<Violation>,
) -> Option<T> {
    let mut complain = |message: &str| {
        violations.push(Violation::of(field.name, field.peer_name, message));
    };
    match body.remove(field.name) {
        None | Some(Value::Null) => {
            if let Some(message) = field.required {
                complain(message);
            }
            None
        }
        Some(value) => serde_json::from_value(value).map_err(|_| complain(field.malformed)).ok(),
    }
}

/// What is stored as the reason: none where there is nothing to explain.
fn kept_reason(status: DeliveryStatus, reason: &str) -> Option<String> {
    match status {
        DeliveryStatus::Sent | DeliveryStatus::Expired => None,
        DeliveryStatus::Failed | DeliveryStatus::Unknown => Some(storable(reason, LONGEST_REASON)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Result<&str, &[&str]>) {
        let parsed = parse(serde_json::from_str(json).expect("a JSON object"));
        let found = parsed
            .map(|report| serde_json::to_string(&report).expect("report encodes"))
            .map_err(|violations| violations.iter().map(|v| v.message.clone()).collect::<Vec<_>>());
        let expected = expected.map(str::to_owned).map_err(|messages| messages.iter().map(|&m| m.to_owned()).collect());
        assert_eq!(found, expected);
    }

    #[test]
    fn the_golden_report_is_understood() {
        let golden = include_str!("../../../crates/contract/golden/delivery-report.json").trim_end();
        check(golden, Ok(golden));
    }

    #[test]
    fn every_wrong_field_of_a_report_is_named() {
        check("{}", Err(&["Message ID is required", "Status is required"]));
        check(
            r#"{"message_id":"1-1-1","status":"PENDING","failure_reason":1,"processed_at":"yesterday","attempt":"x"}"#,
            Err(&[
                MESSAGE_ID.malformed,
                STATUS.malformed,
                FAILURE_REASON.malformed,
                PROCESSED_AT.malformed,
                ATTEMPT.malformed,
            ]),
        );
    }

    #[test]
    fn a_reason_is_kept_only_where_it_explains_and_only_as_far_as_it_can_be_stored() {
        let long = format!("a\0{}", "é".repeat(600));
        for status in [DeliveryStatus::Failed, DeliveryStatus::Unknown] {
            let kept = kept_reason(status, &long).expect("it has its reason");
            assert_eq!(kept.chars().count(), LONGEST_REASON);
            assert!(kept.starts_with("a\u{fffd}é"));
        }
        for status in [DeliveryStatus::Sent, DeliveryStatus::Expired] {
            assert_eq!(kept_reason(status, "ignored"), None);
        }
    }
}
