//! `cargo xtask …`: the product on this machine, and its tests, on real servers.
//!
//! One file per subcommand. What runs a server belongs into `devstack`; what is about SMS pipelines
//! belongs here.

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;

mod arguments;
mod bench;
mod crds;
mod detach;
mod down;
mod http;
mod metrics_text;
mod queries;
mod readiness;
mod run_folder;
mod screen;
mod signals;
mod status;
mod supervisor;
mod test;
mod up;
mod workspace;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(arguments) if arguments.detach => detach::run(&arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Down(place) => down::run(&place),
        Command::Status(place) => Ok(status::run(&place)),
        Command::Test(arguments) => test::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Crds => crds::run(),
        Command::Queries(arguments) => queries::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
