//! A server as a child process: started, awaited, signalled, stopped.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};

use crate::{Error, account::Account, log_file::LogFile, spawn};

const POLL: Duration = Duration::from_millis(20);

/// How a server ends when the process that started it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterOurDeath {
    /// The kernel kills it.
    Killed,
    /// Its standard input closes, and it ends by itself, in good order.
    SeesItsInputClose,
}

/// Everything needed to start one server.
#[derive(Debug)]
pub struct ServerSettings {
    /// For error sentences.
    pub name: String,
    /// Program, arguments, environment and working folder; inputs and outputs are set here.
    pub command: Command,
    /// Where both its outputs go.
    pub log: PathBuf,
    /// Another user to run it as.
    pub account: Option<Account>,
    /// The signal that asks it to stop in good order.
    pub stop_signal: Signal,
    /// How long it may take to stop before it is killed.
    pub stop_within: Duration,
    /// How it ends when we are killed.
    pub after_our_death: AfterOurDeath,
}

impl ServerSettings {
    /// The usual case: same user, SIGTERM, 20 seconds, killed after our death.
    pub fn new(name: &str, command: Command, log: PathBuf) -> ServerSettings {
        ServerSettings {
            name: name.to_owned(),
            command,
            log,
            account: None,
            stop_signal: Signal::SIGTERM,
            stop_within: Duration::from_secs(20),
            after_our_death: AfterOurDeath::Killed,
        }
    }
}

/// A running server. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: LogFile,
    stop_signal: Signal,
    stop_within: Duration,
    /// Open as long as the server should run.
    input: Option<ChildStdin>,
}

impl Server {
    /// Starts the process; whether it serves is another question, see [`Server::wait_until`].
    pub fn start(settings: ServerSettings) -> Result<Server, Error> {
        let ServerSettings { name, command, log, account, stop_signal, stop_within, after_our_death } = settings;
        let mut child = match (after_our_death, account) {
            (AfterOurDeath::Killed, Some(account)) => spawn::dying_with_us_as(&command, account),
            (AfterOurDeath::Killed, None) => spawn::dying_with_us(&command),
            (AfterOurDeath::SeesItsInputClose, _) => command,
        };
        let (log, file) = LogFile::begin(&log)?;
        let not_run = |source| Error::Run { program: name.clone(), source };
        child.stdout(file.try_clone().map_err(not_run)?).stderr(file);
        child.stdin(match after_our_death {
            AfterOurDeath::Killed => Stdio::null(),
            AfterOurDeath::SeesItsInputClose => Stdio::piped(),
        });
        // A group of its own, so that Ctrl-C in a terminal does not reach it before its turn.
        child.process_group(0);
        let mut child = spawn::spawn(child).map_err(not_run)?;
        let input = child.stdin.take();
        Ok(Server { name, child, log, stop_signal, stop_within, input })
    }

    /// Polls `ready` until it gives an answer, the server ends or the time is over.
    pub fn wait_until<T>(&mut self, limit: Duration, mut ready: impl FnMut(&LogFile) -> Option<T>) -> Result<T, Error> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(answer) = ready(&self.log) {
                return Ok(answer);
            }
            if let Some(status) = self.exited() {
                return Err(self.failure(&format!("ended instead of starting ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(&format!("was not ready after {} s", limit.as_secs())));
            }
            thread::sleep(POLL);
        }
    }

    /// An error about this server that shows the end of its log.
    pub fn failure(&self, reason: &str) -> Error {
        Error::Start {
            server: self.name.clone(),
            reason: reason.to_owned(),
            log: self.log.path().to_owned(),
            tail: self.log.tail(),
        }
    }

    /// How it ended, if it did.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        self.log.path()
    }

    /// What it has logged since it started.
    pub fn log_text(&self) -> String {
        self.log.text()
    }

    /// Freezes it, as an overloaded machine would.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Ends a [`Server::pause`].
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Asks it to stop without waiting, so that several can stop at the same time.
    pub fn ask_to_stop(&self) {
        self.resume(); // a frozen process hears nothing else
        self.signal(self.stop_signal);
    }

    /// What happens to a server that [`AfterOurDeath::SeesItsInputClose`] when we are killed.
    pub fn close_input(&mut self) {
        self.input = None;
    }

    /// Stops it in good order, or by force when that takes too long.
    pub fn stop(&mut self) {
        if self.exited().is_some() {
            return;
        }
        self.ask_to_stop();
        let deadline = Instant::now() + self.stop_within;
        while self.exited().is_none() {
            if Instant::now() > deadline {
                self.kill();
                return;
            }
            thread::sleep(POLL);
        }
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        if self.exited().is_some() {
            return;
        }
        // An error means that it is gone already, and then there is nothing to wait for either.
        let _ = killpg(Pid::from_raw(self.pid().cast_signed()), Signal::SIGKILL);
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        // An error means that it is gone already.
        let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, name: &str) -> ServerSettings {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let log = std::env::temp_dir().join(format!("devstack-server-{name}-{}.log", std::process::id()));
        ServerSettings::new("the test server", command, log)
    }

    #[test]
    fn a_server_that_ends_instead_of_starting_is_reported_with_its_last_words() {
        let mut server = Server::start(shell("echo no such luck; exit 7", "ends")).expect("sh runs");
        let error = server.wait_until::<()>(Duration::from_secs(10), |_| None).expect_err("it exits");
        let text = error.to_string();
        assert!(text.contains("the test server ended instead of starting (exit status: 7)"), "{text}");
        assert!(text.contains("no such luck"), "{text}");
    }

    #[test]
    fn a_server_that_ignores_the_request_to_stop_is_killed() {
        let settings = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done", "stubborn");
        let mut server =
            Server::start(ServerSettings { stop_within: Duration::from_millis(200), ..settings }).expect("sh runs");
        server.wait_until(Duration::from_secs(10), |log| log.text().contains("ready").then_some(())).expect("ready");
        server.stop();
        assert!(server.exited().is_some());
    }

    #[test]
    fn a_paused_server_can_still_be_stopped() {
        let settings = shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", "paused");
        let mut server = Server::start(settings).expect("sh runs");
        server.wait_until(Duration::from_secs(10), |log| log.text().contains("ready").then_some(())).expect("ready");
        server.pause();
        server.stop();
        assert!(server.exited().is_some_and(|status| status.success()));
    }

    #[test]
    fn a_server_that_watches_its_input_ends_when_it_is_let_go() {
        let settings = shell("while read line; do :; done; echo closed", "input");
        let settings = ServerSettings { after_our_death: AfterOurDeath::SeesItsInputClose, ..settings };
        let mut server = Server::start(settings).expect("sh runs");
        assert!(server.exited().is_none());
        server.close_input();
        server.wait_until(Duration::from_secs(10), |log| log.text().contains("closed").then_some(())).expect("closed");
    }
}
