//! `cargo xtask test`: every test of the repository, on one set of real servers.

use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode, ExitStatus},
    time::Duration,
};

use anyhow::Context;
use devstack::{
    Cache, ControlPlane, Durability, Helm, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, KubernetesBinaries,
    Postgres, PostgresBinaries, PostgresSettings, Progress, Schemathesis,
    prerequisites::{self, Purpose},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{
    arguments::TestArguments,
    run_folder::{Afterwards, RunFolder},
    screen::Screen,
    signals::{INTERRUPTED, StopRequest},
    workspace,
};

/// The exit code is that of `cargo test`, and its summary is the last that is seen.
pub fn run(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let screen = Screen::new();
    let installed = install(&screen)?;
    screen.say("building programs and tests with cargo");
    let programs = workspace::programs()?;
    workspace::build()?;
    // Before the servers start, so that they do not wait for the compiler. Documentation tests are
    // compiled one by one as they run.
    if !arguments.arguments.iter().any(|argument| argument == "--doc") {
        workspace::run(&cargo_test(&["--no-run"], &arguments.arguments))?;
    }

    let mut stop = StopRequest::listen()?;
    let folder = RunFolder::create(&programs.with_file_name("devstack-test"))?;
    let servers = Servers::start(&installed, folder.path(), &screen)?;
    screen.say(&format!("servers are up, their logs are in {}", folder.path().display()));
    screen.finish();

    let mut command = cargo_test(&[], &arguments.arguments);
    servers.tell(&mut command);
    command.env("DEVSTACK_HELM", installed.helm.program()).env("DEVSTACK_BIN_DIR", &programs);
    command.env("DEVSTACK_SCHEMATHESIS", installed.schemathesis.packages());
    command.env("SOAK_SECONDS", arguments.soak_seconds.to_string());
    command.env("CAMPAIGN", if arguments.campaign { "whole" } else { "sample" });
    command.env("RUST_TEST_THREADS", arguments.rust_test_threads.to_string());
    let outcome = run_tests(&command, &mut stop);
    drop(servers);
    let outcome = outcome?;
    let has_passed = outcome.is_some_and(|status| status.success());
    folder.close(if has_passed { Afterwards::Remove } else { Afterwards::Keep })?;
    Ok(exit_code(outcome))
}

/// What the servers and tests are run from.
struct Installed {
    postgres: PostgresBinaries,
    kafka: KafkaBinaries,
    kubernetes: KubernetesBinaries,
    helm: Helm,
    schemathesis: Schemathesis,
}

fn install(screen: &Screen) -> anyhow::Result<Installed> {
    let cache = Cache::of_this_machine()?;
    prerequisites::ensure(Purpose::Test, &cache, screen)?;
    Ok(Installed {
        postgres: PostgresBinaries::install(&cache, screen)?,
        kafka: KafkaBinaries::install(&cache, screen)?,
        kubernetes: KubernetesBinaries::install(&cache, screen)?,
        helm: Helm::install(&cache, screen)?,
        schemathesis: Schemathesis::install(&cache, screen)?,
    })
}

/// One of each for all tests, which keep apart by databases, topic prefixes and namespaces.
struct Servers {
    postgres: Postgres,
    kafka: Kafka,
    control_plane: ControlPlane,
}

impl Servers {
    fn start(installed: &Installed, folder: &Path, screen: &Screen) -> anyhow::Result<Servers> {
        screen.step("starting PostgreSQL");
        let settings = PostgresSettings {
            folder: &folder.join("postgres"),
            port: None,
            durability: Durability::Disposable,
            databases: &[],
        };
        let postgres = Postgres::start(&installed.postgres, &settings)?;
        screen.step("starting Kafka");
        let settings = KafkaSettings { folder: &folder.join("kafka"), port: None, tuning: JavaTuning::QuickStart };
        let kafka = Kafka::start(&installed.kafka, &settings)?;
        screen.step("starting a Kubernetes control plane");
        let control_plane = ControlPlane::start(&installed.kubernetes, &folder.join("kubernetes"))?;
        Ok(Servers { postgres, kafka, control_plane })
    }

    /// What tests know of their servers.
    fn tell(&self, tests: &mut Command) {
        tests.env("DATABASE_URL", self.postgres.url("postgres"));
        tests.env("KAFKA_BOOTSTRAP_SERVERS", self.kafka.bootstrap_servers());
        tests.env("KUBECONFIG", self.control_plane.kubeconfig());
        tests.env("DEVSTACK_KUBECTL", self.control_plane.kubectl());
    }
}

fn cargo_test(flags: &[&str], arguments: &[String]) -> Command {
    let mut command = workspace::cargo(["test", "--locked"]);
    command.args(flags);
    let before_separator = || arguments.iter().take_while(|argument| *argument != "--");
    if !before_separator().any(|argument| chooses_packages(argument)) {
        command.arg("--workspace");
    }
    // One failing crate must not hide what the others say.
    if !before_separator().any(|argument| argument == "--no-fail-fast") {
        command.arg("--no-fail-fast");
    }
    command.args(arguments);
    command
}

/// With `--workspace` beside it, cargo ignores the choice.
fn chooses_packages(argument: &str) -> bool {
    argument == "--workspace" || argument.starts_with("-p") || argument.starts_with("--package")
}

/// Runs the tests to their end, or until somebody stops them (`None`).
fn run_tests(command: &Command, stop: &mut StopRequest) -> anyhow::Result<Option<ExitStatus>> {
    let mut child = devstack::dying_with_us(command);
    // A group of its own, so that a signal that only we got reaches the tests too.
    child.process_group(0);
    let mut child = devstack::spawn(child).context("cannot run `cargo test`")?;
    let group = Pid::from_raw(child.id().cast_signed());
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for `cargo test`")? {
            return Ok(Some(status));
        }
        if stop.within(Duration::from_millis(50)) {
            // An error means that they are gone already.
            let _ = killpg(group, Signal::SIGTERM);
            child.wait().context("cannot wait for `cargo test`")?;
            return Ok(None);
        }
    }
}

fn exit_code(outcome: Option<ExitStatus>) -> ExitCode {
    match outcome {
        None => ExitCode::from(INTERRUPTED),
        // Killed by a signal counts as a failure.
        Some(status) => {
            status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &[&str], expected: &[&str]) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let command = cargo_test(&[], &arguments);
        assert_eq!(command.get_args().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn without_arguments_every_test_of_the_workspace_runs() {
        check(&[], &["test", "--locked", "--workspace", "--no-fail-fast"]);
    }

    #[test]
    fn a_chosen_package_is_the_only_one() {
        check(&["-p", "sms-api"], &["test", "--locked", "--no-fail-fast", "-p", "sms-api"]);
        check(&["--package=sms-api"], &["test", "--locked", "--no-fail-fast", "--package=sms-api"]);
    }

    #[test]
    fn arguments_of_the_test_program_choose_no_package() {
        check(&["--", "-p"], &["test", "--locked", "--workspace", "--no-fail-fast", "--", "-p"]);
    }
}
