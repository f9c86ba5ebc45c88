//! Everything that can differ between two deployments of this service. Read once, in `main`.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use sqlx::postgres::PgConnectOptions;

use crate::{
    access, api_keys::NewApiKey, dead_letters, maintenance::Retention, routes::message_request::NumberValidation,
};

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
    Serve(Box<Config>),
    /// Bring the database's schema up to date, then exit.
    Migrate(MigrateConfig),
    /// Publish every pending message again, then exit: for the day after PostgreSQL was restored or a topic lost.
    /// The replicas that serve do the publishing.
    Republish(RepublishConfig),
    /// Make an API key and its entry for the file of --api-keys-file.
    ///
    /// The entry goes to standard output, the key to standard error, each on a line of its own; neither is kept.
    #[command(after_help = NEW_API_KEY_HELP)]
    NewApiKey(NewApiKey),
}

const NEW_API_KEY_HELP: &str = r#"The file is JSON: {"keys":[ENTRY, ENTRY, ...]}. Several keys at once let a new one
take over from an old one; a changed file is read without a restart. To add a key to keys.json:

  sms-api new-api-key --name billing-2026 --scopes send,read >entry.json 2>key.txt
  jq '.keys += [input]' keys.json entry.json >new.json && mv new.json keys.json"#;

/// Settings of `sms-api serve`.
#[derive(Clone, Debug, Args)]
pub struct Config {
    /// Where PostgreSQL is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: kafka::Settings,

    /// Topic to which messages of normal priority are published.
    #[arg(long, env = "REQUESTS_TOPIC", default_value = "sms.requests")]
    pub requests_topic: String,

    /// Topic to which messages of high priority are published.
    #[arg(long, env = "HIGH_PRIORITY_TOPIC", default_value = "sms.high-priority")]
    pub high_priority_topic: String,

    /// Topic to which messages of low priority are published.
    #[arg(long, env = "LOW_PRIORITY_TOPIC", default_value = "sms.low-priority")]
    pub low_priority_topic: String,

    /// Topic from which dead letters are read.
    #[arg(long, env = "DEAD_LETTER_TOPIC", default_value = "sms-requests-dlq")]
    pub dead_letter_topic: String,

    /// Consumer group in which all replicas of one pipeline read dead letters; by default the topic's name with
    /// `-sms-api`.
    #[arg(long, env = "DEAD_LETTER_GROUP", value_parser = NonEmptyStringValueParser::new())]
    pub dead_letter_group: Option<String>,

    /// How many stored messages may wait for Kafka before new ones are refused.
    #[arg(long, env = "OUTBOX_MAX_MESSAGES", default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    pub outbox_max_messages: i64,

    /// How long stored messages may wait for Kafka before new ones are refused, such as `1h`.
    #[arg(long, env = "OUTBOX_MAX_AGE", default_value = "1h", value_parser = duration)]
    pub outbox_max_age: Duration,

    /// Address of the public API.
    #[arg(long, env = "HTTP_ADDRESS", default_value = "0.0.0.0:8080")]
    pub http_address: SocketAddr,

    /// Address of the internal API, on which the processors report. Never to be exposed.
    #[arg(long, env = "INTERNAL_ADDRESS", default_value = "0.0.0.0:8081")]
    pub internal_address: SocketAddr,

    /// File that holds the bearer token of the internal API. While another token takes over, several files, separated by
    /// commas: each token is accepted.
    #[arg(long, env = "INTERNAL_TOKEN_FILE", required = true, value_delimiter = ',')]
    pub internal_token_file: Vec<PathBuf>,

    /// Who may use the public API, and how much.
    #[command(flatten)]
    pub access: access::Settings,

    /// For how many days messages are kept after the day they were accepted in, such as `90d`; at least `2d`.
    #[arg(long, env = "MESSAGE_RETENTION", default_value = "90d")]
    pub message_retention: Retention,

    /// For how long idempotency keys and their answers are kept, such as `24h`.
    #[arg(long, env = "IDEMPOTENCY_RETENTION", default_value = "24h", value_parser = duration)]
    pub idempotency_retention: Duration,

    /// How closely phone numbers are looked at.
    #[arg(long, env = "NUMBER_VALIDATION", value_enum, default_value_t = NumberValidation::Pattern)]
    pub number_validation: NumberValidation,

    /// How long after a failure that may pass the next attempt is made, such as `30s`.
    #[arg(long, env = "RETRY_FAILED_EVERY", default_value = "30s", value_parser = duration)]
    pub retry_failed_every: Duration,

    /// How many attempts are made in all; with 1 none is made again by itself.
    #[arg(long, env = "RETRY_FAILED_MAX_ATTEMPTS", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub retry_failed_max_attempts: i32,

    /// After what time a message that is still pending is published again, such as `6h`: longer than a backlog of the
    /// processors can be.
    #[arg(long, env = "REPUBLISH_AFTER", default_value = "6h", value_parser = duration)]
    pub republish_after: Duration,

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

/// Settings of `sms-api republish`.
#[derive(Clone, Debug, Args)]
pub struct RepublishConfig {
    /// Where PostgreSQL is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Only messages that were accepted at least so long ago, such as `10m`.
    #[arg(long, env = "OLDER_THAN", default_value = "0s", value_parser = duration)]
    pub older_than: Duration,

    /// After what time they are published once more, when they are still pending then.
    #[arg(long, env = "REPUBLISH_AFTER", default_value = "6h", value_parser = duration)]
    pub republish_after: Duration,

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
    /// The bearer tokens of the internal API.
    pub fn internal_tokens(&self) -> anyhow::Result<Vec<Secret>> {
        self.internal_token_file.iter().map(internal_token).collect()
    }

    /// Where dead letters are read.
    pub fn dead_letters(&self) -> dead_letters::Source {
        let topic = self.dead_letter_topic.clone();
        let group = self.dead_letter_group.clone().unwrap_or_else(|| format!("{topic}-sms-api"));
        dead_letters::Source { topic, group }
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

/// A whole number with a unit, as the resource writes it.
fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is not a whole number with a unit ms, s, m, h or d, such as 30s");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?);
    let number: u64 = number.parse().map_err(|_| refused())?;
    let seconds = |unit: u64| number.checked_mul(unit).map(Duration::from_secs).ok_or_else(refused);
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => Err(refused()),
    }
}

fn internal_token(file: &PathBuf) -> anyhow::Result<Secret> {
    let token = read_secret("INTERNAL_TOKEN_FILE", file)?;
    ensure!(
        token.expose().bytes().all(|byte| byte.is_ascii_graphic()),
        "INTERNAL_TOKEN_FILE: {} holds a token with spaces or characters that an HTTP header cannot carry",
        file.display()
    );
    Ok(token)
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
    fn a_duration_is_a_whole_number_with_a_unit() {
        for (text, expected) in
            [("250ms", 250), ("0s", 0), ("30s", 30_000), ("5m", 300_000), ("24h", 86_400_000), ("2d", 172_800_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for bad in ["", "5", "s", "-5s", "1.5s", "5 s", "5w", "99999999999999999999s", "9999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
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
        let source = config.dead_letters();
        assert_eq!((&*source.topic, &*source.group), ("sms-requests-dlq", "sms-requests-dlq-sms-api"));
        assert!(!config.reuse_port);
    }
}
