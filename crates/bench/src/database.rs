//! What the benchmark does with PostgreSQL besides the references: bring it to rest, and ask how it is set up.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

/// How long the outbox may take to empty. Batches that nobody publishes at once wait for a lease of ten seconds.
const EMPTY_WITHIN: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(10);
/// Settings that figures depend on.
const SETTINGS: [&str; 8] = [
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
];

/// A connection of the benchmark's own.
#[derive(Debug)]
pub struct Database {
    db: PgConnection,
}

impl Database {
    /// Connects.
    pub async fn connect(options: &PgConnectOptions) -> anyhow::Result<Database> {
        Ok(Database { db: PgConnection::connect_with(options).await.context("cannot connect to PostgreSQL")? })
    }

    /// The settings that figures depend on, by name. An error where a commit does not wait for the disk.
    pub async fn settings(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let query = "select name, current_setting(name) from unnest($1::text[]) name";
        let names: Vec<_> = SETTINGS.into();
        let found: Vec<(String, String)> =
            sqlx::query_as(query).bind(names).fetch_all(&mut self.db).await.context("cannot read the settings")?;
        let settings = BTreeMap::from_iter(found);
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            if settings.get(name).is_none_or(|value| value != "on") {
                bail!("PostgreSQL runs without {name}: what it measures would not be durable");
            }
        }
        Ok(settings)
    }

    /// Waits until everything that was stored is published too, which is when the outbox is empty.
    pub async fn until_published(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let empty: bool = sqlx::query_scalar("select not exists (select from outbox)")
                .fetch_one(&mut self.db)
                .await
                .context("cannot look into the outbox")?;
            if empty {
                return Ok(());
            }
            if began.elapsed() > EMPTY_WITHIN {
                bail!("sms-api has not published everything after {} s", EMPTY_WITHIN.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Writes everything to disk, so that the next phase does not pay for the one before.
    pub async fn checkpoint(&mut self) -> anyhow::Result<()> {
        self.run("checkpoint").await
    }

    /// Runs a statement that is written here and takes no parameters.
    pub async fn run(&mut self, statement: &'static str) -> anyhow::Result<()> {
        sqlx::raw_sql(statement).execute(&mut self.db).await.with_context(|| format!("`{statement}` failed"))?;
        Ok(())
    }

    /// The connection itself.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.db
    }
}
