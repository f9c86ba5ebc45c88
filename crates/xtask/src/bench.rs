//! `cargo xtask bench`: builds the benchmarks and what they measure for release, and becomes the benchmark.
//!
//! Release, because anything else would measure the compiler's debug checks; a program of its own, because a load
//! generator needs an async runtime and a database client, which xtask does without.

use std::{
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

use anyhow::{Context, anyhow};
use devstack::{
    Cache, KafkaBinaries, PostgresBinaries,
    prerequisites::{self, Purpose},
};

use crate::{arguments::BenchArguments, screen::Screen, workspace};

/// Returns only when the benchmark could not be started.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let screen = Screen::new();
    let cache = Cache::of_this_machine()?;
    prerequisites::ensure(Purpose::Run, &cache, &screen)?;
    PostgresBinaries::install(&cache, &screen)?;
    KafkaBinaries::install(&cache, &screen)?;
    screen.say("building for release with cargo, which takes minutes after a change");
    let packages = ["-p", "bench", "-p", "sms-api", "-p", "sms-processor", "-p", "sms-operator"];
    workspace::run(&workspace::cargo(["build", "--release", "--locked"].into_iter().chain(packages)))?;

    let program = workspace::programs()?.with_file_name("release").join("sms-bench");
    let error = Command::new(&program).args(&arguments.arguments).exec();
    Err(anyhow!(error)).with_context(|| format!("cannot run {}", program.display()))
}
