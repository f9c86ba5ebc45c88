//! Processors under test: in this process through `serve`, or as a process of their own that can be killed.

use std::{
    fmt::Debug,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use clap::Parser;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sms_processor::config::Config;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{report_end::ReportEnd, topics::Topics};

const TIMEOUT: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// The flags of a processor on `topics` that reports to `report_end`, with a fast provider; flags in `more` win.
pub fn flags(topics: &Topics, report_end: &ReportEnd, more: &[(&str, &str)]) -> Vec<String> {
    let mut flags = vec![
        ("metrics-address", "127.0.0.1:0".to_owned()),
        ("kafka-bootstrap-servers", crate::topics::bootstrap_servers()),
        ("requests-topic", topics.requests.clone()),
        ("high-priority-topic", topics.high_priority.clone()),
        ("low-priority-topic", topics.low_priority.clone()),
        ("dead-letter-topic", topics.dead_letters.clone()),
        ("consumer-group", topics.group.clone()),
        ("report-url", report_end.url()),
        ("internal-token-file", report_end.token_file().display().to_string()),
        ("provider", provider(0, 20, 0, 0)),
    ];
    flags.retain(|(name, _)| more.iter().all(|(other, _)| name != other));
    flags.extend(more.iter().map(|&(name, value)| (name, value.to_owned())));
    flags.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

/// Settings of the simulated provider: delays in milliseconds, shares in percent.
pub fn provider(min_delay: u32, max_delay: u32, failure: u8, transient: u8) -> String {
    format!(
        r#"{{"simulated":{{"minDelay":"{min_delay}ms","maxDelay":"{max_delay}ms","failurePercent":{failure},"transientPercent":{transient},"seed":42}}}}"#
    )
}

/// A number of things as a metric shows it.
pub fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).expect("a small number"))
}

/// Looks again and again until what is seen is `enough`; the one way to wait for what tells nobody.
pub async fn until<T: Debug>(what: &str, mut look: impl AsyncFnMut() -> T, enough: impl Fn(&T) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let seen = look().await;
        if enough(&seen) {
            return;
        }
        assert!(Instant::now() < deadline, "waited for {what}, got {seen:?}");
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// A processor in this process.
pub struct Serving {
    address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Serving {
    pub async fn start(topics: &Topics, report_end: &ReportEnd, more: &[(&str, &str)]) -> Self {
        let flags = flags(topics, report_end, more);
        let config = Config::try_parse_from(std::iter::once("sms-processor".to_owned()).chain(flags)).expect("config");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(sms_processor::serve(listener, config, shutdown.clone()));
        Self { address, shutdown, task }
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic").expect("ends without an error");
    }

    /// A page of the metrics port.
    pub async fn get(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address);
        reqwest::get(url).await.expect("an answer").text().await.expect("a text")
    }

    /// The value of one metric; 0 while it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until one metric has this value: a counter may follow what it counts.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let look = async || self.metric(name).await;
        until(&format!("{name} {value}"), look, |metric| (metric - value).abs() < f64::EPSILON).await;
    }

    /// Waits until `/readyz` holds `text`.
    pub async fn until_readiness(&self, text: &str) {
        let look = async || self.get("/readyz").await;
        until(&format!("readiness with {text:?}"), look, |page| page.contains(text)).await;
    }
}

/// A processor as a process.
pub struct Process(Child);

impl Process {
    pub fn start(flags: &[String]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_sms-processor"))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the processor starts");
        Self(child)
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.0.kill().await.expect("the processor is killed");
    }

    /// SIGTERM, as Kubernetes sends it.
    pub fn terminate(&self) {
        let pid = self.0.id().and_then(|id| i32::try_from(id).ok()).expect("the processor runs");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("the signal is sent");
    }

    /// Waits for the end; the second part is what was written to standard error.
    pub async fn ended(self) -> (ExitStatus, String) {
        let output = tokio::time::timeout(TIMEOUT, self.0.wait_with_output()).await;
        let output = output.expect("the processor ends in time").expect("the processor is waited for");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
