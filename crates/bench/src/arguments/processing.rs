//! What `processing` can be told.

use std::{num::NonZeroU32, path::PathBuf};

use clap::Args;

use crate::processing::phase::{Part, Phase};

/// What `processing` can be told.
#[derive(Args, Clone, Debug)]
pub struct ProcessingArguments {
    /// How many records each topic has
    #[arg(long, value_name = "COUNT", default_value = "2000000", value_parser = clap::value_parser!(u32).range(1_000_000..=50_000_000))]
    pub records: u32,

    /// How long latency is measured, in each round
    #[arg(long, value_name = "SECONDS", default_value = "20")]
    pub seconds: NonZeroU32,

    /// How often everything is measured, so that what changes on the machine meanwhile changes all of it
    #[arg(long, value_name = "COUNT", default_value = "3")]
    pub rounds: NonZeroU32,

    /// Measure only this; the ratio needs both `bare` and `throughput` [default: all]
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,

    /// How many messages the processor may have in work at once; a tenth of them is kept free for urgent ones
    #[arg(long, value_name = "COUNT", default_value = "240000", value_parser = clap::value_parser!(u32).range(1..=500_000))]
    pub max_in_flight: u32,

    /// Where processing.json and processing.svg are written, and where Kafka lives meanwhile [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

impl ProcessingArguments {
    /// What each round measures, in this order.
    pub fn phases(&self) -> Vec<Phase> {
        let wants = |phase: &Phase| self.only.is_empty() || self.only.contains(&phase.part());
        Phase::ALL.into_iter().filter(wants).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: ProcessingArguments,
    }

    #[track_caller]
    fn check(flags: &[&str], phases: &[Phase]) {
        let line = CommandLine::try_parse_from(["processing"].iter().chain(flags)).expect("usable flags");
        assert_eq!(line.arguments.phases(), phases);
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        check(&[], &Phase::ALL);
    }

    #[test]
    fn one_part_can_be_measured_alone() {
        check(&["--only", "throughput"], &[Phase::Processor6, Phase::Processor24]);
        check(&["--only", "bare,latency"], &[Phase::Bare6, Phase::Bare24, Phase::Latency]);
        check(&["--only", "flood"], &[Phase::Flood]);
    }

    #[test]
    fn too_few_records_to_see_a_steady_state_are_refused() {
        let flags = ["processing", "--records", "100000"];
        let error = CommandLine::try_parse_from(flags).err().expect("too few").to_string();
        assert!(error.contains("--records"), "{error}");
    }
}
