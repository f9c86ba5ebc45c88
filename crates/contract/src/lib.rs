//! Everything that travels between the operator, sms-api and the processor: records, their headers, claims,
//! delivery reports and load reports.
//!
//! Types only: this crate does no I/O and knows no client. A released version of a record never
//! changes; a new need is a new version beside it, and a golden file under `golden/` nails each one.

mod claims;
mod dead_letter;
mod delivery_report;
mod delivery_reports;
pub mod headers;
mod load;
pub mod problem;
mod sms_requested;

pub use claims::{Claim, ClaimOutcome, ClaimResult, ClaimResults, Claims};
pub use dead_letter::FailedMessage;
pub use delivery_report::{DeliveryReport, DeliveryStatus};
pub use delivery_reports::{DeliveryReports, ReportOutcome, ReportResult, ReportResults};
pub use load::{CpuLoad, LaneLoad, Load, PartitionLoad};
pub use sms_requested::{SmsRequested, SmsRequestedV1};

/// How many reports or claims one request may carry.
pub const LARGEST_BATCH: usize = 1000;
