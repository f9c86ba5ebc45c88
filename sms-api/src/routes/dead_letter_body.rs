//! A dead letter as clients read it, whichever URL answers.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::dead_letters::{DeadLetter, Origin};

/// The body; only ever made from a [`DeadLetter`].
#[derive(Serialize, ToSchema)]
#[schema(as = DeadLetter)]
pub struct DeadLetterBody {
    id: Uuid,
    /// When the record was given up.
    failed_at: Timestamp,
    /// Why it was given up.
    error: String,
    /// The message that the record was of; absent where it could not be decoded. Such a dead letter belongs to the
    /// tenant `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<Uuid>,
    /// The attempt that the record asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    /// When the message was sent again because of this dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    redriven_at: Option<Timestamp>,
    /// Whether the message can be sent again because of this dead letter.
    redrivable: bool,
    /// The record's value as far as it is text; lists leave it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
}

impl From<DeadLetter> for DeadLetterBody {
    fn from(letter: DeadLetter) -> Self {
        let (message_id, attempt) = letter.asked_for.unzip();
        Self {
            id: letter.id,
            failed_at: letter.failed_at(),
            redrivable: letter.refusal().is_none(),
            error: letter.error,
            message_id,
            attempt,
            origin: letter.origin,
            redriven_at: letter.redriven_at,
            record: letter.record,
        }
    }
}
