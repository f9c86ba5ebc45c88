//! One running sms-api, and a client for it.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sms_api::{
    Listeners, Parts,
    access::AccessControl,
    config::Secret,
    dead_letters, http,
    relay::{Limits, Topics},
    routes::message_request::NumberValidation,
    serve,
    store::{self, RetryFailed},
};
use sqlx::PgPool;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    logs,
    topic::{self, Topic},
};

/// The token that every replica of these tests wants.
pub const TOKEN: &str = "token-of-the-tests";

/// Where nobody listens: port 1 is reserved.
pub const NOBODY: &str = "127.0.0.1:1";

pub struct Replica {
    public: String,
    internal: String,
    observability: String,
    client: Client,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    pub async fn start(database: &PgPool, topic: &Topic) -> Self {
        Self::with(store::connect_lazily((*database.connect_options()).clone()), topic::settings(), topic.lanes.clone())
            .await
    }

    /// A replica for which Kafka is away.
    pub async fn without_kafka(database: &PgPool) -> Self {
        Self::without_kafka_and(database, |_| {}).await
    }

    /// A replica that lets in whom `access` does, and for which Kafka is away.
    pub async fn for_callers(database: &PgPool, access: AccessControl) -> Self {
        Self::without_kafka_and(database, |parts| parts.access = access).await
    }

    /// A replica for which Kafka is away, with other settings than usual.
    pub async fn without_kafka_and(database: &PgPool, change: impl FnOnce(&mut Parts)) -> Self {
        let kafka = kafka::Settings::plaintext(NOBODY);
        let database = store::connect_lazily((*database.connect_options()).clone());
        Self::configured(database, kafka, topic::lanes("unreachable"), change).await
    }

    pub async fn with(database: PgPool, kafka: kafka::Settings, topics: Topics) -> Self {
        Self::configured(database, kafka, topics, |_| {}).await
    }

    /// A replica with other settings than usual.
    pub async fn set(database: &PgPool, topic: &Topic, change: impl FnOnce(&mut Parts)) -> Self {
        let database = store::connect_lazily((*database.connect_options()).clone());
        Self::configured(database, topic::settings(), topic.lanes.clone(), change).await
    }

    async fn configured(
        database: PgPool,
        kafka: kafka::Settings,
        topics: Topics,
        change: impl FnOnce(&mut Parts),
    ) -> Self {
        logs::start();
        let listeners =
            Listeners { public: any_port().await, internal: any_port().await, observability: any_port().await };
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().expect("a bound address"));
        let (public, internal) = (url(&listeners.public), url(&listeners.internal));
        let observability = url(&listeners.observability);
        // Nobody made the topic, unless the test is about dead letters.
        let dead_letter_topic = topic::dead_letter_topic(&topics);
        let mut parts = Parts {
            database,
            kafka,
            dead_letters: dead_letters::Source {
                group: format!("{dead_letter_topic}-sms-api"),
                topic: dead_letter_topic,
            },
            topics,
            outbox: Limits { messages: 1_000_000, age: Duration::from_hours(1) },
            message_retention: "90d".parse().expect("a valid retention"),
            idempotency_retention: Duration::from_hours(24),
            number_validation: NumberValidation::Pattern,
            retry_failed: RetryFailed { every: Duration::from_secs(1), max_attempts: 3 },
            republish_after: Duration::from_hours(6),
            access: AccessControl::anonymous(None),
            internal_tokens: vec![Secret::new(TOKEN)],
            http: http::LIMITS,
        };
        change(&mut parts);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(serve(listeners, parts, shutdown.clone()));
        let client = Client::builder().timeout(Duration::from_secs(30)).build().expect("an HTTP client");
        Self { public, internal, observability, client, shutdown, running }
    }

    pub fn public(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.public))
    }

    pub fn internal(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.internal))
    }

    pub fn host(&self) -> &str {
        self.public.trim_start_matches("http://")
    }

    pub async fn post(&self, message: &Value) -> Response {
        self.public(reqwest::Method::POST, "/v1/messages").json(message).send().await.expect("an answer")
    }

    /// Posts a valid message and returns its id.
    pub async fn accepted(&self, text: &str) -> String {
        let response = self.post(&message(text)).await;
        assert_eq!(response.status(), 202);
        let body: Value = response.json().await.expect("a JSON body");
        body["id"].as_str().expect("an id").to_owned()
    }

    pub async fn message(&self, id: &str) -> Value {
        let response = self.public(reqwest::Method::GET, &format!("/v1/messages/{id}")).send().await;
        response.expect("an answer").json().await.expect("a JSON body")
    }

    pub async fn report(&self, report: &Value) -> Response {
        self.internal(reqwest::Method::POST, "/v1/internal/delivery-report")
            .bearer_auth(TOKEN)
            .json(report)
            .send()
            .await
            .expect("an answer")
    }

    pub async fn report_batch(&self, reports: &[Value]) -> Response {
        self.internal(reqwest::Method::POST, "/v1/internal/delivery-reports")
            .bearer_auth(TOKEN)
            .json(&json!({ "reports": reports }))
            .send()
            .await
            .expect("an answer")
    }

    pub async fn claim(&self, path: &str, claims: &[Value]) -> Response {
        self.internal(reqwest::Method::POST, &format!("/v1/internal/claims{path}"))
            .bearer_auth(TOKEN)
            .json(&json!({ "claims": claims }))
            .send()
            .await
            .expect("an answer")
    }

    pub async fn observed(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.observability)).send().await.expect("an answer");
        (response.status().as_u16(), response.text().await.expect("a text"))
    }

    /// The value of a counter or of a histogram's sum, by its full name.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.observed("/metrics").await;
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim_end_matches(".0").parse().ok());
        value.unwrap_or_else(|| panic!("no metric {name} in:\n{text}"))
    }

    pub fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    /// Ends it as SIGTERM would, and proves that it ends well.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.expect("no panic").expect("a clean end");
    }
}

async fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

pub fn message(text: &str) -> Value {
    json!({ "sender": "+15550100", "recipient": "+4915112345678", "text": text })
}

/// Waits until `condition` gives something, and fails after a bound that a slow machine still keeps.
pub async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never seen: {what}"))
}

pub async fn outbox_is_empty(database: &PgPool) {
    eventually("an empty outbox", async || {
        let rows: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(database).await.expect("a count");
        (rows == 0).then_some(())
    })
    .await;
}
