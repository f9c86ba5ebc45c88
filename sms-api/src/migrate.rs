//! `sms-api migrate`: brings the schema up to date, makes the first partitions and ends; an init container in a cluster.

use std::{io, time::Duration};

use anyhow::{Context, bail};
use sqlx::{ConnectOptions, Connection, PgConnection, migrate::MigrateError, postgres::PgConnectOptions};
use tokio_util::sync::CancellationToken;

use crate::{maintenance, outage::Outage, store::schema};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Applies the migrations. Waits as long as it takes for PostgreSQL to come, because a crash loop would not
/// bring it sooner. An error is one that waiting does not heal, or a shutdown before the work was done.
pub async fn run(database: &PgConnectOptions, shutdown: &CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        result = until_applied(database) => result,
        () = shutdown.cancelled() => bail!("stopped before the schema was up to date"),
    }
}

async fn until_applied(database: &PgConnectOptions) -> anyhow::Result<()> {
    let outage = Outage::new("bringing the schema up to date");
    let mut pause = FIRST_PAUSE;
    loop {
        match try_once(database).await {
            Ok(()) => {
                tracing::info!("the schema is up to date");
                return Ok(());
            }
            Err(error) if heals(&error) => outage.failed(&error),
            Err(error) => return Err(error).context("the schema could not be brought up to date"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn try_once(database: &PgConnectOptions) -> Result<(), MigrateError> {
    let mut db = tokio::time::timeout(CONNECT_TIMEOUT, database.connect())
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer to the connection").into()))
        .map_err(MigrateError::Execute)?;
    let result = async {
        schema::bring_up_to_date(&mut db).await?;
        maintenance::make_missing_partitions(&mut db).await.map_err(MigrateError::Execute)
    }
    .await;
    close(db).await;
    result
}

/// Releases the advisory lock at once even when a migration failed.
async fn close(db: PgConnection) {
    if let Err(error) = db.close().await {
        tracing::debug!(%error, "the connection was already gone");
    }
}

/// Whether waiting can help: the connection failed or the server cannot serve yet. A statement that the
/// server refuses, or a migration that was changed after it was applied, needs a person.
fn heals(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
        // 08 connection, 28 authorization, 3D000 no such database yet, 53 resources, 55 locks, 57 operator intervention.
        Some(code) => ["08", "28", "3D", "53", "55", "57"].iter().any(|class| code.starts_with(class)),
        None => true,
    }
}
