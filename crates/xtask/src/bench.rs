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
    Cache, KafkaBinaries, KubernetesBinaries, PostgresBinaries,
    prerequisites::{self, Purpose},
};

use crate::{arguments::BenchArguments, screen::Screen, workspace};

/// Returns only when the benchmark could not be started.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let screen = Screen::new();
    let cache = Cache::of_this_machine()?;
    let of_operator = arguments.arguments.first().is_some_and(|benchmark| benchmark == "operator");
    prerequisites::ensure(if of_operator { Purpose::Test } else { Purpose::Run }, &cache, &screen)?;
    if of_operator {
        KubernetesBinaries::install(&cache, &screen)?;
    }
    PostgresBinaries::install(&cache, &screen)?;
    KafkaBinaries::install(&cache, &screen)?;
    screen.say("building for release with cargo, which takes minutes after a change");
    let every = ["-p", "sms-api", "-p", "sms-processor", "-p", "sms-operator"];
    let packages: &[_] = if of_operator { &["-p", "sms-operator"] } else { &every };
    let build = ["build", "--release", "--locked", "-p", "bench"].iter().chain(packages);
    workspace::run(&workspace::cargo(build))?;

    let program = workspace::programs()?.with_file_name("release").join("sms-bench");
    let error = Command::new(&program).args(&arguments.arguments).exec();
    Err(anyhow!(error)).with_context(|| format!("cannot run {}", program.display()))
}
