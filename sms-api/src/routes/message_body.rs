//! A message as clients read it, whichever URL answers: the first implementation's fields in their order, then
//! what only follows from them. To tell more: a field at the end.

use serde::Serialize;

use crate::{
    message::Message,
    segments::{Encoding, Segmentation},
};

/// The body; only ever made from a [`Message`].
#[derive(Serialize)]
pub struct MessageBody {
    #[serde(flatten)]
    message: Message,
    r#final: bool,
    segments: usize,
    encoding: Encoding,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        let Segmentation { encoding, segments } = Segmentation::of(&message.text);
        Self { r#final: message.status.is_final(), segments, encoding, message }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::message::Status;

    #[test]
    fn what_follows_from_a_message_comes_after_the_fields_of_the_peer() {
        let message = Message {
            id: Uuid::nil(),
            sender: "+15550100".to_owned(),
            recipient: "+15550101".to_owned(),
            text: "😀".repeat(36),
            status: Status::Failed,
            failure_reason: Some("blocked".to_owned()),
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let text = message.text.clone();
        assert_eq!(
            serde_json::to_string(&MessageBody::from(message)).expect("a body encodes"),
            format!(
                r#"{{"id":"00000000-0000-0000-0000-000000000000","sender":"+15550100","recipient":"+15550101","text":"{text}","status":"FAILED","failure_reason":"blocked","created_at":"1970-01-01T00:00:00Z","updated_at":"1970-01-01T00:00:00Z","final":true,"segments":2,"encoding":"UCS-2"}}"#
            )
        );
    }
}
