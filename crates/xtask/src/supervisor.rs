//! The one process per data folder that holds everything running, and how others find it.
//!
//! The lock says whether one runs: the kernel frees it however the process ends. The file beside it
//! says which, and is only believed while the lock is held.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use devstack::{Claim, Error};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use serde::{Deserialize, Serialize};

use crate::arguments::UpArguments;

/// How far a supervisor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Preparing, building or starting servers.
    Starting,
    /// Everything was ready and a first message was sent.
    Running,
    /// Stopping servers.
    Stopping,
}

/// What a supervisor tells others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its process id.
    pub pid: u32,
    /// When it began, in seconds since 1970.
    pub started: u64,
    /// How far it is.
    pub phase: Phase,
    /// The HTTP API.
    pub api_address: SocketAddr,
    /// The API for delivery reports.
    pub internal_address: SocketAddr,
    /// The operator's metrics and health.
    pub metrics_address: SocketAddr,
    /// PostgreSQL on 127.0.0.1.
    pub postgres_port: u16,
    /// Kafka on 127.0.0.1.
    pub kafka_port: u16,
}

impl State {
    /// One line for whoever would have to stop it.
    pub fn describe(&self) -> String {
        let (pid, api, age) = (self.pid, self.api_address, age(self.started));
        match self.phase {
            Phase::Starting => format!("process {pid} has been starting for {age}"),
            Phase::Running => format!("process {pid} has been up for {age}, API http://{api}"),
            Phase::Stopping => format!("process {pid} is stopping"),
        }
    }
}

/// This process as the supervisor of a data folder. Dropping it makes room for the next.
#[derive(Debug)]
pub struct Supervisor {
    claim: Claim,
    state: State,
    /// An earlier supervisor ended without saying so.
    pub follows_a_crash: bool,
}

impl Supervisor {
    /// Becomes the supervisor of `folder`, or says who is.
    pub fn claim(folder: &Path, arguments: &UpArguments) -> anyhow::Result<Supervisor> {
        let claim = match claim_patiently(folder) {
            Err(Error::FolderInUse { .. }) => bail!("{}; stop it with `cargo xtask down`", who_runs(folder)),
            claim => claim?,
        };
        let state = State {
            pid: process::id(),
            started: seconds_since_1970(),
            phase: Phase::Starting,
            api_address: arguments.api_address,
            internal_address: arguments.internal_address,
            metrics_address: arguments.metrics_address,
            postgres_port: arguments.postgres_port,
            kafka_port: arguments.kafka_port,
        };
        let follows_a_crash = state_file(folder).exists();
        let supervisor = Supervisor { claim, state, follows_a_crash };
        supervisor.publish()?;
        Ok(supervisor)
    }

    /// The lock on the data folder.
    pub fn folder_claim(&self) -> &Claim {
        &self.claim
    }

    /// Tells others how far we are.
    pub fn enter(&mut self, phase: Phase) -> anyhow::Result<()> {
        self.state.phase = phase;
        self.publish()
    }

    fn publish(&self) -> anyhow::Result<()> {
        let file = state_file(self.claim.folder());
        let partial = file.with_extension("partial");
        fs::write(&partial, serde_json::to_string_pretty(&self.state)?)
            .and_then(|()| fs::rename(&partial, &file))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Left behind it would only make the next one more careful than needed.
        let _ = fs::remove_file(state_file(self.claim.folder()));
    }
}

/// The supervisor that runs in `folder`, if one does.
pub fn running(folder: &Path) -> Option<State> {
    let deadline = Instant::now() + Duration::from_secs(1);
    while folder.exists() && matches!(Claim::on(folder), Err(Error::FolderInUse { .. })) {
        // Right after it took the lock the file is not there yet, or is that of one that crashed.
        if let Some(state) = read_state(folder).filter(|state| process_exists(state.pid)) {
            return Some(state);
        }
        if Instant::now() > deadline {
            return read_state(folder);
        }
        sleep(Duration::from_millis(20));
    }
    None
}

/// Whoever only asks whether somebody runs holds the lock for an instant; that is no reason to fail.
fn claim_patiently(folder: &Path) -> Result<Claim, Error> {
    let deadline = Instant::now() + Duration::from_millis(300);
    loop {
        match Claim::on(folder) {
            Err(Error::FolderInUse { .. }) if Instant::now() < deadline => sleep(Duration::from_millis(20)),
            claim => return claim,
        }
    }
}

fn who_runs(folder: &Path) -> String {
    match read_state(folder) {
        Some(state) => format!("already up in {}: {}", folder.display(), state.describe()),
        None => format!("already up in {}", folder.display()),
    }
}

fn read_state(folder: &Path) -> Option<State> {
    serde_json::from_str(&fs::read_to_string(state_file(folder)).ok()?).ok()
}

fn process_exists(pid: u32) -> bool {
    // No signal is sent; EPERM says that it exists and belongs to somebody else.
    kill(Pid::from_raw(pid.cast_signed()), None) != Err(Errno::ESRCH)
}

fn state_file(folder: &Path) -> PathBuf {
    folder.join("supervisor.json")
}

/// How long ago a moment was, in the largest unit that fits.
pub fn age(started: u64) -> String {
    let seconds = seconds_since_1970().saturating_sub(started);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn arguments() -> UpArguments {
        match Arguments::parse_from(["xtask", "up"]).command {
            Command::Up(arguments) => arguments,
            other => panic!("not up: {other:?}"),
        }
    }

    #[test]
    fn a_second_supervisor_is_told_who_runs_and_how_to_stop_it() {
        let folder = std::env::temp_dir().join(format!("xtask-supervisor-{}", process::id()));
        let first = Supervisor::claim(&folder, &arguments()).expect("a fresh folder");
        let error = Supervisor::claim(&folder, &arguments()).expect_err("the first one runs");
        let expected = format!("already up in {}: process {} has been starting", folder.display(), process::id());
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(error.to_string().ends_with("stop it with `cargo xtask down`"), "{error}");
        assert_eq!(running(&folder).map(|state| state.pid), Some(process::id()));
        drop(first);
        assert_eq!(running(&folder), None);
        fs::remove_dir_all(&folder).expect("our own folder");
    }

    #[test]
    fn a_supervisor_that_was_killed_is_noticed_and_does_not_block() {
        let folder = std::env::temp_dir().join(format!("xtask-crash-{}", process::id()));
        let first = Supervisor::claim(&folder, &arguments()).expect("a fresh folder");
        let state = fs::read(state_file(&folder)).expect("a state file");
        drop(first);
        fs::write(state_file(&folder), state).expect("our own folder");
        assert_eq!(running(&folder), None);
        assert!(Supervisor::claim(&folder, &arguments()).expect("nobody runs").follows_a_crash);
        fs::remove_dir_all(&folder).expect("our own folder");
    }
}
