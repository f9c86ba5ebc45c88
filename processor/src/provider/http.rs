//! A provider that is spoken to by one HTTP call for each message, described by templates and rules.
//!
//! Parts: [`settings`] is what the resource says, [`composer`] makes the call of it, [`responses`] tells what an answer
//! means, [`masking`] what of it others may read. Nothing here knows any provider by name; docs/providers.md shows two.

mod masking;
mod responses;
mod retry_after;
mod secrets;
pub mod settings;

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use composer::{Composer, Description};
use contract::SmsRequestedV1;
use jiff::Timestamp;
use reqwest::{Client, Response, StatusCode, header::AUTHORIZATION, redirect};
use telemetry::Check;

pub use self::settings::HttpSettings;
use self::{
    masking::{mask, spellings},
    responses::{Answer, Otherwise, Rule, answered, judge},
    retry_after::retry_after,
    secrets::Secrets,
};
use super::Send;
use crate::{
    decide::{Found, Outcome},
    outage::Outage,
};

/// How long connecting may take; never longer than half of an attempt, so that it ends while it is still known that
/// nothing was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept without use. Servers close theirs after a minute or so; one that is closed just as a
/// message goes out leaves an unknown outcome.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of an answer is read, in bytes.
const LONGEST_BODY: usize = 64 * 1024;

/// The provider behind one URL. At most as many connections are open as messages are in work.
#[derive(Debug)]
pub struct Http {
    client: Client,
    sending: Exchange,
    query: Option<Exchange>,
    secrets: Secrets,
    outage: Outage,
}

/// A request and what its answers mean.
#[derive(Debug)]
struct Exchange {
    composer: Composer,
    rules: Vec<Rule>,
    otherwise: Otherwise,
}

/// How one call ended.
struct Called {
    outcome: Outcome,
    /// What operators should know: why calls fail that should not.
    trouble: Option<String>,
    /// Whether the provider may have answered to a secret that has been changed since.
    doubts_secrets: bool,
}

impl Http {
    /// Reads the secrets and tries every template. `check` shows when calls keep failing.
    pub fn new(settings: &HttpSettings, timeout: Duration, check: Check) -> anyhow::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout / 2))
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(redirect::Policy::none())
            // Messages of one HTTP/2 connection wait for each other where the provider allows few at once, and one that
            // waited in vain could not be told from one that was sent.
            .http1_only()
            .user_agent(concat!("sms-processor/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up the HTTP client for the provider")?;
        let secrets = Secrets::read(&settings.secrets).map_err(|error| anyhow!(error))?;
        let exchange = |description: &Description<'_>, rules: &[Rule], otherwise| {
            let composer = Composer::new(description, &client, &secrets.current()).map_err(|error| anyhow!(error))?;
            anyhow::Ok(Exchange { composer, rules: rules.to_vec(), otherwise })
        };
        let sending = exchange(&settings.sending(), &settings.responses, Otherwise::Status)?;
        let query = settings.query.as_ref();
        let query = query.map(|query| exchange(&query.asking(), &query.responses, Otherwise::Unknown)).transpose()?;
        Ok(Self { client, sending, query, secrets, outage: Outage::tolerable(check) })
    }

    /// Asks what became of a message by our own id of it.
    pub async fn query(&self, message: &SmsRequestedV1) -> Found {
        let Some(query) = &self.query else {
            return Found::CannotTell { reason: "http.query does not say how to ask the provider".to_owned() };
        };
        match self.exchange(query, message).await {
            Outcome::Delivered { provider_message_id } => Found::Sent { provider_message_id },
            Outcome::Refused { .. } => Found::NotSent,
            Outcome::Unavailable { reason } | Outcome::Unknown { reason } => Found::CannotTell { reason },
            Outcome::Throttled { .. } => Found::CannotTell { reason: "the provider asks to slow down".to_owned() },
        }
    }

    /// One call, or two where a secret has changed.
    async fn exchange(&self, exchange: &Exchange, message: &SmsRequestedV1) -> Outcome {
        let mut call = Pending { outage: &self.outage, trouble: Some("no answer came in time".to_owned()) };
        let secrets = self.secrets.current();
        let mut called = self.call(exchange, message, &secrets).await;
        if called.doubts_secrets
            && let Some(fresh) = self.secrets.others_than(&secrets, Instant::now())
        {
            called = self.call(exchange, message, &fresh).await;
        }
        call.trouble = called.trouble;
        called.outcome
    }

    async fn call(&self, exchange: &Exchange, message: &SmsRequestedV1, secrets: &composer::Secrets) -> Called {
        let request = match exchange.composer.compose(&self.client, message, secrets) {
            Ok(request) => request,
            Err(error) => return Called::not_sent(format!("no request can be made of the message: {error}")),
        };
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        let response = match self.client.execute(request).await {
            Ok(response) => response,
            Err(error) => {
                let sent = !(error.is_connect() || error.is_builder());
                let cause = innermost(&error.without_url());
                return if sent {
                    Called::lost(&cause)
                } else {
                    Called::not_sent(format!("the provider cannot be reached: {cause}"))
                };
            }
        };
        let answer = read(response).await;
        let mask = |words: &str| {
            let authorization = authorization.as_ref().and_then(|value| value.to_str().ok());
            mask(words, message, &spellings(secrets.values().map(String::as_str), authorization))
        };
        Called::answered(answer.status, judge(&exchange.rules, exchange.otherwise, &answer, mask))
    }
}

impl Send for Http {
    async fn send(&self, message: &SmsRequestedV1) -> Outcome {
        self.exchange(&self.sending, message).await
    }
}

impl Called {
    fn answered(status: StatusCode, outcome: Outcome) -> Self {
        let refuses_us = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let (trouble, doubts_secrets) = match &outcome {
            Outcome::Delivered { .. } | Outcome::Throttled { .. } => (None, false),
            // Nothing is sent again that the provider may have taken.
            Outcome::Unknown { .. } => (Some(answered(status)), false),
            Outcome::Refused { .. } => (None, refuses_us),
            // Providers that always answer 200 tell of a wrong secret by a rule of this outcome.
            Outcome::Unavailable { .. } if status.is_success() => {
                (Some(format!("{}, which http.responses calls Unavailable", answered(status))), true)
            }
            Outcome::Unavailable { .. } => (Some(answered(status)), true),
        };
        Self { outcome, trouble, doubts_secrets }
    }

    fn not_sent(reason: String) -> Self {
        Self { outcome: Outcome::Unavailable { reason: reason.clone() }, trouble: Some(reason), doubts_secrets: false }
    }

    fn lost(cause: &str) -> Self {
        let reason = format!("the provider did not answer: {cause}");
        Self { outcome: Outcome::Unknown { reason: reason.clone() }, trouble: Some(reason), doubts_secrets: false }
    }
}

/// A call whose end is told to the check even when nobody waits for it any longer: then no answer came in time.
struct Pending<'a> {
    outage: &'a Outage,
    trouble: Option<String>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        match self.trouble.take() {
            None => self.outage.succeeded(),
            Some(trouble) => self.outage.failed(Instant::now(), || trouble),
        }
    }
}

async fn read(mut response: Response) -> Answer {
    let (status, retry_after) = (response.status(), retry_after(response.headers(), Timestamp::now()));
    let mut body = Vec::new();
    let readable = loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => body.extend_from_slice(&chunk),
            Ok(None) => break true,
            Ok(Some(_)) | Err(_) => break false,
        }
    };
    Answer { status, retry_after, body: readable.then(|| serde_json::from_slice(&body).ok()).flatten() }
}

/// The cause that says most: "Connection refused" rather than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() { "it took too long".to_owned() } else { telemetry::innermost_cause(error) }
}
