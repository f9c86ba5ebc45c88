//! Everything that can differ between two deployments of this service. Read once, in `main`.

use std::{ffi::OsStr, path::PathBuf, time::Duration};

use clap::{Arg, Command, builder::TypedValueParser, error::ErrorKind};
use reqwest::Url;

use crate::{
    consumer,
    decide::{OnUnknownOutcome, Policy},
    duration, provider,
};

/// Takes messages from Kafka to the provider and reports what became of them to sms-api.
#[derive(Clone, Debug, clap::Parser)]
#[command(version)]
pub struct Config {
    /// Logs, traces, metrics.
    #[command(flatten)]
    pub telemetry: telemetry::Settings,

    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: kafka::Settings,

    /// Topic from which messages of normal priority are taken.
    #[arg(long, env = "REQUESTS_TOPIC", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub requests_topic: String,

    /// Topic from which messages of high priority are taken.
    #[arg(long, env = "HIGH_PRIORITY_TOPIC", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub high_priority_topic: String,

    /// Topic from which messages of low priority are taken.
    #[arg(long, env = "LOW_PRIORITY_TOPIC", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub low_priority_topic: String,

    /// Topic to which records go that cannot be processed.
    #[arg(long, env = "DEAD_LETTER_TOPIC", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub dead_letter_topic: String,

    /// Consumer group that all processors of one pipeline share.
    #[arg(long, env = "CONSUMER_GROUP", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub consumer_group: String,

    /// How the group shares partitions.
    #[arg(long, env = "GROUP_PROTOCOL", value_enum, default_value_t = consumer::GroupProtocol::Consumer)]
    pub group_protocol: consumer::GroupProtocol,

    /// Base URL of sms-api's internal port, such as `http://sms-api-internal:8081`.
    #[arg(long, env = "REPORT_URL", value_parser = http_url)]
    pub report_url: Url,

    /// File with the token for sms-api's internal port; read again when sms-api refuses it.
    #[arg(long, env = "INTERNAL_TOKEN_FILE")]
    pub internal_token_file: PathBuf,

    /// How many messages are in work at once.
    #[arg(long, env = "MAX_IN_FLIGHT", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_in_flight: u32,

    /// Whether messages wait for earlier ones.
    #[arg(long, env = "ORDERING", value_enum, default_value_t = consumer::Ordering::Recipient)]
    pub ordering: consumer::Ordering,

    /// How often a message is tried again after a transient failure before it counts as failed.
    #[arg(long, env = "MAX_RETRIES", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub max_retries: u32,

    /// How long after a transient failure the next attempt starts.
    #[arg(long, env = "RETRY_DELAY", default_value = "1s", value_parser = duration::parse)]
    pub retry_delay: Duration,

    /// What follows when a message may have reached the provider and nobody knows, after a crash for example.
    #[arg(long, env = "ON_UNKNOWN_OUTCOME", value_enum, default_value_t = OnUnknownOutcome::Resend)]
    pub on_unknown_outcome: OnUnknownOutcome,

    /// Where messages go: one JSON document, as `spec.processor.provider` of the `SmsPipeline`.
    #[arg(long, env = "PROVIDER", value_parser = ProviderParser)]
    pub provider: provider::Settings,

    /// How long messages in work may take to finish once the process is asked to end.
    #[arg(long, env = "SHUTDOWN_TIMEOUT", default_value = "25s", value_parser = duration::parse)]
    pub shutdown_timeout: Duration,
}

impl Config {
    /// What the consumer needs. Refuses topics that serve two purposes: a dead letter that comes back as a request
    /// would become a dead letter for ever.
    pub fn consumer(&self) -> anyhow::Result<consumer::Settings> {
        let topics = [
            ("REQUESTS_TOPIC", &self.requests_topic),
            ("HIGH_PRIORITY_TOPIC", &self.high_priority_topic),
            ("LOW_PRIORITY_TOPIC", &self.low_priority_topic),
            ("DEAD_LETTER_TOPIC", &self.dead_letter_topic),
        ];
        for (number, (name, topic)) in topics.iter().enumerate() {
            if let Some((other, _)) = topics[..number].iter().find(|(_, other)| other == topic) {
                anyhow::bail!("{other} and {name} are both {topic:?}: each must name a topic of its own");
            }
        }
        Ok(consumer::Settings {
            lanes: consumer::Lanes {
                high: self.high_priority_topic.as_str().into(),
                normal: self.requests_topic.as_str().into(),
                low: self.low_priority_topic.as_str().into(),
            },
            group: self.consumer_group.clone(),
            protocol: self.group_protocol,
            // Every message in work may be one call to the provider.
            max_in_flight: self.max_in_flight.min(self.provider.max_connections.unwrap_or(u32::MAX)) as usize,
            ordering: self.ordering,
            drain: self.shutdown_timeout,
        })
    }

    /// What the delivery policy needs.
    pub fn policy(&self) -> anyhow::Result<Policy> {
        if self.on_unknown_outcome == OnUnknownOutcome::Query && !self.provider.can_be_asked() {
            anyhow::bail!(
                "ON_UNKNOWN_OUTCOME query needs http.query in PROVIDER, which says how the provider is asked"
            );
        }
        let Self { max_retries, retry_delay: delay, on_unknown_outcome, .. } = *self;
        Ok(Policy { max_retries, delay, on_unknown_outcome })
    }
}

/// Parses the provider's document without quoting it in an error, as clap does: templates may hold a password that somebody
/// did not put into a Secret.
#[derive(Clone)]
struct ProviderParser;

impl TypedValueParser for ProviderParser {
    type Value = provider::Settings;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<provider::Settings, clap::Error> {
        let text = value.to_str().ok_or_else(|| "it is no UTF-8".to_owned());
        text.and_then(provider::Settings::parse).map_err(|error| {
            let message = format!("invalid value for '--provider <PROVIDER>' [env: PROVIDER]: {error}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }
}

fn http_url(text: &str) -> Result<Url, String> {
    let example = "write it like http://sms-api-internal:8081";
    let url = Url::parse(text).map_err(|error| format!("{error}: {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("not an http or https URL: {example}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("a base URL has no query and no fragment: {example}"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const LEAST: [&str; 19] = [
        "sms-processor",
        "--kafka-bootstrap-servers",
        "127.0.0.1:9092",
        "--requests-topic",
        "sms.requests",
        "--high-priority-topic",
        "sms.high-priority",
        "--low-priority-topic",
        "sms.low-priority",
        "--dead-letter-topic",
        "sms-requests-dlq",
        "--consumer-group",
        "sms-processor",
        "--report-url",
        "http://127.0.0.1:8081",
        "--internal-token-file",
        "/run/token",
        "--provider",
        r#"{"simulated":{}}"#,
    ];

    fn parse(more: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from(LEAST.iter().chain(more))
    }

    #[track_caller]
    fn check(more: &[&str], expected: &str) {
        let error = parse(more).expect_err("bad input is refused").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_decision_record_s_figures_are_the_defaults() {
        let config = parse(&[]).expect("least config parses");
        let on_unknown_outcome = OnUnknownOutcome::Resend;
        let policy = config.policy().expect("it needs no query");
        assert_eq!(policy, Policy { max_retries: 3, delay: Duration::from_secs(1), on_unknown_outcome });
        assert_eq!(config.group_protocol, consumer::GroupProtocol::Consumer);
        assert_eq!(config.max_in_flight, 4000);
        assert_eq!(config.shutdown_timeout, Duration::from_secs(25));
    }

    #[test]
    fn a_provider_that_cannot_be_asked_is_refused_where_it_has_to_be() {
        let config = parse(&["--on-unknown-outcome", "query"]).expect("each for itself is fine");
        let error = config.policy().expect_err("the simulated provider cannot be asked").to_string();
        assert!(error.contains("ON_UNKNOWN_OUTCOME") && error.contains("http.query"), "{error}");
    }

    #[test]
    fn bad_input_is_refused_by_the_name_of_its_setting() {
        check(&["--retry-delay", "5"], "--retry-delay");
        check(&["--retry-delay", "5"], "such as 500ms");
        check(&["--max-in-flight", "0"], "--max-in-flight");
        check(&["--group-protocol", "eager"], "[possible values: consumer, classic]");
        check(&["--shutdown-timeout=-1s"], "--shutdown-timeout");
    }

    #[test]
    fn a_provider_that_is_not_understood_is_not_quoted() {
        let wrong = r#"{"http":{"url":"https://sms.example","headers":{"Authorization":"hunter2"},"timeut":"1s"}}"#;
        let error =
            Config::try_parse_from(LEAST[..17].iter().chain(&["--provider", wrong])).expect_err("a misspelling");
        let error = error.to_string();
        assert!(error.contains("PROVIDER") && error.contains("unknown field `timeut`"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_topic_with_two_purposes_is_refused_by_the_names_of_both_settings() {
        let mut config = parse(&[]).expect("least config parses");
        assert!(config.consumer().is_ok());
        config.low_priority_topic.clone_from(&config.requests_topic);
        let error = config.consumer().expect_err("two lanes on one topic").to_string();
        assert!(error.starts_with("REQUESTS_TOPIC and LOW_PRIORITY_TOPIC are both \"sms.requests\""), "{error}");
        config.low_priority_topic = "sms.low-priority".to_owned();
        config.dead_letter_topic.clone_from(&config.high_priority_topic);
        let error = config.consumer().expect_err("dead letters among requests").to_string();
        assert!(error.starts_with("HIGH_PRIORITY_TOPIC and DEAD_LETTER_TOPIC are both"), "{error}");
    }

    #[test]
    fn a_report_url_that_leads_nowhere_is_refused() {
        for url in ["sms-api:8081", "", "ftp://sms-api", "http://sms-api?x=1"] {
            let error = http_url(url).expect_err(url);
            assert!(error.contains("http://sms-api-internal:8081"), "{error}");
        }
    }
}
