//! What is measured, and how much of it.

use clap::ValueEnum;

/// What can be chosen on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Single POSTs at 1,000 per second: how long until a message is final
    Latency,
    /// Batch POSTs at rising rates: the highest at which no backlog grows
    Rate,
}

/// Single POSTs per second where latency is measured.
pub const RATE: u32 = 1000;
/// Connections that share this rate.
pub const CONNECTIONS: usize = 64;
/// How many messages each POST has where the highest rate is sought: single ones cost sms-api more than all the rest.
pub const BATCH: usize = 500;
/// Connections that share the requests with batches.
pub const BATCH_CONNECTIONS: usize = 16;
