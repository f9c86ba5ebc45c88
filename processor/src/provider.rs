//! Whoever takes messages towards phones, behind one small trait.
//!
//! A provider judges one attempt and knows nothing of retries, Kafka or sms-api. To add a kind: one file
//! under `provider/`, its settings as a variant of [`settings::Kind`], and one variant of [`InUse`].

pub mod http;
pub mod settings;
pub mod simulated;

use std::time::Duration;

use anyhow::Context;
use contract::SmsRequestedV1;
use telemetry::Check;
use tokio::time::timeout;

pub use self::settings::Settings;
use self::{http::Http, settings::Kind, simulated::Simulated};
use crate::decide::{Found, Outcome};

/// Makes one attempt to send a message.
pub trait Send {
    /// Hands the message over and waits for the answer. Every failure is an outcome. Whether the message was handed over
    /// is not known when this is dropped before its end.
    fn send(&self, message: &SmsRequestedV1) -> impl Future<Output = Outcome> + std::marker::Send;
}

/// The provider in use, and how long it is waited for.
#[derive(Debug)]
pub struct Provider {
    in_use: InUse,
    timeout: Duration,
}

#[derive(Debug)]
enum InUse {
    Simulated(Simulated),
    Http(Box<Http>),
}

impl Provider {
    /// Makes the provider ready for use. `check` shows when it cannot be used; an error names the setting.
    pub fn new(settings: &Settings, check: Check) -> anyhow::Result<Self> {
        let in_use = match &settings.kind {
            Kind::Simulated(simulated) => {
                check.up();
                InUse::Simulated(Simulated::new(simulated, settings.timeout))
            }
            Kind::Http(http) => {
                let http = Http::new(http, settings.timeout, check).context("the setting PROVIDER cannot be used")?;
                InUse::Http(Box::new(http))
            }
        };
        Ok(Self { in_use, timeout: settings.timeout })
    }

    /// How long an attempt may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Asks what became of a message, by our own id of it.
    pub async fn query(&self, message: &SmsRequestedV1) -> Found {
        let InUse::Http(http) = &self.in_use else {
            return Found::CannotTell { reason: "this provider cannot be asked".to_owned() };
        };
        let found = timeout(self.timeout, http.query(message)).await;
        found.unwrap_or_else(|_| Found::CannotTell { reason: no_answer(self.timeout) })
    }
}

impl Send for Provider {
    async fn send(&self, message: &SmsRequestedV1) -> Outcome {
        match &self.in_use {
            InUse::Simulated(simulated) => simulated.send(message).await,
            // In a box, because it is large, and otherwise every message in work would be as large.
            InUse::Http(http) => {
                let sent = Box::pin(timeout(self.timeout, http.send(message))).await;
                sent.unwrap_or_else(|_| Outcome::Unknown { reason: no_answer(self.timeout) })
            }
        }
    }
}

fn no_answer(within: Duration) -> String {
    format!("the provider did not answer within {within:?}")
}

#[cfg(test)]
mod tests {
    use contract::SmsRequestedV1;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn an_answer_that_does_not_come_in_time_leaves_the_outcome_unknown() {
        let json = r#"{"simulated":{"minDelay":"1h","maxDelay":"1h"},"timeout":"20ms"}"#;
        let check = telemetry::Health::default().check("provider");
        let provider = Provider::new(&Settings::parse(json).expect("usable settings"), check).expect("usable");
        let message = SmsRequestedV1 {
            message_id: Uuid::nil(),
            sender: "+15550100".to_owned(),
            recipient: "+15550101".to_owned(),
            text: "hello".to_owned(),
            attempt: 1,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        };
        let expected = Outcome::Unknown { reason: "the provider did not answer within 20ms".to_owned() };
        assert_eq!(provider.send(&message).await, expected);
    }
}
