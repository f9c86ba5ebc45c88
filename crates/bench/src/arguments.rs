//! The command line. Every setting of the benchmarks is here; nothing else reads the environment.

mod autoscale;
mod end_to_end;
mod ingest;
mod operator;
mod processing;

use clap::{Parser, Subcommand};

pub use autoscale::AutoscaleArguments;
pub use end_to_end::EndToEndArguments;
pub use ingest::IngestArguments;
pub use operator::OperatorArguments;
pub use processing::ProcessingArguments;

/// Measures the product on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub struct Arguments {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// How fast sms-api takes messages in, beside plain inserts of the same rows into the same table
    Ingest(IngestArguments),
    /// How fast the processor takes messages from Kafka to the provider and reports them, beside a bare consumer
    Processing(ProcessingArguments),
    /// How long a message takes from accepted to final, and how many a second go all the way without a growing backlog
    EndToEnd(EndToEndArguments),
    /// How the number of processors follows a constant load, a step, a burst and silence
    Autoscale(AutoscaleArguments),
    /// How many pipelines the operator copes with: how soon all are ready, and what they cost while nothing changes
    Operator(OperatorArguments),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
