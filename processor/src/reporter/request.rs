//! One request with a batch of reports, and what its answer means.

use std::{path::Path, time::Duration};

use anyhow::Context;
use contract::{DeliveryReport, DeliveryReports, ReportOutcome, ReportResults, problem::PROBLEM_TYPES};
use reqwest::{Client, StatusCode, Url, header::AUTHORIZATION, redirect};

use super::{Answer, UNDER_WAY, token::Token};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of sms-api's words a dead letter keeps, in characters.
const LONGEST_DETAIL: usize = 500;

/// Knows where sms-api is, and its token.
#[derive(Debug)]
pub(super) struct Requests {
    client: Client,
    url: Url,
    token: Token,
}

/// What sms-api says of a batch that it has read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its last word on each report, in their order.
    OfEach(Vec<Answer>),
    /// It takes none of them, because something in one of them is invalid.
    Invalid {
        /// Why.
        reason: String,
    },
}

/// Why a batch has to be sent again.
#[derive(Debug)]
pub(super) enum Failure {
    Unauthorized,
    Throttled,
    Status(StatusCode),
    Unreadable,
    Unreachable(reqwest::Error),
}

/// The part of an RFC 9457 problem document that we read.
#[derive(Debug, serde::Deserialize)]
struct Problem {
    r#type: Option<String>,
    detail: Option<String>,
}

impl Requests {
    /// Reads the token; no connection is opened yet.
    pub(super) fn new(base: &Url, token_file: &Path) -> anyhow::Result<Self> {
        let token = Token::read(token_file)?;
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(UNDER_WAY)
            // A redirect would carry reports to where nobody configured them to go.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("sms-processor/", env!("CARGO_PKG_VERSION")))
            .build()
            .context("cannot set up the HTTP client for delivery reports")?;
        Ok(Self { client, url: endpoint(base)?, token })
    }

    /// Where requests go.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Reads the token again: it may have been rotated.
    pub(super) fn reload_token(&self) -> anyhow::Result<()> {
        self.token.reload()
    }

    /// Sends the reports once.
    pub(super) async fn send(
        &self,
        reports: Vec<DeliveryReport>,
        traceparent: Option<&str>,
    ) -> Result<Verdict, Failure> {
        let count = reports.len();
        let mut request = self.client.post(self.url.clone()).header(AUTHORIZATION, self.token.authorization());
        if let Some(traceparent) = traceparent {
            request = request.header(contract::headers::TRACEPARENT, traceparent);
        }
        let answer = answer(request.json(&DeliveryReports { reports })).await;
        let (status, body) = answer.map_err(Failure::Unreachable)?;
        judge(status, &body, count)
    }
}

impl Failure {
    /// In words for operators.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Unauthorized => {
                "sms-api refuses the token (401): INTERNAL_TOKEN_FILE must hold the token that sms-api has".to_owned()
            }
            Self::Throttled => "sms-api asks to slow down (429)".to_owned(),
            Self::Status(status) => format!("the answer was {status}"),
            Self::Unreadable => "the answer is not one of sms-api: REPORT_URL may lead elsewhere".to_owned(),
            Self::Unreachable(error) => innermost(error),
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, Vec<u8>)> {
    let response = request.send().await?;
    let status = response.status();
    // Read to its end, so that the connection can be used again.
    Ok((status, response.bytes().await?.into()))
}

/// What an answer to `count` reports means. A 400 in which sms-api itself speaks of the reports is final; one that
/// somebody else on the way gave (a proxy), and any other refusal, passes once what is wrong is set right.
fn judge(status: StatusCode, body: &[u8], count: usize) -> Result<Verdict, Failure> {
    match status {
        status if status.is_success() => of_each(body, count).map(Verdict::OfEach).ok_or(Failure::Unreadable),
        StatusCode::BAD_REQUEST => match serde_json::from_slice(body) {
            Ok(Problem { r#type: Some(kind), detail }) if kind.starts_with(PROBLEM_TYPES) => {
                Ok(Verdict::Invalid { reason: invalid(detail.as_deref().unwrap_or_default()) })
            }
            Ok(_) | Err(_) => Err(Failure::Status(status)),
        },
        StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized),
        StatusCode::TOO_MANY_REQUESTS => Err(Failure::Throttled),
        status => Err(Failure::Status(status)),
    }
}

fn of_each(body: &[u8], count: usize) -> Option<Vec<Answer>> {
    let ReportResults { results } = serde_json::from_slice(body).ok()?;
    let answer = |outcome| match outcome {
        ReportOutcome::Changed | ReportOutcome::Unchanged => Answer::Accepted,
        ReportOutcome::MessageNotFound => Answer::UnknownMessage,
    };
    (results.len() == count).then(|| results.into_iter().map(|result| answer(result.outcome)).collect())
}

fn invalid(detail: &str) -> String {
    let separator = if detail.is_empty() { "" } else { ": " };
    let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
    format!("sms-api finds the report invalid{separator}{detail}")
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
    base.join("v1/internal/delivery-reports").with_context(|| format!("invalid REPORT_URL {base}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, body: &str, count: usize) -> Option<Verdict> {
        judge(StatusCode::from_u16(status).expect("a status code"), body.as_bytes(), count).ok()
    }

    #[test]
    fn each_report_has_its_own_answer_in_the_order_of_the_reports() {
        let body = r#"{"results":[
            {"message_id":"019aa8f0-0000-7000-8000-000000000001","outcome":"CHANGED"},
            {"message_id":"019aa8f0-0000-7000-8000-000000000002","outcome":"MESSAGE_NOT_FOUND"},
            {"message_id":"019aa8f0-0000-7000-8000-000000000003","outcome":"UNCHANGED"}
        ]}"#;
        let answers = vec![Answer::Accepted, Answer::UnknownMessage, Answer::Accepted];
        assert_eq!(verdict(200, body, 3), Some(Verdict::OfEach(answers)));
    }

    #[test]
    fn a_success_that_does_not_tell_of_every_report_is_none() {
        for body in ["", "<html>", "{}", r#"{"results":[]}"#] {
            assert_eq!(verdict(200, body, 1), None, "{body}");
        }
    }

    #[test]
    fn what_sms_api_finds_invalid_is_told_in_its_words() {
        let body = format!(r#"{{"type":"{PROBLEM_TYPES}invalid-fields","detail":"status is missing"}}"#);
        let reason = "sms-api finds the report invalid: status is missing".to_owned();
        assert_eq!(verdict(400, &body, 1), Some(Verdict::Invalid { reason }));
        let body = format!(r#"{{"type":"{PROBLEM_TYPES}invalid-fields"}}"#);
        assert_eq!(verdict(400, &body, 1), Some(Verdict::Invalid { reason: invalid("") }));
    }

    #[test]
    fn a_refusal_that_sms_api_did_not_give_costs_no_message() {
        for body in ["<html>", "{}", r#"{"type":null}"#, r#"{"type":"about:blank","detail":"bad"}"#] {
            assert_eq!(verdict(400, body, 1), None, "{body}");
        }
        for status in [301, 401, 403, 404, 405, 408, 413, 415, 429, 500, 502, 503, 504] {
            assert_eq!(verdict(status, "", 1), None, "{status}");
        }
    }

    #[test]
    fn the_endpoint_follows_the_base_url_with_and_without_a_path() {
        for (base, expected) in [
            ("http://api:8081", "http://api:8081/v1/internal/delivery-reports"),
            ("http://api:8081/", "http://api:8081/v1/internal/delivery-reports"),
            ("http://api/sms", "http://api/sms/v1/internal/delivery-reports"),
        ] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(endpoint(&base).expect("an endpoint").as_str(), expected);
        }
    }
}
