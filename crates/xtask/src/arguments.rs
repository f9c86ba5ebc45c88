//! The command line. Every setting of xtask is here; nothing else reads the environment.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::workspace;

/// Runs the product on this machine, and its tests.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What xtask can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set the machine up, start everything, send a first message and show what happens until Ctrl-C
    Up(UpArguments),
    /// Stop what `up` started and wait until it is gone
    Down(Place),
    /// Tell what runs: exit code 0 = running and ready, 1 = running but not ready, 3 = not running
    Status(Place),
    /// Run every test of the repository on real servers
    Test(TestArguments),
    /// Build for release and measure: `bench ingest` tells how fast messages are taken in, `bench processing` how fast they
    /// are sent and reported, `bench end-to-end` both together, `bench --help` more
    Bench(BenchArguments),
    /// Write crds/smspipelines.yaml, and the chart's copy of it, from the operator's types
    Crds,
    /// Write sms-api/.sqlx: what PostgreSQL makes of each query of sms-api, so that it compiles without one
    Queries(QueriesArguments),
}

/// Which of several stacks on this machine is meant.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Where data, logs and state are kept; each folder can run its own stack [default: target/devstack]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl Place {
    /// The folder, absolute unless the working folder is unknown.
    pub fn folder(&self) -> PathBuf {
        let folder = self.data_dir.clone().unwrap_or_else(|| workspace::root().join("target/devstack"));
        std::path::absolute(&folder).unwrap_or(folder)
    }
}

/// What `up` can be told.
#[derive(Args, Clone, Debug)]
pub struct UpArguments {
    /// Return when everything is ready and leave it running
    #[arg(long)]
    pub detach: bool,

    /// The supervisor that `--detach` leaves behind.
    #[arg(long, hide = true)]
    pub background: bool,

    /// The pipeline to run; its Kafka `kafka-bootstrap.kafka:9092` and its Secret `notifications-db` lead to the
    /// servers started here [default: crds/examples/quickstart.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Where this stack lives.
    #[command(flatten)]
    pub place: Place,

    /// Where the HTTP API listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub api_address: SocketAddr,

    /// Where the API takes delivery reports
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    pub internal_address: SocketAddr,

    /// Where the operator shows metrics and health; its replicas take the ports after it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub metrics_address: SocketAddr,

    /// PostgreSQL's port on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 15432)]
    pub postgres_port: u16,

    /// Kafka's port on 127.0.0.1
    #[arg(long, value_name = "PORT", default_value_t = 19092)]
    pub kafka_port: u16,
}

/// What `test` can be told.
#[derive(Args, Clone, Debug)]
pub struct TestArguments {
    /// How many tests run at the same time. More than cores: they wait for servers more than they compute
    #[arg(long, env = "RUST_TEST_THREADS", default_value_t = 4, hide = true)]
    pub rust_test_threads: u32,

    /// How long those tests go on that find more the longer they run: kills at random while messages come
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub soak_seconds: u32,

    /// Disturb every call of the operator in every way, not only a sample of them; takes about half an hour more
    #[arg(long)]
    pub campaign: bool,

    /// Passed to `cargo test`, for instance `-p sms-api` or a part of a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}

/// What `bench` can be told.
#[derive(Args, Clone, Debug)]
pub struct BenchArguments {
    /// Passed to the benchmarks, which know their own flags, for instance `ingest --seconds 30`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub arguments: Vec<String>,
}

/// What `queries` can be told.
#[derive(Args, Clone, Debug)]
pub struct QueriesArguments {
    /// Write nothing; fail when something would be written
    #[arg(long)]
    pub check: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn arguments_of_test_reach_cargo_as_they_are() {
        let arguments = Arguments::parse_from(["xtask", "test", "-p", "sms-api", "--", "--nocapture"]);
        let Command::Test(test) = arguments.command else { panic!("not a test: {arguments:?}") };
        assert_eq!(test.arguments, ["-p", "sms-api", "--", "--nocapture"]);
    }
    #[test]
    fn flags_of_a_benchmark_reach_it_as_they_are() {
        let arguments = Arguments::parse_from(["xtask", "bench", "ingest", "--help"]);
        let Command::Bench(bench) = arguments.command else { panic!("not a benchmark: {arguments:?}") };
        assert_eq!(bench.arguments, ["ingest", "--help"]);
    }
}
