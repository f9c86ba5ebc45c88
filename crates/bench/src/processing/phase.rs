//! What is measured, and in which order. To add a phase: a variant here, and how it runs in `processing.rs`.

use clap::ValueEnum;
use serde::Serialize;

use crate::number::number;

/// What can be chosen on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A consumer that only decodes
    Bare,
    /// The processor with a full topic before it
    Throughput,
    /// The processor at a constant rate
    Latency,
}

/// One thing that every round measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The bare consumer over 6 partitions.
    Bare6,
    /// The processor over the same records.
    Processor6,
    /// The bare consumer over 24 partitions.
    Bare24,
    /// The processor over the same records.
    Processor24,
    /// The processor at a constant rate.
    Latency,
}

/// Records per second at the constant rate.
pub const RATE: u32 = 1000;
/// Partitions of the topic that is filled at the constant rate.
pub const LATENCY_PARTITIONS: i32 = 6;

impl Phase {
    /// All of them, as every round runs them. A reference is close to what is compared with it.
    pub const ALL: [Phase; 5] = [Phase::Bare6, Phase::Processor6, Phase::Bare24, Phase::Processor24, Phase::Latency];

    /// What it belongs to on the command line.
    pub fn part(self) -> Part {
        match self {
            Phase::Bare6 | Phase::Bare24 => Part::Bare,
            Phase::Processor6 | Phase::Processor24 => Part::Throughput,
            Phase::Latency => Part::Latency,
        }
    }

    /// How many partitions the topic has.
    pub fn partitions(self) -> i32 {
        match self {
            Phase::Bare6 | Phase::Processor6 => 6,
            Phase::Bare24 | Phase::Processor24 => 24,
            Phase::Latency => LATENCY_PARTITIONS,
        }
    }

    /// What it does, for people.
    pub fn title(self) -> String {
        let partitions = self.partitions();
        match self.part() {
            Part::Bare => format!("bare consumer, {partitions} partitions"),
            Part::Throughput => format!("processor, {partitions} partitions"),
            Part::Latency => format!("processor, {} per second", number(RATE.into())),
        }
    }
}
