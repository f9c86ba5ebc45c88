//! What is measured, as child processes: PostgreSQL with fsync, Kafka and sms-api.

mod sms_api;

use std::{
    env, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::Context;
use devstack::{
    Cache, Claim, Durability, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Postgres, PostgresBinaries,
    PostgresSettings, Silent,
};
use sqlx::postgres::PgConnectOptions;

use crate::{processes::Watched, topic::Topic};

pub use sms_api::SmsApi;

/// The database of the ingest phases.
pub const INGEST: &str = "ingest";
/// The database of the reads.
pub const READS: &str = "reads";

/// PostgreSQL and Kafka. Dropping them stops them.
#[derive(Debug)]
pub struct Servers {
    kafka: Kafka,
    postgres: Postgres,
    folder: Claim,
}

impl Servers {
    /// Starts both, empty, in `folder`, of which nothing that was in it is left.
    pub fn start(folder: &Path) -> anyhow::Result<Servers> {
        let folder = Claim::on(folder)?;
        let [postgres_folder, kafka_folder] = ["postgres", "kafka"].map(|name| folder.folder().join(name));
        remove(&postgres_folder)?;
        remove(&kafka_folder)?;
        // Installed before we were started, so there is no progress to tell.
        let cache = Cache::of_this_machine()?;
        let postgres = PostgresBinaries::install(&cache, &Silent)?;
        let settings = PostgresSettings {
            folder: &postgres_folder,
            port: None,
            durability: Durability::Durable,
            databases: &[INGEST, READS],
        };
        let postgres = Postgres::start(&postgres, &settings)?;
        let kafka = KafkaBinaries::install(&cache, &Silent)?;
        let kafka =
            Kafka::start(&kafka, &KafkaSettings { folder: &kafka_folder, port: None, tuning: JavaTuning::AsShipped })?;
        Ok(Servers { kafka, postgres, folder })
    }

    /// The topics, made.
    pub async fn topic(&self) -> anyhow::Result<Topic> {
        Topic::create(self.kafka.bootstrap_servers()).await
    }

    /// How to connect to a database.
    pub fn database(&self, name: &str) -> anyhow::Result<PgConnectOptions> {
        PgConnectOptions::from_str(&self.postgres.url(name)).context("devstack's URL is not usable")
    }

    /// sms-api on one of the databases, migrated and ready.
    pub async fn start_sms_api(&self, database: &str) -> anyhow::Result<SmsApi> {
        let program = programs()?.join("sms-api");
        let folder = self.folder.folder().join(format!("sms-api-{database}"));
        SmsApi::start(&program, &folder, &self.postgres.url(database), &self.kafka.bootstrap_servers()).await
    }

    /// Whose use is told apart.
    pub fn watched(&self, sms_api: &SmsApi) -> Watched {
        Watched { sms_api: sms_api.pid(), postgres: self.postgres.pid(), kafka: self.kafka.pid() }
    }

    /// Stops both and leaves nothing of their data.
    pub fn stop(mut self) -> anyhow::Result<()> {
        self.kafka.stop();
        self.postgres.stop();
        remove(self.folder.folder())
    }
}

/// The folder that cargo puts release builds in: this program lies in it.
pub fn programs() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where this program itself is")?;
    Ok(program.parent().context("this program is in no folder")?.to_owned())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}
