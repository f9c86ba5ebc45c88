//! Measures the product as it is released: `cargo xtask bench` builds and starts this program.
//!
//! Load generator, servers and service share one machine, so everything here is made to cost little: one thread,
//! requests whose bytes are written beforehand, answers of which no more is read than needed. One file per
//! benchmark; to add one: a command in `arguments.rs` and the file that runs it.

#![expect(clippy::cast_precision_loss, reason = "figures for people: the 53 bits of an f64 are more than they read")]

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

mod arguments;
mod autoscale;
mod database;
mod end_to_end;
mod http;
mod ingest;
mod load;
mod message;
mod number;
mod operator;
mod processes;
mod processing;
mod report;
mod servers;
mod statistics;
mod topics;

/// The exit code of a program that was interrupted: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let local = LocalSet::new();
    let outcome = local.run_until(async {
        match arguments.command {
            Command::Ingest(arguments) => ingest::run(&arguments).await,
            Command::Processing(arguments) => processing::run(&arguments).await,
            Command::EndToEnd(arguments) => end_to_end::run(&arguments).await,
            Command::Autoscale(arguments) => autoscale::run(&arguments).await,
            Command::Operator(arguments) => operator::run(&arguments).await,
        }
    });
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        // What runs is dropped, and with it the servers stop.
        () = interrupted() => return ExitCode::from(INTERRUPTED),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Until somebody wants us to stop. Where signals cannot be listened for, they end us at once.
async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
