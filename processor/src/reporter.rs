//! Tells sms-api what became of a message, until it listens.
//!
//! Knows nothing of Kafka or providers. A report that sms-api will never take ends as [`Answer::Refused`];
//! everything else is tried again for ever, by whoever awaits: dropping the future is how to give up.

mod token;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use contract::{
    DeliveryReport,
    problem::{MESSAGE_NOT_FOUND, PROBLEM_TYPES},
};
use reqwest::{Client, StatusCode, Url, header::AUTHORIZATION, redirect};
use telemetry::Check;
use tokio::sync::Semaphore;

use self::token::Token;
use crate::{
    backoff,
    metrics::{Metrics, Reported},
    outage::Outage,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many reports are under way at once, and so how many connections sms-api sees from one processor.
const CONCURRENCY: usize = 64;

/// How much of sms-api's words a dead letter keeps, in characters.
const LONGEST_DETAIL: usize = 500;

/// Sends delivery reports. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Reporter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    url: Url,
    token: Token,
    outage: Outage,
    metrics: Metrics,
    slots: Semaphore,
}

/// sms-api's last word on a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The message's status is stored.
    Accepted,
    /// It will never take this report.
    Refused {
        /// Why.
        reason: String,
    },
}

/// The part of an RFC 9457 problem document that we read.
#[derive(Debug, serde::Deserialize)]
struct Problem {
    r#type: Option<String>,
    detail: Option<String>,
}

/// Why a report has to be sent again.
#[derive(Debug)]
enum Failure {
    Unauthorized,
    Throttled,
    Status(StatusCode),
    Unreachable(reqwest::Error),
}

impl Reporter {
    /// Reads the token; no connection is opened yet.
    pub fn new(base: &Url, token_file: &Path, check: Check, metrics: Metrics) -> anyhow::Result<Self> {
        let token = Token::read(token_file)?;
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(CONCURRENCY)
            // A redirect would carry reports to where nobody configured them to go.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("sms-processor/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up the HTTP client for delivery reports")?;
        let url = endpoint(base)?;
        let slots = Semaphore::new(CONCURRENCY);
        Ok(Self { shared: Arc::new(Shared { client, url, token, outage: Outage::new(check), metrics, slots }) })
    }

    /// Returns only when sms-api has given its last word.
    pub async fn report(&self, report: &DeliveryReport, traceparent: Option<&str>) -> Answer {
        let mut delays = backoff::delays();
        loop {
            match self.shared.send(report, traceparent).await {
                Ok(answer) => {
                    self.shared.outage.succeeded();
                    return answer;
                }
                Err(failure) => self.shared.failed(&failure),
            }
            tokio::time::sleep(delays.next().unwrap_or(TIMEOUT)).await;
        }
    }
}

impl Shared {
    async fn send(&self, report: &DeliveryReport, traceparent: Option<&str>) -> Result<Answer, Failure> {
        let _slot = self.slots.acquire().await;
        let mut request =
            self.client.post(self.url.clone()).header(AUTHORIZATION, self.token.authorization()).json(report);
        if let Some(traceparent) = traceparent {
            request = request.header(contract::headers::TRACEPARENT, traceparent);
        }
        let (status, body) = answer(request).await.map_err(|error| {
            self.metrics.reported(Reported::Unreachable);
            Failure::Unreachable(error)
        })?;
        let (reported, answer) = judge(status, &body);
        self.metrics.reported(reported);
        answer
    }

    fn failed(&self, failure: &Failure) {
        let now = Instant::now();
        self.outage.failed(now, || format!("delivery reports to {} fail: {}", self.url, failure.reason()));
        if let Failure::Unauthorized = failure
            && let Err(error) = self.token.reload()
        {
            self.outage.failed(now, || format!("{error:#}"));
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let response = request.send().await?;
    let status = response.status();
    // Read to its end, so that the connection can be used again.
    Ok((status, response.bytes().await?.into()))
}

/// What an answer means. A 4xx in which sms-api itself speaks of the message is final; one that speaks of how
/// we are set up (a wrong URL), or that somebody else on the way gave (a proxy), passes once that is set right.
fn judge(status: StatusCode, body: &[u8]) -> (Reported, Result<Answer, Failure>) {
    let problem = serde_json::from_slice::<Problem>(body).ok();
    let kind = problem.as_ref().and_then(|problem| problem.r#type.as_deref()).unwrap_or_default();
    match status {
        status if status.is_success() => (Reported::Accepted, Ok(Answer::Accepted)),
        StatusCode::NOT_FOUND if kind == MESSAGE_NOT_FOUND => {
            (Reported::UnknownMessage, Ok(refused("knows no such message", status, problem)))
        }
        StatusCode::BAD_REQUEST if kind.starts_with(PROBLEM_TYPES) => {
            (Reported::Invalid, Ok(refused("finds the report invalid", status, problem)))
        }
        StatusCode::UNAUTHORIZED => (Reported::Unauthorized, Err(Failure::Unauthorized)),
        StatusCode::TOO_MANY_REQUESTS => (Reported::Throttled, Err(Failure::Throttled)),
        status => (Reported::Unavailable, Err(Failure::Status(status))),
    }
}

fn refused(what: &str, status: StatusCode, problem: Option<Problem>) -> Answer {
    let detail = problem.and_then(|problem| problem.detail);
    let detail: String = detail.iter().flat_map(|detail| detail.chars()).take(LONGEST_DETAIL).collect();
    let separator = if detail.is_empty() { "" } else { ": " };
    Answer::Refused { reason: format!("sms-api {what} ({}){separator}{detail}", status.as_u16()) }
}

impl Failure {
    fn reason(&self) -> String {
        match self {
            Self::Unauthorized => {
                "sms-api refuses the token (401): INTERNAL_TOKEN_FILE must hold the token that sms-api has".to_owned()
            }
            Self::Throttled => "sms-api asks to slow down (429)".to_owned(),
            Self::Status(status) => format!("the answer was {status}"),
            Self::Unreachable(error) => innermost(error),
        }
    }
}

/// The cause that says most: "Connection refused" rather than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

fn endpoint(base: &Url) -> anyhow::Result<Url> {
    let mut base = base.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join("v1/internal/delivery-report").with_context(|| format!("invalid REPORT_URL {base}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: Option<&str>) {
        let status = StatusCode::from_u16(status).expect("a status code");
        let reason = match judge(status, body.as_bytes()).1 {
            Ok(Answer::Refused { reason }) => Some(reason),
            Ok(Answer::Accepted) | Err(_) => None,
        };
        assert_eq!(reason.as_deref(), expected);
    }

    #[test]
    fn what_sms_api_never_takes_is_refused_with_its_words() {
        let unknown = format!(r#"{{"type":"{MESSAGE_NOT_FOUND}"}}"#);
        check(404, &unknown, Some("sms-api knows no such message (404)"));
        let invalid = format!(r#"{{"type":"{PROBLEM_TYPES}invalid-fields","detail":"status is missing"}}"#);
        check(400, &invalid, Some("sms-api finds the report invalid (400): status is missing"));
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        for status in [301, 400, 401, 403, 405, 408, 413, 415, 429, 500, 502, 503, 504] {
            let status = StatusCode::from_u16(status).expect("a status code");
            assert!(judge(status, b"").1.is_err(), "{status}");
        }
    }

    #[test]
    fn a_refusal_that_sms_api_did_not_give_costs_no_message() {
        check(404, "<html>", None);
        check(404, r#"{"type":"https://smspipeline.dev/problems/not-found"}"#, None);
        for body in ["<html>", "{}", r#"{"type":null}"#, r#"{"type":"about:blank","detail":"bad"}"#] {
            check(400, body, None);
        }
    }

    #[test]
    fn every_success_is_acceptance() {
        for status in [200, 202, 204] {
            let status = StatusCode::from_u16(status).expect("a status code");
            assert_eq!(judge(status, b"").1.ok(), Some(Answer::Accepted), "{status}");
        }
    }

    #[test]
    fn the_endpoint_follows_the_base_url_with_and_without_a_path() {
        for (base, expected) in [
            ("http://api:8081", "http://api:8081/v1/internal/delivery-report"),
            ("http://api:8081/", "http://api:8081/v1/internal/delivery-report"),
            ("http://api/sms", "http://api/sms/v1/internal/delivery-report"),
        ] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(endpoint(&base).expect("an endpoint").as_str(), expected);
        }
    }
}
