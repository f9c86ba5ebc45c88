//! How all binaries reach Kafka: connection settings as one type, and the admin calls.
//!
//! Holds the only unsafe code of the workspace: librdkafka's admin calls that rdkafka does not wrap.
//! Knows nothing of messages or pipelines.

mod admin;
mod cause;
mod metadata;
mod native;
mod offsets;
mod quiet;
mod security;
mod settings;

use std::{io, path::PathBuf, sync::Arc};

use rdkafka::types::RDKafkaErrorCode;

pub use admin::{Admin, Call, Config, Configurable, Entry, Interceptor, NewTopic, Said};
pub use metadata::metadata;
pub use native::TopicDescription;
pub use offsets::PartitionOffsets;
pub use quiet::Quiet;
pub use security::{Mechanism, Protocol, Security, Source};
pub use settings::Settings;

/// Why a client could not be made, or an admin call failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The client itself could not be made: a setting is wrong.
    #[error("invalid Kafka client settings")]
    Settings(#[source] rdkafka::error::KafkaError),
    /// A setting needs another one that is not there.
    #[error("{0}")]
    Incomplete(&'static str),
    /// A file that a setting names could not be read.
    #[error("failed to read {}, named by {setting}", path.display())]
    ReadFile {
        /// The setting as an environment variable.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A value that the C library would cut off.
    #[error("what {setting} names holds a NUL byte")]
    NulByte {
        /// The setting as an environment variable.
        setting: &'static str,
    },
    /// The brokers do not take our user name and password.
    #[error("Kafka does not let us in: {reason}")]
    Login {
        /// What the broker or the client library said.
        reason: String,
    },
    /// A broker does not prove who it is, does not take our certificate, or speaks another protocol.
    #[error("no secure connection to Kafka: {reason}")]
    Tls {
        /// What the client library said.
        reason: String,
    },
    /// No broker answered in time, or the answer was an error for the call as a whole.
    #[error("Kafka call {call} failed: {reason}")]
    Call {
        /// The admin call by its protocol name.
        call: &'static str,
        /// What the broker or the client library said.
        reason: String,
    },
    /// A topic has fewer partitions than was thought.
    #[error("Kafka call {call} failed: topic {topic:?} has no partition {partition}")]
    UnknownPartition {
        /// The admin call by its protocol name.
        call: &'static str,
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// Our user has no right to do that.
    #[error("Kafka does not allow us {call} for {name:?}: {reason}")]
    NotAllowed {
        /// The admin call by its protocol name.
        call: &'static str,
        /// The topic, group or broker that it was refused for.
        name: String,
        /// The broker's error code in words.
        reason: String,
    },
    /// The broker refused one topic, group or broker.
    #[error("Kafka refused {call} for {topic:?}: {reason}")]
    Topic {
        /// The admin call by its protocol name.
        call: &'static str,
        /// What it was refused for.
        topic: String,
        /// The broker's error code in words.
        reason: String,
    },
}

impl Error {
    /// The broker's answer for one topic, group or broker.
    pub(crate) fn refused(call: &'static str, name: String, code: RDKafkaErrorCode, reason: String) -> Self {
        use RDKafkaErrorCode::{ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed};
        match code {
            TopicAuthorizationFailed | GroupAuthorizationFailed | ClusterAuthorizationFailed => {
                Self::NotAllowed { call, name, reason }
            }
            _ => Self::Topic { call, topic: name, reason },
        }
    }
}
