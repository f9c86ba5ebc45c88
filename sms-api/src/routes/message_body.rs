//! A message as clients read it, whichever URL answers: the first implementation's fields in their order, then
//! what the client gave beside them, then what only follows from them. To tell more: a field at the end.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    message::{Message, Metadata, Priority, Status},
    segments::{Encoding, Segmentation},
};

/// The body; only ever made from a [`Message`].
#[derive(Serialize, ToSchema)]
#[schema(as = Message)]
pub struct MessageBody {
    id: Uuid,
    sender: Arc<str>,
    recipient: Arc<str>,
    text: Arc<str>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    priority: Priority,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Arc<Metadata>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_message_id: Option<String>,
    attempt: i32,
    r#final: bool,
    segments: usize,
    encoding: Encoding,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        let Segmentation { encoding, segments } = Segmentation::of(&message.text);
        Self {
            created_at: message.created_at(),
            updated_at: message.updated_at(),
            r#final: message.is_final(),
            id: message.id,
            sender: message.sender,
            recipient: message.recipient,
            text: message.text,
            status: message.status,
            failure_reason: message.failure_reason,
            priority: message.priority,
            send_at: message.send_at,
            expires_at: message.expires_at,
            retry_at: message.retry_at,
            client_reference: message.client_reference,
            metadata: message.metadata,
            batch_id: message.batch_id,
            provider_message_id: message.provider_message_id,
            attempt: message.attempt,
            segments,
            encoding,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::plain;

    #[test]
    fn what_follows_from_a_message_comes_after_the_fields_of_the_peer() {
        let text = "😀".repeat(36);
        let new = plain("01a205b3-d001-7000-8000-000000000000".parse().expect("a UUID"));
        let message = Message {
            text: text.as_str().into(),
            status: Status::Failed,
            failure_reason: Some("blocked".to_owned()),
            provider_message_id: Some("SM1".to_owned()),
            attempt: 2,
            changed_at: Some("2026-11-23T00:00:01.5Z".parse().expect("a time")),
            ..Message::just_stored(&new)
        };
        assert_eq!(
            serde_json::to_string(&MessageBody::from(message)).expect("a body encodes"),
            format!(
                r#"{{"id":"01a205b3-d001-7000-8000-000000000000","sender":"+15550100","recipient":"+15550101","text":"{text}","status":"FAILED","failure_reason":"blocked","created_at":"2026-11-23T00:00:00.001Z","updated_at":"2026-11-23T00:00:01.5Z","priority":"normal","provider_message_id":"SM1","attempt":2,"final":true,"segments":2,"encoding":"UCS-2"}}"#
            )
        );
    }
}
