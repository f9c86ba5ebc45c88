//! The life of one replica: started, started again when it ends by itself, ended when asked to.

use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::translate::{Process, Replica};

/// A replica that ran for this long starts again at once when it ends.
const STABLE: Duration = Duration::from_mins(1);
/// The first and the longest time before a replica that ended is started again.
const RESTART_DELAY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// A replica under supervision. It ends with [`Running::stop`].
pub struct Running {
    /// What it was started from.
    pub replica: Replica,
    process_id: Arc<AtomicU32>,
    restarts: Arc<AtomicU32>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts `replica` and keeps it running.
    pub fn start(replica: Replica) -> Self {
        let (process_id, restarts) = (Arc::<AtomicU32>::default(), Arc::<AtomicU32>::default());
        let stop = CancellationToken::new();
        let living = live(replica.clone(), Arc::clone(&process_id), Arc::clone(&restarts), stop.clone());
        Self { replica, process_id, restarts, stop, task: tokio::spawn(living) }
    }

    /// The process that runs now; `None` between two of them.
    pub fn process_id(&self) -> Option<u32> {
        Some(self.process_id.load(Ordering::Relaxed)).filter(|id| *id != 0)
    }

    /// How often in a row it ended by itself soon after it was started.
    pub fn restarts(&self) -> u32 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Tells the replica to end and does not wait for that.
    pub fn ask_to_end(&self) {
        self.stop.cancel();
    }

    /// Whether it has ended after it was told to.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Ends the replica: SIGTERM, and SIGKILL when its grace has passed.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(replica = self.replica.name, %error, "supervision failed");
        }
    }
}

async fn live(replica: Replica, process_id: Arc<AtomicU32>, restarts: Arc<AtomicU32>, stop: CancellationToken) {
    let name = replica.name.as_str();
    loop {
        let started = Instant::now();
        let ended = run_once(&replica, &process_id, &stop).await;
        process_id.store(0, Ordering::Relaxed);
        if stop.is_cancelled() {
            return;
        }
        if started.elapsed() >= STABLE {
            restarts.store(0, Ordering::Relaxed);
        }
        let delay = restart_delay(restarts.fetch_add(1, Ordering::Relaxed));
        match ended {
            Ok(status) => tracing::warn!(replica = name, %status, ?delay, "ended by itself, starting again"),
            Err(error) => tracing::error!(replica = name, %error, ?delay, "could not be started, trying again"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
            return;
        }
    }
}

/// Twice as long each time, up to a bound.
fn restart_delay(restarts: u32) -> Duration {
    let (first, longest) = RESTART_DELAY;
    first.saturating_mul(2_u32.saturating_pow(restarts)).min(longest)
}

async fn run_once(replica: &Replica, process_id: &AtomicU32, stop: &CancellationToken) -> io::Result<ExitStatus> {
    for process in &replica.before {
        let status = run(process, replica, process_id, stop).await?;
        if !status.success() || stop.is_cancelled() {
            return Ok(status);
        }
    }
    run(&replica.process, replica, process_id, stop).await
}

async fn run(
    process: &Process,
    replica: &Replica,
    process_id: &AtomicU32,
    stop: &CancellationToken,
) -> io::Result<ExitStatus> {
    let mut child = Command::new(&process.program)
        .args(&process.arguments)
        .env_clear()
        .envs(&process.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in a terminal reaches the operator alone, which ends its replicas in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    process_id.store(child.id().unwrap_or_default(), Ordering::Relaxed);
    // Held open until the child has ended: when it closes, because the operator died, the child ends too.
    let _standard_input = child.stdin.take();
    let output = [
        child.stdout.take().map(|output| tokio::spawn(print(replica.name.clone(), output))),
        child.stderr.take().map(|output| tokio::spawn(print(replica.name.clone(), output))),
    ];
    let status = match stop.run_until_cancelled(child.wait()).await {
        Some(status) => status,
        None => end(&mut child, replica).await,
    };
    for printing in output.into_iter().flatten() {
        // Whoever inherited the pipe may hold it open longer than the process lived.
        let _ = tokio::time::timeout(Duration::from_secs(1), printing).await;
    }
    status
}

async fn end(child: &mut Child, replica: &Replica) -> io::Result<ExitStatus> {
    if let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // It fails only when the process has ended already, and then the wait below ends at once.
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
    }
    if let Ok(status) = tokio::time::timeout(replica.grace, child.wait()).await {
        return status;
    }
    tracing::warn!(replica = replica.name, grace = ?replica.grace, "did not end in time, killing it");
    child.kill().await?;
    child.wait().await
}

async fn print(name: String, output: impl AsyncRead + Unpin) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        println!("{name} | {line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, path::Path};

    fn replica(script: &str, grace: Duration) -> Replica {
        Replica {
            name: "sleeper-0".to_owned(),
            component: "sleeper".to_owned(),
            before: Vec::new(),
            process: Process {
                program: Path::new("/bin/sh").to_owned(),
                arguments: vec!["-c".to_owned(), script.to_owned()],
                environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            },
            metrics_address: "127.0.0.1:1".parse().expect("an address"),
            grace,
        }
    }

    async fn process_other_than(running: &Running, other: Option<u32>) -> u32 {
        loop {
            match running.process_id() {
                Some(id) if Some(id) != other => return id,
                Some(_) | None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    #[test]
    fn restarts_are_ever_further_apart_up_to_a_bound() {
        let delays: Vec<_> = [0, 1, 2, 10, 40].map(|restarts| restart_delay(restarts).as_millis()).into();
        assert_eq!(delays, [500, 1_000, 2_000, 30_000, 30_000]);
    }

    #[tokio::test]
    async fn a_replica_that_is_killed_is_started_again() {
        let running = Running::start(replica("exec sleep 60", Duration::from_secs(5)));
        let first = process_other_than(&running, None).await;
        kill(Pid::from_raw(i32::try_from(first).expect("a process id")), Signal::SIGKILL).expect("it runs");
        process_other_than(&running, Some(first)).await;
        running.stop().await;
    }

    #[tokio::test]
    async fn a_replica_that_ignores_sigterm_is_killed_when_its_grace_has_passed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let deaf = folder.path().join("deaf");
        let script = format!("trap '' TERM; touch {}; while :; do sleep 1; done", deaf.display());
        let grace = Duration::from_millis(300);
        let running = Running::start(replica(&script, grace));
        while !deaf.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let asked = Instant::now();
        tokio::time::timeout(Duration::from_secs(10), running.stop()).await.expect("it ends");
        assert!(asked.elapsed() >= grace, "it had its grace");
    }
}
