//! `cargo xtask up`: the whole product on this machine, in the foreground.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use devstack::{
    Cache, KafkaBinaries, PostgresBinaries,
    prerequisites::{self, Purpose},
};

use crate::{
    arguments::UpArguments,
    http::Client,
    screen::Screen,
    signals::{INTERRUPTED, StopRequest},
    supervisor::{Phase, Supervisor},
    workspace,
};
use counts::Counts;
use stack::{Ended, Programs, Stack};

mod counts;
mod first_message;
mod heal;
mod ports;
mod stack;

/// Until Ctrl-C, or until something that should run does not.
pub fn run(arguments: &UpArguments) -> anyhow::Result<ExitCode> {
    if arguments.background {
        // Away from the terminal that started us, so that closing it does not stop us. It fails only
        // for the leader of a process group, which is somebody who called us so by hand.
        let _ = nix::unistd::setsid();
    }
    let screen = Screen::new();
    let mut supervisor = Supervisor::claim(&arguments.place.folder(), arguments)?;
    heal::after(&supervisor, arguments, &screen)?;
    ports::expect_free(arguments)?;
    let programs = prepare(&screen)?;

    // Up to here nothing runs that would have to be stopped, and a signal simply ends us.
    let mut stop = StopRequest::listen()?;
    let mut stack = Stack::start(&programs, &supervisor, arguments, &screen)?;
    let end = serve(&mut stack, &mut stop, &mut supervisor, arguments, &screen);
    screen.finish();
    supervisor.enter(Phase::Stopping)?;
    stack.stop(&screen);
    match end? {
        Ended::OnRequest => Ok(ExitCode::SUCCESS),
        Ended::BeforeReady => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// Everything that takes minutes the first time and seconds later.
fn prepare(screen: &Screen) -> anyhow::Result<Programs> {
    let cache = Cache::of_this_machine()?;
    prerequisites::ensure(Purpose::Run, &cache, screen)?;
    let postgres = PostgresBinaries::install(&cache, screen)?;
    let kafka = KafkaBinaries::install(&cache, screen)?;
    screen.say("building the programs with cargo");
    let folder = workspace::programs()?;
    workspace::build()?;
    Ok(Programs { postgres, kafka, operator: folder.join("sms-operator") })
}

/// From started to stopped: readiness, a first message, then the live line.
fn serve(
    stack: &mut Stack,
    stop: &mut StopRequest,
    supervisor: &mut Supervisor,
    arguments: &UpArguments,
    screen: &Screen,
) -> anyhow::Result<Ended> {
    if !stack.await_ready(stop, screen)? {
        return Ok(Ended::BeforeReady);
    }
    screen.finish();
    let client = Client::new();
    first_message::send(&client, arguments.api_address, stop, screen);
    supervisor.enter(Phase::Running).context("cannot tell others that we are ready")?;
    introduce(arguments, screen);

    while !stop.within(Duration::from_secs(1)) {
        if let Some(failure) = stack.failure() {
            return Err(failure);
        }
        let counts = Counts::read(&client, arguments.metrics_address, &stack.replicas_file());
        screen.live(&counts.to_string());
    }
    Ok(Ended::OnRequest)
}

fn introduce(arguments: &UpArguments, screen: &Screen) {
    let UpArguments { api_address, internal_address, metrics_address, postgres_port, kafka_port, .. } = arguments;
    let folder = arguments.place.folder();
    screen.say(&format!(
        "
ready
  API         http://{api_address}
  reports     http://{internal_address}
  metrics     http://{metrics_address}/metrics
  PostgreSQL  127.0.0.1:{postgres_port}, its URL is in {}
  Kafka       127.0.0.1:{kafka_port}
  logs        {}

try
  curl -i http://{api_address}/v1/messages -H 'content-type: application/json' \\
    -d '{}'

{} stops everything
",
        folder.join(stack::DATABASE_SECRET).display(),
        folder.display(),
        first_message::example(),
        if arguments.background { "`cargo xtask down`" } else { "Ctrl-C" },
    ));
}
