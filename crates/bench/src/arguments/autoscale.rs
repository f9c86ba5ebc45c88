//! What `autoscale` can be told.

use std::path::PathBuf;

use clap::Args;

/// What `autoscale` can be told.
#[derive(Args, Clone, Debug)]
pub struct AutoscaleArguments {
    /// How long the load stays as it is at first; 900 shows that nothing happens for a quarter of an hour
    #[arg(long, value_name = "SECONDS", default_value = "90", value_parser = clap::value_parser!(u32).range(30..))]
    pub constant_seconds: u32,

    /// Where autoscale.json and autoscale.svg are written, and where the servers live meanwhile [default: target/bench]
    #[arg(long, value_name = "FOLDER")]
    pub out: Option<PathBuf>,
}
