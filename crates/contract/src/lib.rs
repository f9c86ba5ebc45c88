//! Everything that travels between the operator, sms-api and the processor: records, their headers and
//! delivery reports.
//!
//! Types only: this crate does no I/O and knows no client. A released version of a record never
//! changes; a new need is a new version beside it, and a golden file under `golden/` nails each one.

mod dead_letter;
mod delivery_report;
pub mod headers;
pub mod problem;
mod sms_requested;

pub use dead_letter::FailedMessage;
pub use delivery_report::{DeliveryReport, DeliveryStatus};
pub use sms_requested::{SmsRequested, SmsRequestedV1};
