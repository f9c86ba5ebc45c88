//! What `ingest` can be told.

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use clap::Args;

use crate::ingest::phase::{Part, Phase};

/// What `ingest` can be told.
#[derive(Args, Clone, Debug)]
pub struct IngestArguments {
    /// How long everything is measured, all rounds together
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub seconds: NonZeroU32,

    /// Over how many rounds that is spread; each measures everything once, so that what changes on the machine
    /// meanwhile changes all of it
    #[arg(long, value_name = "COUNT", default_value = "3")]
    pub rounds: NonZeroU32,

    /// Measure only this; ratios need `references` [default: all, `reads` where --rows is given]
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,

    /// Compare gets and lists at this many messages with those at 10,000
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(10_001..), required_if_eq("only", "reads"))]
    pub rows: Option<u32>,

    /// Where ingest.json and ingest.svg are written, and where the servers live meanwhile [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}

impl IngestArguments {
    /// How long one phase of one round takes.
    pub fn phase_duration(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into()) / self.rounds.get()
    }

    /// What each round measures, in this order.
    pub fn phases(&self) -> Vec<Phase> {
        Phase::ALL.into_iter().filter(|phase| self.wants(phase.part())).collect()
    }

    /// At how many messages reads are measured, if they are.
    pub fn read_rows(&self) -> Option<u32> {
        self.rows.filter(|_| self.wants(Part::Reads))
    }

    fn wants(&self, part: Part) -> bool {
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
        arguments: IngestArguments,
    }

    fn parse(flags: &[&str]) -> Result<IngestArguments, clap::Error> {
        Ok(CommandLine::try_parse_from(["ingest"].iter().chain(flags))?.arguments)
    }

    #[track_caller]
    fn check(flags: &[&str], phases: &[Phase], read_rows: Option<u32>) {
        let arguments = parse(flags).expect("usable flags");
        assert_eq!((arguments.phases().as_slice(), arguments.read_rows()), (phases, read_rows));
    }

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        check(&[], &Phase::ALL, None);
        check(&["--rows", "20000"], &Phase::ALL, Some(20_000));
    }

    #[test]
    fn one_part_can_be_measured_alone() {
        check(&["--only", "single,batch", "--rows", "20000"], &[Phase::Single256, Phase::Single64, Phase::Batch], None);
        check(&["--only", "reads", "--rows", "20000"], &[], Some(20_000));
    }

    #[test]
    fn reads_alone_need_a_number_of_rows() {
        let error = parse(&["--only", "reads"]).expect_err("rows are missing").to_string();
        assert!(error.contains("--rows"), "{error}");
    }

    #[test]
    fn rounds_share_the_time() {
        let arguments = parse(&["--seconds", "30", "--rounds", "4"]).expect("usable flags");
        assert_eq!(arguments.phase_duration(), Duration::from_millis(7500));
    }
}
