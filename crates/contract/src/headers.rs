//! Names of the headers that records and requests carry.

/// W3C trace context of the request that caused the record. Source: <https://www.w3.org/TR/trace-context/>.
pub const TRACEPARENT: &str = "traceparent";

/// Topic from which a dead letter was taken.
pub const ORIGIN_TOPIC: &str = "origin-topic";
/// Partition from which a dead letter was taken, as a decimal number.
pub const ORIGIN_PARTITION: &str = "origin-partition";
/// Offset of the dead letter in its origin partition, as a decimal number.
pub const ORIGIN_OFFSET: &str = "origin-offset";

/// Why a record became a dead letter, in a word: `undecodable`, `unknown-message`, `invalid-report`, `invalid-claim` or
/// `panic`.
pub const ERROR_CLASS: &str = "error-class";
/// How often the processor that gave a record up had given its message to the provider, as a decimal number.
pub const ATTEMPTS: &str = "attempts";
/// [`BASE64`] where the message of a dead letter is so encoded, because the record's value was no UTF-8.
pub const MESSAGE_ENCODING: &str = "message-encoding";
/// Base64 with padding. Source: RFC 4648, section 4.
pub const BASE64: &str = "base64";
