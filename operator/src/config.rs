//! Everything that can differ between two runs of the operator. Read once, in `main`.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{ArgGroup, Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use clap_complete::Shell;
use simulator::PolicyName;

use crate::cli::EXIT_CODES;

/// Turns SmsPipeline resources into topics, an API and a fleet of processors.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the operator can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Reconcile the SmsPipelines of a cluster.
    Run(Run),
    /// Run one SmsPipeline as processes on this machine, without a cluster.
    Local(Local),
    /// Print the CustomResourceDefinition.
    Crd,
    /// Tell what the API server and the operator would refuse in a file, without a cluster.
    #[command(after_help = EXIT_CODES)]
    Validate(Validate),
    /// Print every object that the operator would apply for a file, without a cluster.
    #[command(after_help = EXIT_CODES)]
    Render(Render),
    /// Print what applying a file would change in the cluster of the current kubeconfig, and change nothing.
    #[command(after_help = EXIT_CODES)]
    Diff(Diff),
    /// Tell how the number of processors of a pipeline was decided, and decide it again from the same inputs.
    #[command(after_help = EXIT_CODES)]
    Explain(Explain),
    /// Play traces of traffic through the autoscaler's rule and through the formulas of others, and compare them.
    #[command(after_help = EXIT_CODES)]
    Simulate(Simulate),
    /// Print what a shell needs to complete the commands and flags.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Where a command reads pipelines from.
#[derive(Debug, Args)]
pub struct Documents {
    /// The file with SmsPipelines; `-` is standard input. Documents of other kinds are skipped.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: PathBuf,
}

/// Settings of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub documents: Documents,
}

/// Settings of `render`.
#[derive(Debug, Args)]
pub struct Render {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub documents: Documents,

    /// Namespace of the pipelines that name none; `default` when absent.
    #[arg(short = 'n', long, value_parser = NonEmptyStringValueParser::new())]
    pub namespace: Option<String>,

    /// Image of the API where a pipeline names none; that of this release when absent.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub api_image: Option<String>,

    /// Image of the processors where a pipeline names none; that of this release when absent.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub processor_image: Option<String>,
}

/// Settings of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub documents: Documents,

    /// Namespace of the pipelines that name none; that of the kubeconfig's context when absent.
    #[arg(short = 'n', long, value_parser = NonEmptyStringValueParser::new())]
    pub namespace: Option<String>,

    /// Image of the API where a pipeline names none; the one that runs when absent.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub api_image: Option<String>,

    /// Image of the processors where a pipeline names none; the one that runs when absent.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub processor_image: Option<String>,
}

/// Settings of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The pipeline, as `NAME` or `smsp/NAME`.
    #[arg(value_name = "PIPELINE", value_parser = pipeline_name)]
    pub pipeline: String,

    /// Namespace of the pipeline; that of the kubeconfig's context when absent.
    #[arg(short = 'n', long, value_parser = NonEmptyStringValueParser::new())]
    pub namespace: Option<String>,

    /// Where the decisions are, in place of the operator in the cluster: the address of an operator's metrics, such as
    /// `http://127.0.0.1:9090`, or a file that was saved; `-` is standard input.
    #[arg(long, value_name = "URL|FILE")]
    pub from: Option<String>,

    /// Namespace of the operator; found by its Lease when absent, which takes the right to list Leases everywhere.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub operator_namespace: Option<String>,

    /// How many decisions are told at most; 500 are kept.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub last: u16,

    /// Also write the decisions with all their inputs to this file.
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
}

fn pipeline_name(text: &str) -> Result<String, String> {
    let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
    if name.is_empty() { Err("must be NAME or smsp/NAME".to_owned()) } else { Ok(name.to_owned()) }
}

/// Settings of `simulate`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("traces").required(true).args(["trace", "all"]).multiple(false))]
pub struct Simulate {
    /// The trace to play, by its name or as a JSON file; may be given several times. Names: steady, step, backlog, sawtooth,
    /// diurnal-week, flash-crowd, skew, slow-provider, provider-outage, broker-replaced, poison-partition.
    #[arg(long, value_name = "NAME|FILE")]
    pub trace: Vec<String>,

    /// Play every trace that has a name.
    #[arg(long)]
    pub all: bool,

    /// The policy to play it through; may be given several times, and all are when it is absent: drain-slo, keda-lag (or
    /// keda-lag:LAG_THRESHOLD), keda-lag-tuned, numaflow, brandwatch, hpa-cpu (or hpa-cpu:PERCENT), fixed (or
    /// fixed:REPLICAS), prompt, clairvoyant. drain-slo alone also tells its decisions.
    #[arg(long, value_name = "POLICY")]
    pub policy: Vec<PolicyName>,

    /// Another seed gives other random numbers; the same gives the same figures.
    #[arg(long, default_value_t = simulator::document::SEED)]
    pub seed: u64,

    /// Print JSON in place of tables.
    #[arg(long)]
    pub json: bool,

    /// Also write NAME.json and NAME.svg of each trace into this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Play everything that autoscaling.md in this folder quotes, and renew its tables and pictures.
    #[arg(long, value_name = "DIR", requires = "all", conflicts_with_all = ["policy", "json", "out"])]
    pub write: Option<PathBuf>,
}

/// Settings of `run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    #[expect(missing_docs, reason = "documented where it is defined")]
    pub telemetry: telemetry::Settings,

    /// The only namespace to look after; all of them when absent.
    #[arg(long, env = "WATCH_NAMESPACE", value_parser = NonEmptyStringValueParser::new())]
    pub watch_namespace: Option<String>,

    /// What this operator is called in the Lease by which one of several leads; Kubernetes sets it to the pod's name.
    #[arg(long, env = "HOSTNAME", default_value = "sms-operator")]
    pub identity: String,

    /// Image of the API where a pipeline names none.
    #[arg(long, env = "API_IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub api_image: String,

    /// Image of the processors where a pipeline names none.
    #[arg(long, env = "PROCESSOR_IMAGE", value_parser = NonEmptyStringValueParser::new())]
    pub processor_image: String,

    /// How often lag is looked at and the number of processors decided, in seconds.
    #[arg(long, env = "LAG_INTERVAL_SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub lag_interval_seconds: u64,
}

/// Settings of `local`.
#[derive(Debug, Args)]
pub struct Local {
    /// The file with the SmsPipeline; an edit is carried out when it is saved.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: PathBuf,

    /// Folder for what the pipeline needs and tells: `secrets/NAME/KEY` are its Secrets, `status.json` tells
    /// its status, `replicas.json` lists its processes.
    #[arg(long, value_name = "DIR")]
    pub state_dir: PathBuf,

    /// Folder of the executables sms-api and sms-processor; by default the one of sms-operator.
    #[arg(long, value_name = "DIR")]
    pub bin_dir: Option<PathBuf>,

    /// Address of the HTTP API; its replicas share it.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub api_address: SocketAddr,

    /// Address of the API's internal port; its replicas share it.
    #[arg(long, default_value = "127.0.0.1:8081")]
    pub internal_address: SocketAddr,

    /// Connect to an address other than the one that the pipeline names, such as
    /// `kafka-bootstrap.kafka:9092=127.0.0.1:19092`; may be given several times.
    #[arg(long, value_name = "NAMED=USED")]
    pub connect_to: Vec<ConnectTo>,

    /// Address of the operator's metrics and health; its replicas get the ports above it.
    #[arg(long, default_value = "127.0.0.1:9090")]
    pub metrics_address: SocketAddr,

    /// How often lag is looked at and the number of processors decided, in seconds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub lag_interval_seconds: u64,

    /// How log lines are written to standard output, those of the replicas too.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = telemetry::LogFormat::Pretty)]
    pub log_format: telemetry::LogFormat,

    /// Which log lines are written, in the directives of tracing-subscriber's `EnvFilter`.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_filter: String,

    /// Also stop when standard input closes: a parent that dies takes the pipeline along.
    #[arg(long)]
    pub exit_on_stdin_close: bool,
}

/// An address to use in place of the one that is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTo {
    /// `host:port` as the resource names it.
    pub named: String,
    /// `host:port` to connect to.
    pub used: String,
}

impl FromStr for ConnectTo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((named, used)) if named.contains(':') && used.contains(':') => {
                Ok(Self { named: named.to_owned(), used: used.to_owned() })
            }
            Some(_) | None => Err("must be HOST:PORT=HOST:PORT"),
        }
    }
}

impl Local {
    /// The shared settings, with the defaults of a run on one machine.
    pub fn telemetry(&self) -> telemetry::Settings {
        telemetry::Settings {
            metrics_address: self.metrics_address,
            log_format: self.log_format,
            log_filter: self.log_filter.clone(),
            otlp_endpoint: None,
            trace_sample_percent: 0,
            exit_on_stdin_close: self.exit_on_stdin_close,
        }
    }
}
