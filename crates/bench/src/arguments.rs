//! The command line. Every setting of the benchmarks is here; nothing else reads the environment.

mod ingest;

use clap::{Parser, Subcommand};

pub use ingest::IngestArguments;

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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
