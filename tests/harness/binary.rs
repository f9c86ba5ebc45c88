use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// How long a process may take to end after SIGTERM.
const STOP: Duration = Duration::from_mins(1);

/// A process under test. It ends when dropped, and shows what it printed when the test failed.
#[derive(Debug)]
pub struct Binary {
    child: Child,
    output: PathBuf,
    metrics: Option<SocketAddr>,
}

impl Binary {
    /// Starts `command`, with everything it prints in the file `output`.
    pub fn start(mut command: Command, output: &Path) -> Self {
        let file = File::create(output).expect("the output file is writable");
        let copy = file.try_clone().expect("a second handle");
        let child = command.stdin(Stdio::piped()).stdout(file).stderr(copy).spawn();
        Self { child: child.expect("the process starts"), output: output.to_owned(), metrics: None }
    }

    /// Where it tells its metrics.
    #[must_use]
    pub fn with_metrics(mut self, address: SocketAddr) -> Self {
        self.metrics = Some(address);
        self
    }

    /// Where it answers beside its metrics.
    pub fn url(&self) -> Option<String> {
        Some(format!("http://{}", self.metrics?))
    }

    /// One metric, named with its labels.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.metrics?);
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Whether it says so itself.
    pub async fn is_ready(&self) -> bool {
        let Some(metrics) = self.metrics else { return false };
        reqwest::get(format!("http://{metrics}/readyz")).await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Everything that it has printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Whether it has ended, and how.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().expect("the process is ours").map(|status| status.code().unwrap_or(-1))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }

    /// Asks it to end and waits until it has; gives its exit code.
    pub fn stop(&mut self) -> i32 {
        if self.exit_code().is_none() {
            signal(self.child.id(), Signal::SIGTERM);
        }
        let asked = Instant::now();
        loop {
            if let Some(code) = self.exit_code() {
                return code;
            }
            if asked.elapsed() > STOP {
                self.child.kill().expect("the process is ours");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Binary {
    fn drop(&mut self) {
        self.stop();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<_> = output.lines().collect();
            println!("--- {}\n{}", self.output.display(), lines[lines.len().saturating_sub(80)..].join("\n"));
        }
    }
}

/// Sends a signal to a process of ours; one that has ended needs none.
pub(crate) fn signal(process: u32, signal: Signal) {
    let process = i32::try_from(process).expect("a process id");
    let sent = kill(Pid::from_raw(process), signal);
    assert!(matches!(sent, Ok(()) | Err(Errno::ESRCH)), "the process is ours: {sent:?}");
}
