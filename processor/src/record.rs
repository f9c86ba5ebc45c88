//! A record as it was read, before anybody has looked into it.

use std::sync::Arc;

use jiff::Timestamp;

/// What was read from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it was read.
    pub origin: Origin,
    /// Its value; empty when there was none.
    pub value: Vec<u8>,
    /// When it was put there, if it says so.
    pub put_at: Option<Timestamp>,
    /// Whether somebody may have worked on it before and left no trace of it in Kafka: nobody has ever committed a position
    /// in its partition.
    pub is_doubtful: bool,
    /// The W3C trace context that it carried.
    pub traceparent: Option<String>,
}

/// A place in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}
