//! Which provider to use and how, in the words of the resource's `spec.processor.provider`. Pure.

use std::time::Duration;

use serde::Deserialize;

use super::{http::HttpSettings, simulated::SimulatedSettings};
use crate::duration;

/// How long an attempt may take where nothing else is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Settings that make sense together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which provider.
    pub kind: Kind,
    /// How long an attempt may take; after that nobody knows whether the provider has the message.
    pub timeout: Duration,
    /// How many calls one processor makes at once, if that is bounded below the messages in work.
    pub max_connections: Option<u32>,
    /// How many messages all processors together hand over in a second, if that is bounded.
    pub messages_per_second: Option<u32>,
}

/// A kind of provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes time and fails now and then, but sends nothing.
    Simulated(SimulatedSettings),
    /// Is spoken to by one HTTP call for each message.
    Http(Box<HttpSettings>),
}

/// The JSON document.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    simulated: Option<SimulatedSettings>,
    http: Option<Box<HttpSettings>>,
    #[serde(default = "default_timeout", deserialize_with = "duration::deserialize")]
    timeout: Duration,
    max_connections: Option<i64>,
    messages_per_second: Option<i64>,
}

const fn default_timeout() -> Duration {
    DEFAULT_TIMEOUT
}

impl Settings {
    /// Whether the provider can tell what became of a message.
    pub fn can_be_asked(&self) -> bool {
        matches!(&self.kind, Kind::Http(http) if http.query.is_some())
    }

    /// Reads the settings from a JSON document; an error names the field.
    pub fn parse(json: &str) -> Result<Self, String> {
        let document: Document = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json))
            .map_err(|error| match error.path().to_string().as_str() {
                "." => error.inner().to_string(),
                path => format!("{path}: {}", error.inner()),
            })?;
        let kind = match (document.simulated, document.http) {
            (Some(simulated), None) => Kind::Simulated(simulated),
            (None, Some(http)) => Kind::Http(http),
            (None, None) => return Err("names no provider: it needs a field simulated or http".to_owned()),
            (Some(_), Some(_)) => return Err("names two providers: simulated and http exclude each other".to_owned()),
        };
        match &kind {
            Kind::Simulated(simulated) => simulated.validate()?,
            Kind::Http(http) => http.validate()?,
        }
        if document.timeout.is_zero() {
            return Err("timeout must be longer than 0s".to_owned());
        }
        Ok(Self {
            kind,
            timeout: document.timeout,
            max_connections: count("maxConnections", document.max_connections)?,
            messages_per_second: count("messagesPerSecond", document.messages_per_second)?,
        })
    }
}

fn count(field: &str, value: Option<i64>) -> Result<Option<u32>, String> {
    let Some(value) = value else { return Ok(None) };
    let in_range = u32::try_from(value).ok().filter(|value| (1..=1_000_000).contains(value));
    in_range.map(Some).ok_or_else(|| format!("{field}: {value} must be from 1 to 1000000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let error = Settings::parse(json).expect_err(json);
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn the_resource_s_words_are_understood() {
        let json = r#"{
            "simulated": {
                "minDelay": "100ms", "maxDelay": "2s", "failurePercent": 5, "transientPercent": 7, "throttlePercent": 3,
                "seed": 42
            },
            "timeout": "10s", "maxConnections": 50, "messagesPerSecond": 20
        }"#;
        let expected = Settings {
            kind: Kind::Simulated(SimulatedSettings {
                min_delay: Duration::from_millis(100),
                max_delay: Duration::from_secs(2),
                failure_percent: 5,
                transient_percent: 7,
                throttle_percent: 3,
                seed: Some(42),
            }),
            timeout: Duration::from_secs(10),
            max_connections: Some(50),
            messages_per_second: Some(20),
        };
        assert_eq!(Settings::parse(json), Ok(expected));
    }

    #[test]
    fn nothing_is_bounded_but_the_time_unless_it_is_said() {
        let settings = Settings::parse(r#"{"simulated":{}}"#).expect("usable settings");
        assert_eq!(settings.timeout, Duration::from_secs(30));
        assert_eq!((settings.max_connections, settings.messages_per_second), (None, None));
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_field() {
        check(r#"{"simulated":{"minDelay":"soon"}}"#, "simulated.minDelay: \"soon\" is not a duration");
        check(r#"{"simulated":{"failurePercent":101}}"#, "simulated.failurePercent: 101 is not a percentage");
        check(r#"{"simulated":{"transientPercent":-1}}"#, "simulated.transientPercent: -1 is not a percentage");
        check(r#"{"simulated":{"typo":1}}"#, "simulated.typo: unknown field `typo`");
        check(r#"{"simulated":{},"timeout":"0s"}"#, "timeout must be longer than 0s");
        check(r#"{"simulated":{},"timeout":"soon"}"#, "timeout: \"soon\" is not a duration");
        check(r#"{"simulated":{},"maxConnections":0}"#, "maxConnections: 0 must be from 1 to 1000000");
        check(r#"{"simulated":{},"messagesPerSecond":-5}"#, "messagesPerSecond: -5 must be from 1 to 1000000");
        check(r#"{"pigeon":{}}"#, "pigeon: unknown field `pigeon`, expected");
        check("{}", "names no provider");
        check(r#"{"simulated":{},"http":{"url":"https://sms.example/"}}"#, "names two providers");
    }

    #[test]
    fn values_that_contradict_each_other_are_refused_by_their_names() {
        check(
            r#"{"simulated":{"minDelay":"4s","maxDelay":"3s"}}"#,
            "simulated.minDelay must not be longer than simulated.maxDelay",
        );
        check(
            r#"{"simulated":{"failurePercent":60,"transientPercent":40,"throttlePercent":1}}"#,
            "simulated.failurePercent, simulated.transientPercent and simulated.throttlePercent must not exceed 100 together",
        );
    }
}
