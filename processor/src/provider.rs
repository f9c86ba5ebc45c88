//! Whoever takes messages towards phones, behind one small trait.
//!
//! A provider judges one attempt and knows nothing of retries, Kafka or sms-api. To add a kind: one file
//! under `provider/`, one variant of [`Settings`] and one of [`Provider`].

pub mod simulated;

use contract::SmsRequestedV1;
use serde::Deserialize;

use self::simulated::{Simulated, SimulatedSettings};
use crate::decide::Outcome;

/// Makes one attempt to send a message.
pub trait Send {
    /// Hands the message over and waits for the answer. Every failure is an outcome.
    fn send(&self, message: &SmsRequestedV1) -> impl Future<Output = Outcome> + std::marker::Send;
}

/// Which provider to use and how, in the words of the resource's `spec.processor.provider`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Settings {
    /// Takes time and fails now and then, but sends nothing.
    Simulated(SimulatedSettings),
}

/// The provider in use.
#[derive(Debug)]
pub enum Provider {
    /// Takes time and fails now and then, but sends nothing.
    Simulated(Simulated),
}

impl Settings {
    /// Reads the settings from a JSON document; an error names the field.
    pub fn parse(json: &str) -> Result<Self, String> {
        let settings: Self = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json)).map_err(
            |error| match error.path().to_string().as_str() {
                "." => error.inner().to_string(),
                path => format!("{path}: {}", error.inner()),
            },
        )?;
        match &settings {
            Self::Simulated(simulated) => simulated.validate()?,
        }
        Ok(settings)
    }
}

impl Provider {
    /// Makes the provider ready for use.
    pub fn new(settings: &Settings) -> Self {
        match settings {
            Settings::Simulated(settings) => Self::Simulated(Simulated::new(settings)),
        }
    }
}

impl Send for Provider {
    async fn send(&self, message: &SmsRequestedV1) -> Outcome {
        match self {
            Self::Simulated(simulated) => simulated.send(message).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &str) {
        let error = Settings::parse(json).expect_err(json);
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn the_resource_s_words_are_understood() {
        let json =
            r#"{"simulated":{"minDelay":"100ms","maxDelay":"2s","failurePercent":5,"transientPercent":7,"seed":42}}"#;
        let expected = Settings::Simulated(SimulatedSettings {
            min_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(2),
            failure_percent: 5,
            transient_percent: 7,
            seed: Some(42),
        });
        assert_eq!(Settings::parse(json), Ok(expected));
    }

    #[test]
    fn a_wrong_value_is_refused_by_the_name_of_its_field() {
        check(r#"{"simulated":{"minDelay":"soon"}}"#, "simulated.minDelay: \"soon\" is not a duration");
        check(r#"{"simulated":{"failurePercent":101}}"#, "simulated.failurePercent: 101 is not a percentage");
        check(r#"{"simulated":{"transientPercent":-1}}"#, "simulated.transientPercent: -1 is not a percentage");
        check(r#"{"simulated":{"typo":1}}"#, "simulated.typo: unknown field `typo`");
        check(r#"{"pigeon":{}}"#, "unknown variant `pigeon`, expected `simulated`");
    }

    #[test]
    fn values_that_contradict_each_other_are_refused_by_their_names() {
        check(
            r#"{"simulated":{"minDelay":"4s","maxDelay":"3s"}}"#,
            "simulated.minDelay must not be longer than simulated.maxDelay",
        );
        check(
            r#"{"simulated":{"failurePercent":60,"transientPercent":41}}"#,
            "simulated.failurePercent and simulated.transientPercent must not exceed 100 together",
        );
    }
}
