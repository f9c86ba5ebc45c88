//! What every binary tells about itself and how it ends: logs, traces, metrics, health and shutdown.
//!
//! Knows nothing of messages, pipelines or topics: the services bring their own metrics and their own
//! health checks, and this crate serves them in one way.

mod error_chain;
pub mod health;
pub mod logging;
pub mod server;
pub mod shutdown;
pub mod trace_context;

use std::net::SocketAddr;

pub use error_chain::{error_chain, innermost_cause};
pub use health::{Check, Health};
pub use logging::{LogFormat, Telemetry};

/// Settings that all three binaries share.
#[derive(Clone, Debug, clap::Args)]
#[group(id = "telemetry")]
pub struct Settings {
    /// Address on which /metrics, /healthz and /readyz are served.
    #[arg(long, env = "METRICS_ADDRESS", default_value = "0.0.0.0:9090")]
    pub metrics_address: SocketAddr,

    /// How log lines are written to standard output.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Which log lines are written, in the directives of tracing-subscriber's `EnvFilter`.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_filter: String,

    /// OTLP endpoint (gRPC) to which traces are sent; without one none are made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Share of requests that are traced, in percent; a caller's own decision is kept.
    #[arg(long, env = "TRACE_SAMPLE_PERCENT", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub trace_sample_percent: u8,

    /// Also shut down when standard input closes: a supervisor that dies, however it dies, takes its
    /// children along.
    #[arg(long, env = "EXIT_ON_STDIN_CLOSE", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub exit_on_stdin_close: bool,
}
