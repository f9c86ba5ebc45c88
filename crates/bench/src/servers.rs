//! What is measured, as child processes: PostgreSQL with fsync, Kafka, sms-api and the processor.

mod operator;
mod processor;
mod sms_api;

use std::{
    env,
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    time::{Duration, Instant},
};

use anyhow::Context;
use devstack::{
    Cache, Claim, ControlPlane, Durability, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, KubernetesBinaries,
    Postgres, PostgresBinaries, PostgresSettings, Server, Silent,
};
use sqlx::postgres::PgConnectOptions;

use crate::{
    database::Database,
    http::Connection,
    processes::{Program, Watched},
};

pub use operator::Operator;
pub use processor::{DEFAULT_IN_FLIGHT, INSTANT_PROVIDER, Processor, ProcessorSettings};
pub use sms_api::SmsApi;

const READY_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

const POSTGRES: &str = "postgres";

/// A folder for servers, which nobody else uses meanwhile.
#[derive(Debug)]
pub struct Place(Claim);

impl Place {
    /// Claims `folder`.
    pub fn claim(folder: &Path) -> anyhow::Result<Place> {
        Ok(Place(Claim::on(folder)?))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.0.folder()
    }

    /// Starts Kafka as it is shipped, empty: nothing is left of what was there.
    pub fn start_kafka(&self) -> anyhow::Result<Kafka> {
        let folder = &self.emptied("kafka")?;
        // Installed before we were started, so there is no progress to tell.
        let kafka = KafkaBinaries::install(&Cache::of_this_machine()?, &Silent)?;
        Ok(Kafka::start(&kafka, &KafkaSettings { folder, port: None, tuning: JavaTuning::AsShipped })?)
    }

    /// Starts etcd and an API server, empty, and no controller: Deployments get no Pods.
    pub fn start_api_server(&self) -> anyhow::Result<ControlPlane> {
        let binaries = KubernetesBinaries::install(&Cache::of_this_machine()?, &Silent)?;
        Ok(ControlPlane::start_without_controllers(&binaries, &self.emptied("kubernetes")?)?)
    }

    /// Starts PostgreSQL with what is in its folder.
    fn start_postgres(&self, databases: &[&str]) -> anyhow::Result<Postgres> {
        let folder = &self.folder().join(POSTGRES);
        let postgres = PostgresBinaries::install(&Cache::of_this_machine()?, &Silent)?;
        let settings = PostgresSettings { folder, port: None, durability: Durability::Durable, databases };
        Ok(Postgres::start(&postgres, &settings)?)
    }

    /// Removes everything in it, and itself. What runs in it must have stopped.
    pub fn remove(self) -> anyhow::Result<()> {
        remove(self.folder())
    }

    fn emptied(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.folder().join(name);
        remove(&folder)?;
        Ok(folder)
    }
}

/// PostgreSQL and Kafka. Dropping them stops them.
#[derive(Debug)]
pub struct Servers {
    kafka: Kafka,
    postgres: Postgres,
    place: Place,
}

impl Servers {
    /// Starts both, empty, in `folder`; PostgreSQL has these databases.
    pub fn start(folder: &Path, databases: &[&str]) -> anyhow::Result<Servers> {
        let place = Place::claim(folder)?;
        place.emptied(POSTGRES)?;
        Ok(Servers { postgres: place.start_postgres(databases)?, kafka: place.start_kafka()?, place })
    }

    /// Lets PostgreSQL keep when each transaction was committed, which it begins to do only with a restart. All of its
    /// databases do, whichever is asked.
    pub async fn remembering_commit_times(self, database: &str) -> anyhow::Result<Servers> {
        let options = self.database(database)?;
        Database::connect(&options).await?.run("alter system set track_commit_timestamp = on").await?;
        let Servers { kafka, postgres, place } = self;
        // Gone before the next one starts, because the folder is its own.
        drop(postgres);
        Ok(Servers { kafka, postgres: place.start_postgres(&[])?, place })
    }

    /// Where Kafka is.
    pub fn bootstrap_servers(&self) -> String {
        self.kafka.bootstrap_servers()
    }

    /// Where what belongs to services may be written.
    pub fn folder(&self) -> &Path {
        self.place.folder()
    }

    /// How to connect to a database.
    pub fn database(&self, name: &str) -> anyhow::Result<PgConnectOptions> {
        PgConnectOptions::from_str(&self.postgres.url(name)).context("devstack's URL is not usable")
    }

    /// The URL of a database, with its password.
    pub fn database_url(&self, name: &str) -> String {
        self.postgres.url(name)
    }

    /// sms-api on one of the databases, migrated and ready.
    pub async fn start_sms_api(&self, database: &str) -> anyhow::Result<SmsApi> {
        let folder = self.folder().join(format!("sms-api-{database}"));
        SmsApi::start(&folder, &self.postgres.url(database), &self.bootstrap_servers()).await
    }

    /// Whose use is told apart.
    pub fn watched(&self, sms_api: &SmsApi) -> Watched {
        let servers = [(Program::Postgres, self.postgres.pid()), (Program::Kafka, self.kafka.pid())];
        std::iter::once((Program::SmsApi, sms_api.pid())).chain(servers).collect()
    }

    /// Stops both and leaves nothing of their data.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.kafka.stop();
        self.postgres.stop();
        self.place.remove()
    }
}

/// The folder that cargo puts release builds in: this program lies in it.
pub fn programs() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program itself is")?;
    Ok(program.parent().context("this program is in no folder")?.to_owned())
}

/// Waits until a service says at its metrics port that it is ready.
pub async fn until_ready(server: &mut Server, metrics: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_WITHIN;
    while !is_ready(metrics).await.unwrap_or(false) {
        if let Some(status) = server.exited() {
            return Err(server.failure(&format!("ended instead of starting ({status})")).into());
        }
        if Instant::now() > deadline {
            return Err(server.failure("did not become ready").into());
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

async fn is_ready(metrics: SocketAddr) -> anyhow::Result<bool> {
    Ok(Connection::open(metrics).await?.get("/readyz").await? == 200)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, devstack::free_port()?)))
}

pub fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
