//! Names of the headers that records and requests carry.

/// W3C trace context of the request that caused the record. Source: <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: &str = "traceparent";

/// Topic from which a dead letter was taken.
pub const ORIGIN_TOPIC: &str = "origin-topic";
/// Partition from which a dead letter was taken, as a decimal number.
pub const ORIGIN_PARTITION: &str = "origin-partition";
/// Offset of the dead letter in its origin partition, as a decimal number.
pub const ORIGIN_OFFSET: &str = "origin-offset";
