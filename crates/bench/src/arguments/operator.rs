//! What `operator` can be told.

use std::path::PathBuf;

use clap::Args;

/// What `operator` can be told.
#[derive(Args, Clone, Debug)]
pub struct OperatorArguments {
    /// How many pipelines there are
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub pipelines: u32,

    /// How long nothing changes while it is measured
    #[arg(long, value_name = "MINUTES", default_value = "10", value_parser = clap::value_parser!(u32).range(1..))]
    pub minutes: u32,

    /// Where operator.json and operator.svg are written, and where the servers live meanwhile [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}
