//! Everything that can differ between two deployments of this service. Read once, in `main`.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand};
use sqlx::postgres::PgConnectOptions;

use crate::maintenance::Retention;

/// The HTTP side of an SMS pipeline: takes messages, stores them, hands them to Kafka.
#[derive(Clone, Debug, Parser)]
#[command(name = "sms-api", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What this binary can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Serve the HTTP API until SIGTERM.
    Serve(Config),
    /// Bring the database's schema up to date, then exit.
    Migrate(MigrateConfig),
}

/// Settings of `sms-api serve`.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Where PostgreSQL is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: kafka::Settings,

    /// Topic to which accepted messages are published.
    #[arg(long, env = "REQUESTS_TOPIC", default_value = "sms.requests")]
    pub requests_topic: String,

    /// Address of the public API.
    #[arg(long, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,

    /// Address of the internal API, on which the processors report. Never to be exposed.
    #[arg(long, env = "INTERNAL_ADDRESS", default_value = "0.0.0.0:8081")]
    pub internal_address: SocketAddr,

    /// File that holds the bearer token of the internal API.
    #[arg(long, env = "INTERNAL_TOKEN_FILE")]
    pub internal_token_file: PathBuf,

    /// For how many days messages are kept after the day they were accepted in, such as `90d`; at least `2d`.
    #[arg(long, env = "MESSAGE_RETENTION", default_value = "90d")]
    pub message_retention: Retention,

    /// Share both addresses with other replicas on this machine (`SO_REUSEPORT`).
    #[arg(long, env = "REUSE_PORT", default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub reuse_port: bool,

    /// Logs, traces, metrics and health.
    #[command(flatten)]
    pub telemetry: telemetry::Settings,
}

/// Settings of `sms-api migrate`.
#[derive(Clone, Debug, Args)]
pub struct MigrateConfig {
    /// Where PostgreSQL is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Logs and traces; no port is opened.
    #[command(flatten)]
    pub telemetry: telemetry::Settings,
}

/// Where PostgreSQL is.
#[derive(Clone, Debug, Args)]
pub struct DatabaseSettings {
    /// File that holds the PostgreSQL URL, as in `postgres://user:password@host:5432/database`.
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: PathBuf,
}

/// A text that must not be seen: its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text in.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; never for a log, an event or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

impl Config {
    /// The bearer token of the internal API.
    pub fn internal_token(&self) -> anyhow::Result<Secret> {
        let token = read_secret("INTERNAL_TOKEN_FILE", &self.internal_token_file)?;
        ensure!(
            token.expose().bytes().all(|byte| byte.is_ascii_graphic()),
            "INTERNAL_TOKEN_FILE: {} holds a token with spaces or characters that an HTTP header cannot carry",
            self.internal_token_file.display()
        );
        Ok(token)
    }
}

impl DatabaseSettings {
    /// How to connect, from the file.
    pub fn connect_options(&self) -> anyhow::Result<PgConnectOptions> {
        let url = read_secret("DATABASE_URL_FILE", &self.database_url_file)?;
        let file = self.database_url_file.display();
        ensure!(
            url.expose().starts_with("postgres://") || url.expose().starts_with("postgresql://"),
            "DATABASE_URL_FILE: {file} does not hold a PostgreSQL URL (postgres://user:password@host:5432/database)"
        );
        PgConnectOptions::from_str(url.expose())
            .with_context(|| format!("DATABASE_URL_FILE: {file} does not hold a usable PostgreSQL URL"))
    }
}

fn read_secret(setting: &str, file: &PathBuf) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{setting}: cannot read {}", file.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), "{setting}: {} is empty", file.display());
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(content: &str) -> anyhow::Result<PgConnectOptions> {
        let file = std::env::temp_dir().join(format!("sms-api-config-{}", uuid::Uuid::now_v7()));
        std::fs::write(&file, content).expect("temporary file is writable");
        let options = DatabaseSettings { database_url_file: file.clone() }.connect_options();
        std::fs::remove_file(file).expect("temporary file was there");
        options
    }

    #[test]
    fn a_trailing_newline_is_no_part_of_the_url() {
        let options = database("postgres://user:secret@db:5433/sms\n").expect("valid URL");
        assert_eq!((options.get_host(), options.get_port(), options.get_database()), ("db", 5433, Some("sms")));
    }

    #[test]
    fn a_missing_file_is_named_with_its_setting() {
        let settings = DatabaseSettings { database_url_file: "/nowhere/uri".into() };
        let error = format!("{:#}", settings.connect_options().map(|_| ()).expect_err("no such file"));
        assert!(error.starts_with("DATABASE_URL_FILE: cannot read /nowhere/uri"), "{error}");
    }

    #[test]
    fn a_bad_url_is_refused_without_being_shown() {
        for bad in ["", "hunter2", "mysql://user:hunter2@db/x", "postgres://user:hunter2@db:port/x"] {
            let error = format!("{:#}", database(bad).map(|_| ()).expect_err("bad URL"));
            assert!(error.starts_with("DATABASE_URL_FILE: ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn every_setting_is_a_flag_with_a_default_where_one_makes_sense() {
        let cli = Cli::try_parse_from([
            "sms-api",
            "serve",
            "--database-url-file=/db/uri",
            "--internal-token-file=/token",
            "--kafka-bootstrap-servers=kafka:9092",
        ]);
        let Ok(Cli { command: Command::Serve(config) }) = cli else { panic!("{cli:?}") };
        assert_eq!(config.http_address.port(), 8080);
        assert_eq!(config.internal_address.port(), 8081);
        assert_eq!(config.requests_topic, "sms.requests");
        assert_eq!(config.message_retention.to_string(), "90d");
        assert!(!config.reuse_port);
    }
}
