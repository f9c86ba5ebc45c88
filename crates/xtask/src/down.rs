//! `cargo xtask down`: stops what `up` started and waits until it is gone.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    arguments::Place,
    screen::print_line,
    supervisor::{self, State},
};

/// The operator may take a minute, then Kafka and PostgreSQL.
const GONE_WITHIN: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// Success also when nothing runs: nothing is what was asked for.
pub fn run(place: &Place) -> anyhow::Result<ExitCode> {
    let folder = place.folder();
    let Some(State { pid, .. }) = supervisor::running(&folder) else {
        print_line(&format!("nothing is up in {}", folder.display()));
        return Ok(ExitCode::SUCCESS);
    };
    print_line(&format!("stopping process {pid} and what it runs"));
    // An error means that it is gone already.
    let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
    let began = Instant::now();
    while supervisor::running(&folder).is_some_and(|state| state.pid == pid) {
        if began.elapsed() > GONE_WITHIN {
            bail!(
                "process {pid} has not stopped after {} s; look at it, or end it with `kill -9 {pid}`",
                GONE_WITHIN.as_secs()
            );
        }
        std::thread::sleep(POLL);
    }
    print_line(&format!(
        "stopped after {:.1} s; data and logs stay in {}",
        began.elapsed().as_secs_f32(),
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}
