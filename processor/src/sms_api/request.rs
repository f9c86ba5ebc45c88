//! One request with a batch of questions, and what its answer means.

use std::{marker::PhantomData, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use contract::problem::PROBLEM_TYPES;
use reqwest::{Client, StatusCode, Url, header::AUTHORIZATION, redirect};

use super::{exchange::Exchange, gather::UNDER_WAY, token::Token};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of sms-api's words a dead letter keeps, in characters.
const LONGEST_DETAIL: usize = 500;

/// Knows where sms-api is, and its token.
#[derive(Debug)]
pub(super) struct Requests {
    client: Client,
    base: Url,
    token: Token,
}

/// Where questions of one kind go.
#[derive(Debug)]
pub(super) struct Endpoint<E> {
    requests: Arc<Requests>,
    url: Url,
    exchange: PhantomData<E>,
}

/// What sms-api says of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<A> {
    /// Its last word on each question, in their order.
    OfEach(Vec<A>),
    /// It takes none of them, because something in one of them is invalid.
    Invalid {
        /// Why.
        reason: String,
    },
    /// It cannot take them together; it might take each for itself.
    Indigestible,
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
            .context("cannot set up the HTTP client for sms-api")?;
        Ok(Self { client, base: base.clone(), token })
    }

    /// The URL that all endpoints lie below.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }
}

impl<E: Exchange> Endpoint<E> {
    pub(super) fn new(requests: &Arc<Requests>) -> anyhow::Result<Self> {
        let url = below(&requests.base, E::PATH)?;
        Ok(Self { requests: Arc::clone(requests), url, exchange: PhantomData })
    }

    /// Reads the token again: it may have been rotated.
    pub(super) fn reload_token(&self) -> anyhow::Result<()> {
        self.requests.token.reload()
    }

    /// Sends the questions once.
    pub(super) async fn send(
        &self,
        questions: Vec<E::Question>,
        traceparent: Option<&str>,
    ) -> Result<Verdict<E::Answer>, Failure> {
        let count = questions.len();
        let Requests { client, token, .. } = &*self.requests;
        let mut request = client.post(self.url.clone()).header(AUTHORIZATION, token.authorization());
        if let Some(traceparent) = traceparent {
            request = request.header(contract::headers::TRACEPARENT, traceparent);
        }
        let answer = answer(request.json(&E::body(questions))).await;
        let (status, body) = answer.map_err(Failure::Unreachable)?;
        judge::<E>(status, &body, count)
    }
}

impl Failure {
    /// Whether one question of many may be the cause: there is too much, or sms-api has a bug. While it cannot reach its
    /// database it says 503.
    pub(super) fn may_be_of_one(&self) -> bool {
        matches!(self, Self::Status(StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INTERNAL_SERVER_ERROR))
    }

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

/// What an answer to `count` questions means. A 400 in which sms-api itself speaks of them is final; one that somebody
/// else on the way gave (a proxy), and any other refusal, passes once what is wrong is set right.
fn judge<E: Exchange>(status: StatusCode, body: &[u8], count: usize) -> Result<Verdict<E::Answer>, Failure> {
    match status {
        status if status.is_success() => E::answers(body, count).map(Verdict::OfEach).ok_or(Failure::Unreadable),
        StatusCode::BAD_REQUEST => match serde_json::from_slice(body) {
            Ok(Problem { r#type: Some(kind), detail }) if kind.starts_with(PROBLEM_TYPES) => {
                Ok(Verdict::Invalid { reason: invalid::<E>(detail.as_deref().unwrap_or_default()) })
            }
            Ok(_) | Err(_) => Err(Failure::Status(status)),
        },
        StatusCode::UNAUTHORIZED => Err(Failure::Unauthorized),
        StatusCode::TOO_MANY_REQUESTS => Err(Failure::Throttled),
        status => Err(Failure::Status(status)),
    }
}

fn invalid<E: Exchange>(detail: &str) -> String {
    let separator = if detail.is_empty() { "" } else { ": " };
    let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
    format!("sms-api finds the {} invalid{separator}{detail}", E::NAME)
}

/// The cause that says most: "Connection refused" rather than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() { "no answer in time".to_owned() } else { telemetry::innermost_cause(error) }
}

fn below(base: &Url, path: &str) -> anyhow::Result<Url> {
    let mut base = base.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    base.join(path).with_context(|| format!("invalid REPORT_URL {base}"))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Reported, reports::ReportExchange},
        *,
    };

    fn judged(status: u16, body: &str) -> Result<Verdict<Reported>, Failure> {
        judge::<ReportExchange>(StatusCode::from_u16(status).expect("a status code"), body.as_bytes(), 1)
    }

    #[test]
    fn what_sms_api_finds_invalid_is_told_in_its_words() {
        let body = format!(r#"{{"type":"{PROBLEM_TYPES}invalid-fields","detail":"status is missing"}}"#);
        let reason = "sms-api finds the delivery report invalid: status is missing".to_owned();
        assert_eq!(judged(400, &body).ok(), Some(Verdict::Invalid { reason }));
        let body = format!(r#"{{"type":"{PROBLEM_TYPES}invalid-fields"}}"#);
        let reason = "sms-api finds the delivery report invalid".to_owned();
        assert_eq!(judged(400, &body).ok(), Some(Verdict::Invalid { reason }));
    }

    #[test]
    fn a_refusal_that_sms_api_did_not_give_costs_no_message() {
        for body in ["<html>", "{}", r#"{"type":null}"#, r#"{"type":"about:blank","detail":"bad"}"#] {
            assert!(judged(400, body).is_err(), "{body}");
        }
        for status in [301, 401, 403, 404, 405, 408, 413, 415, 429, 500, 502, 503, 504] {
            assert!(judged(status, "").is_err(), "{status}");
        }
        assert!(judged(200, "<html>").is_err(), "a success that tells nothing");
    }

    #[test]
    fn only_what_one_question_can_bring_about_takes_a_batch_apart() {
        for (status, expected) in [(413, true), (500, true), (502, false), (503, false), (504, false), (429, false)] {
            let failure = judged(status, "").expect_err("a failure");
            assert_eq!(failure.may_be_of_one(), expected, "{status}");
        }
    }

    #[test]
    fn the_endpoint_follows_the_base_url_with_and_without_a_path() {
        for (base, expected) in [
            ("http://api:8081", "http://api:8081/v1/internal/claims"),
            ("http://api:8081/", "http://api:8081/v1/internal/claims"),
            ("http://api/sms", "http://api/sms/v1/internal/claims"),
        ] {
            let base = Url::parse(base).expect("a URL");
            assert_eq!(below(&base, "v1/internal/claims").expect("an endpoint").as_str(), expected);
        }
    }
}
