//! What one request brings: messages that are stored together or not at all, and perhaps the promise that repeating
//! the request does not repeat them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use uuid::Uuid;

use crate::message::NewMessage;

/// The messages of one request.
#[derive(Clone)]
pub struct Submission {
    /// At least one.
    pub messages: Vec<NewMessage>,
    /// There, when the request carried an Idempotency-Key.
    pub once: Option<Once>,
}

/// What makes a request one that can be repeated without effect.
/// Source: draft-ietf-httpapi-idempotency-key-header.
#[derive(Clone)]
pub struct Once {
    /// Whose key it is: the name of the API key that the request came with.
    pub client: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// SHA-256 of what was asked for; the same key with another one is an error of the client.
    pub fingerprint: [u8; 32],
    /// For how long the key is kept.
    pub kept: Duration,
    /// The answer, which every repetition gets, too.
    pub answer: Answer,
}

/// An answer of 202, as far as it differs from request to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Where what was accepted can be read: a path.
    pub location: String,
    /// JSON.
    pub body: Bytes,
}

/// That a submission is dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Its messages are committed.
    New,
    /// Those of the first request with its key were; that request got this answer.
    Before(Answer),
}

impl Submission {
    /// Names the submission: the id of its first message.
    pub fn id(&self) -> Uuid {
        self.messages.first().map_or(Uuid::nil(), |message| message.id)
    }

    /// About how many bytes of memory it takes while it waits.
    pub fn weight(&self) -> usize {
        let answer = self.once.as_ref().map_or(0, |once| once.answer.body.len());
        self.messages.iter().map(NewMessage::weight).sum::<usize>() + answer
    }
}
