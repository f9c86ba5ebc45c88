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
    /// The processor with urgent messages at a constant rate, beside a flood of others
    Flood,
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
    /// The processor with messages of high priority at a constant rate, and more of low priority than it can take.
    Flood,
}

/// Records per second at the constant rate.
pub const RATE: u32 = 1000;
/// Partitions of the topics that are filled at the constant rate.
pub const CONSTANT_PARTITIONS: i32 = 6;
/// How many messages of low priority lie before the processor when those of high priority begin to come.
pub const FLOOD: u32 = 100_000;

impl Phase {
    /// All of them, as every round runs them. A reference is close to what is compared with it.
    pub const ALL: [Phase; 6] =
        [Phase::Bare6, Phase::Processor6, Phase::Bare24, Phase::Processor24, Phase::Latency, Phase::Flood];

    /// What it belongs to on the command line.
    pub fn part(self) -> Part {
        match self {
            Phase::Bare6 | Phase::Bare24 => Part::Bare,
            Phase::Processor6 | Phase::Processor24 => Part::Throughput,
            Phase::Latency => Part::Latency,
            Phase::Flood => Part::Flood,
        }
    }

    /// How many partitions the topic has.
    pub fn partitions(self) -> i32 {
        match self {
            Phase::Bare6 | Phase::Processor6 => 6,
            Phase::Bare24 | Phase::Processor24 => 24,
            Phase::Latency | Phase::Flood => CONSTANT_PARTITIONS,
        }
    }

    /// What it does, for people.
    pub fn title(self) -> String {
        let partitions = self.partitions();
        match self.part() {
            Part::Bare => format!("bare consumer, {partitions} partitions"),
            Part::Throughput => format!("processor, {partitions} partitions"),
            Part::Latency => format!("processor, {} per second", number(RATE.into())),
            Part::Flood => format!("{} urgent per second", number(RATE.into())),
        }
    }
}
