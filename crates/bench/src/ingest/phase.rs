//! What is measured, and in which order. To add a phase: a variant here, and how it runs in `ingest.rs`.

use clap::ValueEnum;
use serde::Serialize;

use crate::number::number;

/// What can be chosen on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Plain inserts of the same rows
    References,
    /// Single POSTs, flat out
    Single,
    /// Batch POSTs, flat out
    Batch,
    /// Single POSTs at a constant rate
    Constant,
    /// Gets and lists in a large table
    Reads,
}

/// One thing that every round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Single-row inserts.
    ReferenceA,
    /// Multi-row inserts.
    ReferenceB,
    /// Single POSTs from 256 connections.
    Single256,
    /// Single POSTs from 64 connections.
    Single64,
    /// Batch POSTs.
    Batch,
    /// Single POSTs at a constant rate.
    Constant,
}

/// How many messages a batch has, and how many rows an insert of reference B.
pub const BATCH: usize = 500;
/// Single POSTs per second at the constant rate.
pub const RATE: u32 = 1000;
/// Connections of reference A.
pub const A_CONNECTIONS: usize = 32;
/// Connections of reference B. On two cores one or two insert less, eight no more, and 32 less again.
pub const B_CONNECTIONS: usize = 4;
/// Connections that post batches. Enough that one is always ready when a transaction ends.
pub const BATCH_CONNECTIONS: usize = 8;
/// Connections that share the constant rate; only a service that is late needs more than a few of them.
pub const RATE_CONNECTIONS: usize = 64;

impl Phase {
    /// All of them, as every round runs them. A reference is close to what is compared with it.
    pub const ALL: [Phase; 6] =
        [Phase::ReferenceA, Phase::Single256, Phase::Single64, Phase::ReferenceB, Phase::Batch, Phase::Constant];

    /// What it belongs to on the command line.
    pub fn part(self) -> Part {
        match self {
            Phase::ReferenceA | Phase::ReferenceB => Part::References,
            Phase::Single256 | Phase::Single64 => Part::Single,
            Phase::Batch => Part::Batch,
            Phase::Constant => Part::Constant,
        }
    }

    /// What it does, for people.
    pub fn title(self) -> String {
        match self {
            Phase::ReferenceA => format!("A: single-row inserts, {A_CONNECTIONS} connections"),
            Phase::ReferenceB => format!("B: inserts of {BATCH} rows, {B_CONNECTIONS} connections"),
            Phase::Single256 => "single POSTs, 256 connections".to_owned(),
            Phase::Single64 => "single POSTs, 64 connections".to_owned(),
            Phase::Batch => format!("POSTs of {BATCH} messages, {BATCH_CONNECTIONS} connections"),
            Phase::Constant => format!("single POSTs, {} per second", number(RATE.into())),
        }
    }

    /// Messages, or rows, that one answer or insert stands for.
    pub fn messages_per_answer(self) -> u64 {
        match self {
            Phase::ReferenceB | Phase::Batch => BATCH as u64,
            Phase::ReferenceA | Phase::Single256 | Phase::Single64 | Phase::Constant => 1,
        }
    }

    /// Whether it goes through sms-api.
    pub fn is_service(self) -> bool {
        self.part() != Part::References
    }
}
