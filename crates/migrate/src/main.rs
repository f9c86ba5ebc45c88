//! Applies a folder of migrations to a database.
//!
//! `sms-api migrate` does it for users. This program is for `cargo xtask queries`, which needs the schema before
//! sms-api compiles.

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use sqlx::{Connection, PgConnection, migrate::Migrator};

/// Applies a folder of migrations to a database
#[derive(Parser)]
struct Arguments {
    /// Where the migrations are
    folder: PathBuf,

    /// The database, as a URL with name and password
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { folder, database_url } = Arguments::parse();
    let migrator =
        Migrator::new(folder.as_path()).await.with_context(|| format!("cannot read {}", folder.display()))?;
    let mut connection = PgConnection::connect(&database_url).await.context("cannot connect to the database")?;
    migrator.run(&mut connection).await.with_context(|| format!("cannot apply {}", folder.display()))?;
    connection.close().await.context("cannot close the connection")
}
