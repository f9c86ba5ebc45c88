//! How all binaries reach Kafka: connection settings as one type, and the admin calls.
//!
//! Holds the only unsafe code of the workspace: librdkafka's admin calls that rdkafka does not wrap.
//! Knows nothing of messages or pipelines.

mod admin;
mod metadata;
mod native;
mod offsets;
mod settings;

pub use admin::{Admin, NewTopic};
pub use metadata::metadata;
pub use native::TopicDescription;
pub use offsets::PartitionOffsets;
pub use settings::Settings;

/// Why an admin call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client itself could not be made: a setting is wrong.
    #[error("invalid Kafka client settings")]
    Settings(#[source] rdkafka::error::KafkaError),
    /// No broker answered in time, or the answer was an error for the call as a whole.
    #[error("Kafka call {call} failed: {reason}")]
    Call {
        /// The admin call by its protocol name.
        call: &'static str,
        /// What the broker or the client library said.
        reason: String,
    },
    /// The broker refused one topic.
    #[error("Kafka refused {call} for topic {topic:?}: {reason}")]
    Topic {
        /// The admin call by its protocol name.
        call: &'static str,
        /// The topic refused.
        topic: String,
        /// The broker's error code in words.
        reason: String,
    },
}
