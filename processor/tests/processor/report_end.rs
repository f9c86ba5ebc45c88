//! An HTTP server in sms-api's place that takes delivery reports and answers as a test wants.

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
    DeliveryReport,
    problem::{MESSAGE_NOT_FOUND, PROBLEM_TYPES},
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

struct Shared {
    token: Mutex<String>,
    answer: Mutex<Answer>,
    received: watch::Sender<Vec<Received>>,
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
            received: watch::Sender::default(),
        });
        let routes = Router::new().route("/v1/internal/delivery-report", post(take)).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, token_file, shared }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// Answers every report from now on with `answer`; those answered 200 count as received.
    pub fn answer(&self, answer: impl Fn(&DeliveryReport) -> StatusCode + Send + Sync + 'static) {
        *self.shared.answer.lock().expect("lock") = Box::new(answer);
    }

    /// Expects another token from now on.
    pub fn rotate(&self, token: &str) {
        token.clone_into(&mut self.shared.token.lock().expect("lock"));
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
        let count = self.received().len();
        changed.unwrap_or_else(|_| panic!("waited for {what}, got {count}")).expect("sender lives").clone()
    }
}

impl Drop for ReportEnd {
    fn drop(&mut self) {
        // A test that removes the file itself has done this already.
        let _ = std::fs::remove_file(&self.token_file);
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, Json(report): Json<DeliveryReport>) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    let expected = format!("Bearer {}", shared.token.lock().expect("lock"));
    if text(header::AUTHORIZATION.as_str()) != Some(expected) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let status = (shared.answer.lock().expect("lock"))(&report);
    if status.is_success() {
        let traceparent = text(contract::headers::TRACEPARENT);
        shared.received.send_modify(|received| received.push(Received { report, traceparent }));
        return status.into_response();
    }
    let kind = match status {
        StatusCode::NOT_FOUND => Some(MESSAGE_NOT_FOUND.to_owned()),
        StatusCode::BAD_REQUEST => Some(format!("{PROBLEM_TYPES}invalid-fields")),
        _ => None,
    };
    (status, Json(serde_json::json!({ "type": kind, "detail": "as the test wants" }))).into_response()
}
