//! An HTTP server in sms-api's place, which takes delivery reports and says that each of them changed its message.
//!
//! It shares the machine's cores with the processor, so it does no more than it must: connections stay open, requests
//! are read as they come, and of a report only what tells which message it is about and whether that was sent.

mod ledger;

use std::{
    cell::{Ref, RefCell},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Instant,
};

use anyhow::{Context, bail, ensure};
use contract::{DeliveryStatus, ReportOutcome, ReportResult, ReportResults};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

use super::record::number_in;

pub use ledger::{Arrivals, Ledger};

/// Where reports are posted.
const PATH: &str = "/v1/internal/delivery-reports";
/// Headers of a request at most.
const HEADERS: usize = 32;
/// What a request of 500 reports needs, in bytes.
const USUAL: usize = 128 << 10;

/// A running server; it ends with the task set that it was started in.
#[derive(Debug)]
pub struct ReportEnd {
    address: SocketAddr,
    token_file: PathBuf,
    state: Rc<RefCell<State>>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// Why a request could not be taken.
    failure: Option<anyhow::Error>,
}

/// The part of a [`contract::DeliveryReports`] that matters here.
#[derive(Deserialize)]
struct Reports {
    reports: Vec<Report>,
}

#[derive(Deserialize)]
struct Report {
    message_id: Uuid,
    status: DeliveryStatus,
}

impl ReportEnd {
    /// Starts it. A token must be brought along, but it is not looked at; its file is put into `folder`.
    pub async fn start(folder: &Path) -> anyhow::Result<ReportEnd> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("there is no free port")?;
        let address = listener.local_addr().context("the report end has no address")?;
        let token_file = folder.join("token");
        fs::write(&token_file, "any").with_context(|| format!("cannot write {}", token_file.display()))?;
        let state = Rc::new(RefCell::new(State { ledger: Ledger::expecting(0), failure: None }));
        let shared = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Rc::clone(&shared);
                tokio::task::spawn_local(async move {
                    if let Err(error) = serve(stream, &state).await {
                        state.borrow_mut().failure.get_or_insert(error);
                    }
                });
            }
        });
        Ok(ReportEnd { address, token_file, state })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The token that it would accept, like any other.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// Forgets everything, and expects reports on the messages 0 to `messages`.
    pub fn expect(&self, messages: u32) {
        self.state.borrow_mut().ledger = Ledger::expecting(messages);
    }

    /// What has come so far; an error when a request could not be taken.
    pub fn ledger(&self) -> anyhow::Result<Ref<'_, Ledger>> {
        if let Some(failure) = self.state.borrow_mut().failure.take() {
            return Err(failure.context("a request with delivery reports could not be taken"));
        }
        Ok(Ref::map(self.state.borrow(), |state| &state.ledger))
    }
}

/// Answers one request after the other until the client closes the connection.
async fn serve(mut stream: TcpStream, state: &RefCell<State>) -> anyhow::Result<()> {
    stream.set_nodelay(true).context("cannot switch Nagle's algorithm off")?;
    let (mut request, mut answer) = (Vec::with_capacity(USUAL), Vec::with_capacity(USUAL));
    loop {
        request.clear();
        let body = loop {
            if stream.read_buf(&mut request).await.context("the connection broke")? == 0 {
                ensure!(request.is_empty(), "the connection was closed before the request was complete");
                return Ok(());
            }
            // The next request comes only after the answer to this one.
            if let Some(body) = body_of(&request)? {
                break body;
            }
        };
        let at = Instant::now();
        let Reports { reports } = serde_json::from_slice(body).context("these are no delivery reports")?;
        state.borrow_mut().ledger.take(at, reports.iter().map(|report| (number_in(report.message_id), report.status)));
        write_answer(&mut answer, &reports)?;
        stream.write_all(&answer).await.context("the connection broke")?;
    }
}

/// The body of a request; `None` while it is not complete.
fn body_of(request: &[u8]) -> anyhow::Result<Option<&[u8]>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(request).context("the request is not HTTP/1.1")? else {
        return Ok(None);
    };
    let (method, path) = (parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default());
    if (method, path) != ("POST", PATH) {
        bail!("{method} {path} is not what a processor should ask for");
    }
    let length = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = length
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .context("the request has no content length")?;
    Ok(request.get(head..head + length))
}

fn write_answer(answer: &mut Vec<u8>, reports: &[Report]) -> anyhow::Result<()> {
    let result = |report: &Report| ReportResult { message_id: report.message_id, outcome: ReportOutcome::Changed };
    let body = serde_json::to_vec(&ReportResults { results: reports.iter().map(result).collect() })?;
    answer.clear();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n");
    answer.extend_from_slice(head.as_bytes());
    answer.extend_from_slice(&body);
    Ok(())
}

#[cfg(test)]
mod tests {
    use contract::{DeliveryReport, DeliveryReports};
    use tokio::task::LocalSet;

    use super::*;
    use crate::http::Connection;

    fn request(path: &str, ids: &[u128]) -> Vec<u8> {
        let report = |&id| DeliveryReport {
            message_id: Uuid::from_u128(id),
            status: DeliveryStatus::Sent,
            failure_reason: None,
            processed_at: Some(jiff::Timestamp::UNIX_EPOCH),
            attempt: Some(1),
            transient: false,
            provider_message_id: None,
        };
        let body = serde_json::to_string(&DeliveryReports { reports: ids.iter().map(report).collect() }).expect("JSON");
        format!("POST {path} HTTP/1.1\r\nauthorization: Bearer any\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    }

    /// What a server says to requests, one after the other.
    async fn answers(requests: &[Vec<u8>]) -> (ReportEnd, Vec<ReportResults>) {
        let end = ReportEnd::start(&std::env::temp_dir()).await.expect("it starts");
        end.expect(3);
        let mut connection = Connection::open(end.address).await.expect("it listens");
        let mut answers = Vec::new();
        for request in requests {
            if connection.exchange(request).await.is_ok() {
                answers.push(serde_json::from_str(&connection.body()).expect("results"));
            }
        }
        (end, answers)
    }

    #[tokio::test]
    async fn every_report_is_answered_in_its_place_and_counted() {
        let requests = [request(PATH, &[2, 0]), request(PATH, &[1, 0])];
        let (end, answers) = LocalSet::new().run_until(answers(&requests)).await;
        let ids = |answer: &ReportResults| -> Vec<_> {
            answer.results.iter().map(|result| (result.message_id.as_u128(), result.outcome)).collect()
        };
        let changed = ReportOutcome::Changed;
        assert_eq!(ids(&answers[0]), [(2, changed), (0, changed)]);
        assert_eq!(ids(&answers[1]), [(1, changed), (0, changed)]);
        let ledger = end.ledger().expect("nothing went wrong");
        assert_eq!((ledger.reported(), ledger.repeated()), (3, 1));
    }

    #[tokio::test]
    async fn a_request_for_something_else_is_told() {
        let (end, answers) = LocalSet::new().run_until(answers(&[request("/v1/internal/claims", &[0])])).await;
        assert!(answers.is_empty());
        let error = format!("{:#}", end.ledger().expect_err("a wrong path"));
        assert!(error.ends_with("POST /v1/internal/claims is not what a processor should ask for"), "{error}");
    }

    #[test]
    fn half_a_request_is_none_yet() {
        let whole = request(PATH, &[1]);
        assert_eq!(body_of(&whole[..whole.len() - 1]).expect("HTTP"), None);
        assert_eq!(body_of(&whole[..20]).expect("HTTP"), None);
        assert!(body_of(&whole).expect("HTTP").is_some_and(|body| body.starts_with(b"{\"reports\"")));
    }
}
