//! What `end-to-end` can be told.

use std::{num::NonZeroU32, path::PathBuf};

use clap::Args;

use crate::end_to_end::phase::Part;

/// What `end-to-end` can be told.
#[derive(Args, Clone, Debug)]
pub struct EndToEndArguments {
    /// How long the highest rate has to hold
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(8..))]
    pub seconds: u32,

    /// How long each rate is tried until the highest one is found
    #[arg(long, value_name = "SECONDS", default_value = "16", value_parser = clap::value_parser!(u32).range(8..))]
    pub probe_seconds: u32,

    /// Over how many rounds of 10 s latency is measured
    #[arg(long, value_name = "COUNT", default_value = "3")]
    pub rounds: NonZeroU32,

    /// Measure only this [default: all]
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,

    /// Where end-to-end.json and end-to-end.svg are written, and where the servers live meanwhile [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

impl EndToEndArguments {
    /// Whether a part is to be measured.
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct CommandLine {
        #[command(flatten)]
        arguments: EndToEndArguments,
    }

    #[track_caller]
    fn check(flags: &[&str], latency: bool, rate: bool) {
        let line = CommandLine::try_parse_from(["end-to-end"].iter().chain(flags)).expect("usable flags");
        assert_eq!([Part::Latency, Part::Rate].map(|part| line.arguments.wants(part)), [latency, rate]);
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        check(&[], true, true);
        check(&["--only", "latency"], true, false);
        check(&["--only", "rate", "--seconds", "20"], false, true);
    }

    #[test]
    fn a_rate_needs_some_time_to_be_held() {
        assert!(CommandLine::try_parse_from(["end-to-end", "--seconds", "1"]).is_err());
    }
}
