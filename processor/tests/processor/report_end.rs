//! An HTTP server in sms-api's place that takes claims and delivery reports, and answers as a test wants.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use contract::{
    Claim, ClaimOutcome, ClaimResult, ClaimResults, Claims, DeliveryReport, DeliveryReports, DeliveryStatus,
    ReportOutcome, ReportResult, ReportResults, problem::PROBLEM_TYPES,
};
use tokio::{net::TcpListener, sync::watch};
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A report that was accepted.
#[derive(Clone, Debug)]
pub struct Received {
    pub report: DeliveryReport,
    pub traceparent: Option<String>,
}

type Answer = Box<dyn Fn(&DeliveryReport) -> StatusCode + Send + Sync>;

/// What becomes of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claiming {
    /// Each attempt is granted to one claimant.
    Usual,
    /// They are granted, and something on the way answers that it is overloaded.
    GrantedButUnavailable,
    /// They are granted, and nobody hears of it.
    GrantedWithoutAnswer,
    /// Nothing comes of them.
    Ignored,
}

struct Shared {
    token: Mutex<String>,
    answer: Mutex<Answer>,
    outage: Mutex<Option<StatusCode>>,
    claiming: Mutex<Claiming>,
    claimed: Mutex<Vec<Claim>>,
    received: watch::Sender<Vec<Received>>,
    requests: watch::Sender<usize>,
}

pub struct ReportEnd {
    address: SocketAddr,
    token_file: PathBuf,
    shared: Arc<Shared>,
}

impl ReportEnd {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let token = Uuid::new_v4().to_string();
        let token_file = std::env::temp_dir().join(format!("processor-tests-{token}"));
        std::fs::write(&token_file, &token).expect("temporary file is writable");
        let shared = Arc::new(Shared {
            token: Mutex::new(token),
            answer: Mutex::new(Box::new(|_| StatusCode::OK)),
            outage: Mutex::default(),
            claiming: Mutex::new(Claiming::Usual),
            claimed: Mutex::default(),
            received: watch::Sender::default(),
            requests: watch::Sender::default(),
        });
        let routes = Router::new()
            .route("/v1/internal/delivery-reports", post(take))
            .route("/v1/internal/claims", post(claim))
            .route("/v1/internal/claims/release", post(release))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, token_file, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// Judges every report from now on by `answer`: those that are successes count as received, those that are not found
    /// are none of sms-api's, and any other one decides for the whole batch.
    pub fn answer(&self, answer: impl Fn(&DeliveryReport) -> StatusCode + Send + Sync + 'static) {
        *self.shared.answer.lock().expect("lock") = Box::new(answer);
    }

    /// Answers everything with this status from now on; with none, as otherwise.
    pub fn fail(&self, outage: impl Into<Option<StatusCode>>) {
        *self.shared.outage.lock().expect("lock") = outage.into();
    }

    /// Does this with claims from now on.
    pub fn claims(&self, claiming: Claiming) {
        *self.shared.claiming.lock().expect("lock") = claiming;
    }

    /// The claims that were granted, without those that were given back.
    pub fn claimed(&self) -> Vec<Claim> {
        self.shared.claimed.lock().expect("lock").clone()
    }

    /// Expects another token from now on.
    pub fn rotate(&self, token: &str) {
        token.clone_into(&mut self.shared.token.lock().expect("lock"));
    }

    /// How many requests have come, whatever was answered.
    pub fn requests(&self) -> usize {
        *self.shared.requests.borrow()
    }

    /// Waits for one more request.
    pub async fn until_next_request(&self) {
        let mut requests = self.shared.requests.subscribe();
        let next = tokio::time::timeout(TIMEOUT, requests.changed()).await;
        next.expect("one more request in time").expect("sender lives");
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.received.borrow().clone()
    }

    /// Waits until `count` reports have been accepted, and returns all of them.
    pub async fn until(&self, count: usize) -> Vec<Received> {
        self.until_true(&format!("{count} reports"), |received| received.len() >= count).await
    }

    /// Waits until every one of `ids` has been reported, and returns all reports.
    pub async fn until_all(&self, ids: &[Uuid]) -> Vec<Received> {
        let all = |received: &[Received]| {
            ids.iter().all(|id| received.iter().any(|received| received.report.message_id == *id))
        };
        self.until_true("every message's report", all).await
    }

    async fn until_true(&self, what: &str, condition: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let mut reports = self.shared.received.subscribe();
        let changed = tokio::time::timeout(TIMEOUT, reports.wait_for(|received| condition(received))).await;
        match changed {
            // It is a lock, so nobody may look at the reports again before it is gone.
            Ok(received) => received.expect("sender lives").clone(),
            Err(error) => panic!("waited for {what}, got {}: {error}", self.received().len()),
        }
    }
}

impl Drop for ReportEnd {
    fn drop(&mut self) {
        // A test that removes the file itself has done this already.
        let _ = std::fs::remove_file(&self.token_file);
    }
}

/// The status of a request that is not even looked at.
fn refusal(shared: &Shared, headers: &HeaderMap) -> Option<StatusCode> {
    shared.requests.send_modify(|requests| *requests += 1);
    let expected = format!("Bearer {}", shared.token.lock().expect("lock"));
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let unauthorized = (given != Some(&expected)).then_some(StatusCode::UNAUTHORIZED);
    unauthorized.or(*shared.outage.lock().expect("lock"))
}

async fn claim(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(batch): Json<Claims>) -> Response {
    if let Some(status) = refusal(&shared, &headers) {
        return status.into_response();
    }
    let claiming = *shared.claiming.lock().expect("lock");
    let answer = if claiming == Claiming::Ignored { None } else { Some(grant(&shared, batch)) };
    match answer {
        Some(results) if claiming == Claiming::Usual => Json(results).into_response(),
        Some(_) if claiming == Claiming::GrantedButUnavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(_) | None => std::future::pending().await,
    }
}

async fn release(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(batch): Json<Claims>) -> Response {
    if let Some(status) = refusal(&shared, &headers) {
        return status.into_response();
    }
    shared.claimed.lock().expect("lock").retain(|claim| !batch.claims.contains(claim));
    StatusCode::NO_CONTENT.into_response()
}

/// Grants each attempt to one claimant, as sms-api does.
fn grant(shared: &Shared, batch: Claims) -> ClaimResults {
    let mut claimed = shared.claimed.lock().expect("lock");
    let received = shared.received.borrow();
    let is_final =
        |id: Uuid| received.iter().any(|one| one.report.message_id == id && one.report.status == DeliveryStatus::Sent);
    let results = batch.claims.into_iter().map(|claim| {
        let outcome = if is_final(claim.message_id) {
            ClaimOutcome::Final
        } else if let Some(before) = claimed.iter().find(|before| is_of_one_attempt(before, &claim)) {
            if *before == claim { ClaimOutcome::Granted } else { ClaimOutcome::ClaimedBefore }
        } else {
            claimed.push(claim);
            ClaimOutcome::Granted
        };
        ClaimResult { message_id: claim.message_id, outcome }
    });
    ClaimResults { results: results.collect() }
}

fn is_of_one_attempt(one: &Claim, other: &Claim) -> bool {
    (one.message_id, one.attempt) == (other.message_id, other.attempt)
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(batch): Json<DeliveryReports>) -> Response {
    if let Some(status) = refusal(&shared, &headers) {
        return status.into_response();
    }
    let statuses: Vec<_> = {
        let answer = shared.answer.lock().expect("lock");
        batch.reports.iter().map(&*answer).collect()
    };
    let is_of_one = |status: &StatusCode| status.is_success() || *status == StatusCode::NOT_FOUND;
    if let Some(&status) = statuses.iter().find(|status| !is_of_one(status)) {
        let kind = (status == StatusCode::BAD_REQUEST).then(|| format!("{PROBLEM_TYPES}invalid-fields"));
        return (status, Json(serde_json::json!({ "type": kind, "detail": "as the test wants" }))).into_response();
    }
    let traceparent = headers.get(contract::headers::TRACEPARENT).and_then(|value| value.to_str().ok());
    let mut results = Vec::new();
    for (report, status) in batch.reports.into_iter().zip(statuses) {
        let is_known = status.is_success();
        let outcome = if is_known { ReportOutcome::Changed } else { ReportOutcome::MessageNotFound };
        results.push(ReportResult { message_id: report.message_id, outcome });
        if is_known {
            let traceparent = traceparent.map(ToOwned::to_owned);
            shared.received.send_modify(|received| received.push(Received { report, traceparent }));
        }
    }
    Json(ReportResults { results }).into_response()
}
