//! PostgreSQL, Kafka and the operator as one thing that starts and stops in order.

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use devstack::{
    AfterOurDeath, Durability, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Postgres, PostgresBinaries,
    PostgresSettings, Progress, Server, ServerSettings,
};

use crate::{
    arguments::UpArguments,
    http::Client,
    readiness::{self, Readiness},
    screen::Screen,
    signals::StopRequest,
    supervisor::Supervisor,
    workspace,
};

/// The name under which the operator is remembered in the data folder.
pub const OPERATOR: &str = "operator";
/// Where PostgreSQL lives in the data folder.
pub const POSTGRES_FOLDER: &str = "postgres";
/// Where Kafka lives in the data folder.
pub const KAFKA_FOLDER: &str = "kafka";
/// The operator's state folder in the data folder.
const PIPELINE_FOLDER: &str = "pipeline";
/// The Secret `notifications-db` with its key `uri`, as the operator reads it without a cluster.
pub const DATABASE_SECRET: &str = "pipeline/secrets/notifications-db/uri";
/// The database of the pipeline.
const DATABASE: &str = "notifications";
/// What the example pipeline calls Kafka.
const KAFKA_NAME: &str = "kafka-bootstrap.kafka:9092";

const READY_WITHIN: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(50);

/// What there is to start.
#[derive(Debug)]
pub struct Programs {
    /// PostgreSQL.
    pub postgres: PostgresBinaries,
    /// Kafka.
    pub kafka: KafkaBinaries,
    /// `sms-operator`.
    pub operator: PathBuf,
}

/// How a run that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Somebody stopped it.
    OnRequest,
    /// Somebody stopped it while it was starting.
    BeforeReady,
}

/// Everything that runs. Dropping it stops it in the same order as [`Stack::stop`].
#[derive(Debug)]
pub struct Stack {
    operator: Server,
    kafka: Kafka,
    postgres: Postgres,
    state_folder: PathBuf,
    metrics_address: SocketAddr,
}

impl Stack {
    /// Starts the servers and, when they serve, the operator.
    pub fn start(
        programs: &Programs,
        supervisor: &Supervisor,
        arguments: &UpArguments,
        screen: &Screen,
    ) -> anyhow::Result<Stack> {
        let folder = supervisor.folder_claim().folder();
        screen.step("starting PostgreSQL");
        let settings = PostgresSettings {
            folder: &folder.join(POSTGRES_FOLDER),
            port: Some(arguments.postgres_port),
            durability: Durability::Durable,
            databases: &[DATABASE],
        };
        let postgres = Postgres::start(&programs.postgres, &settings)?;
        write_secret(&folder.join(DATABASE_SECRET), &postgres.url(DATABASE))?;

        screen.step("starting Kafka");
        let settings = KafkaSettings {
            folder: &folder.join(KAFKA_FOLDER),
            port: Some(arguments.kafka_port),
            tuning: JavaTuning::QuickStart,
        };
        let kafka = Kafka::start(&programs.kafka, &settings)?;

        screen.step("starting the operator");
        let command = operator(&programs.operator, folder, arguments, &kafka.bootstrap_servers())?;
        let mut settings = ServerSettings::new("the operator", command, folder.join("operator.log"));
        settings.after_our_death = AfterOurDeath::SeesItsInputClose;
        settings.stop_within = Duration::from_mins(1); // its processors finish what they have in work
        let operator = Server::start(settings)?;
        supervisor.folder_claim().remember(OPERATOR, operator.pid())?;
        let state_folder = folder.join(PIPELINE_FOLDER);
        Ok(Stack { operator, kafka, postgres, state_folder, metrics_address: arguments.metrics_address })
    }

    /// Waits until the operator says that the pipeline is ready; `false` if a stop was asked for first.
    pub fn await_ready(&mut self, stop: &mut StopRequest, screen: &Screen) -> anyhow::Result<bool> {
        let client = Client::new();
        let address = self.metrics_address;
        screen.step(&format!("waiting until http://{address}/readyz says that the pipeline is ready"));
        let (began, mut said) = (Instant::now(), String::new());
        while !stop.within(POLL) {
            if let Some(failure) = self.failure() {
                return Err(failure);
            }
            match readiness::ask(&client, address) {
                Readiness::Ready => return Ok(true),
                Readiness::NotReady(why) => said = why,
                Readiness::Silent(_) => {} // it does not listen yet
            }
            if began.elapsed() > READY_WITHIN {
                return Err(self
                    .operator
                    .failure(&format!("was not ready after {} s: {said}", READY_WITHIN.as_secs()))
                    .into());
            }
            screen.advance(began.elapsed().as_secs(), None, &said);
        }
        Ok(false)
    }

    /// What ended by itself, if anything did.
    pub fn failure(&mut self) -> Option<anyhow::Error> {
        let servers = [&mut self.operator, self.kafka.server(), self.postgres.server()];
        servers.into_iter().find_map(|server| {
            let status = server.exited()?;
            Some(anyhow!(server.failure(&format!("ended by itself ({})", describe(status)))))
        })
    }

    /// Stops in order: first who uses the others.
    pub fn stop(mut self, screen: &Screen) {
        screen.say("stopping the operator and its replicas");
        self.operator.stop();
        screen.say("stopping Kafka");
        self.kafka.stop();
        screen.say("stopping PostgreSQL");
        self.postgres.stop();
        screen.say("stopped; data and logs stay");
    }

    /// Where the operator lists its replicas.
    pub fn replicas_file(&self) -> PathBuf {
        self.state_folder.join("replicas.json")
    }
}

fn operator(
    program: &Path,
    folder: &Path,
    arguments: &UpArguments,
    bootstrap_servers: &str,
) -> anyhow::Result<Command> {
    let file = arguments.file.clone().unwrap_or_else(|| workspace::root().join("crds/examples/quickstart.yaml"));
    let file = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command.arg("local").arg("-f").arg(file);
    command.arg("--state-dir").arg(folder.join(PIPELINE_FOLDER));
    command.args(["--api-address", &arguments.api_address.to_string()]);
    command.args(["--internal-address", &arguments.internal_address.to_string()]);
    command.args(["--metrics-address", &arguments.metrics_address.to_string()]);
    command.args(["--connect-to", &format!("{KAFKA_NAME}={bootstrap_servers}")]);
    command.arg("--exit-on-stdin-close");
    Ok(command)
}

fn describe(status: ExitStatus) -> String {
    if status.success() { "without an error".to_owned() } else { status.to_string() }
}

/// Written beside and renamed, so that the operator never reads half of it.
fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let write = || {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        // Outside of the Secret's folder, where every file is a key.
        let partial = folder.with_extension("partial");
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&partial)?;
        file.write_all(secret.as_bytes())?;
        fs::rename(&partial, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
