//! A record as it was read, before anybody has looked into it.

use std::sync::Arc;

/// What was read from a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it was read.
    pub origin: Origin,
    /// Its value; empty when there was none.
    pub value: Vec<u8>,
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
