//! An HTTP server in the provider's place that keeps what it is asked and answers as a test wants; and the examples'
//! settings that lead to it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use tokio::{net::TcpListener, sync::watch};
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// What is answered to a call, and when.
pub struct Reply {
    pub after: Duration,
    pub response: Response,
}

type Answer = Box<dyn Fn(&Call) -> Reply + Send + Sync>;

struct Shared {
    answer: Mutex<Answer>,
    calls: watch::Sender<Vec<Call>>,
}

pub struct ProviderEnd {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Call {
    /// A field of the form that it carries.
    pub fn field(&self, name: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://form/?{}", self.body)).expect("a form");
        let mut pairs = url.query_pairs();
        pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer that comes at once.
pub fn now(response: impl IntoResponse) -> Reply {
    Reply { after: Duration::ZERO, response: response.into_response() }
}

impl ProviderEnd {
    pub async fn start(answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { answer: Mutex::new(Box::new(answer)), calls: watch::Sender::default() });
        let routes = Router::new().fallback(take).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, shared }
    }

    /// One that takes up to 100 ms, to be used with [`Self::counting_settings`].
    pub async fn counting() -> Self {
        Self::start(|_| Reply { after: Duration::from_millis(fastrand::u64(0..100)), ..now(StatusCode::OK) }).await
    }

    /// Settings that lead here with nothing but the message's id.
    pub fn counting_settings(&self) -> String {
        format!(r#"{{"http":{{"url":"{}","json":{{"id":"{{{{ message_id }}}}"}}}}}}"#, self.url())
    }

    /// How often each message came.
    pub fn sent(&self) -> HashMap<Uuid, usize> {
        let mut sent = HashMap::new();
        for call in self.calls() {
            let body: HashMap<String, Uuid> = serde_json::from_str(&call.body).expect("the body of the settings");
            *sent.entry(body["id"]).or_default() += 1;
        }
        sent
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers otherwise from now on.
    pub fn answer(&self, answer: impl Fn(&Call) -> Reply + Send + Sync + 'static) {
        *self.shared.answer.lock().expect("lock") = Box::new(answer);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// Waits until so many calls have come.
    pub async fn until(&self, count: usize) -> Vec<Call> {
        let mut calls = self.shared.calls.subscribe();
        let changed = tokio::time::timeout(TIMEOUT, calls.wait_for(|calls| calls.len() >= count)).await;
        changed.unwrap_or_else(|_| panic!("waited for {count} calls")).expect("sender lives").clone()
    }
}

async fn take(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { method, path: uri.to_string(), headers, body: String::from_utf8_lossy(&body).into_owned() };
    let Reply { after, response } = {
        let answer = shared.answer.lock().expect("lock");
        answer(&call)
    };
    shared.calls.send_modify(|calls| calls.push(call));
    tokio::time::sleep(after).await;
    response
}

/// Files with secrets, which go with this.
pub struct SecretFiles(PathBuf);

impl SecretFiles {
    pub fn new(secrets: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("processor-tests-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).expect("temporary folder is writable");
        let files = Self(folder);
        for (name, value) in secrets {
            files.write(name, value);
        }
        files
    }

    pub fn write(&self, name: &str, value: &str) {
        std::fs::write(self.0.join(name), value).expect("temporary folder is writable");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for SecretFiles {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("temporary folder is removable");
    }
}

/// The settings that the operator makes of an example in `crds/examples`, leading to `end` instead of `host`. Nothing
/// else of them is changed but where the secrets are, and the timeout.
pub fn example(file: &str, host: &str, end: &ProviderEnd, secrets: &SecretFiles, timeout: &str) -> String {
    let path = format!("{}/../operator/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path);
    assert!(text.contains(host), "{text}");
    let mut settings: serde_json::Value = serde_json::from_str(&text.replace(host, &end.url())).expect(&path);
    settings["timeout"] = timeout.into();
    for (name, secret) in settings["http"]["secrets"].as_object_mut().expect("secrets") {
        secret["file"] = secrets.path(name).into();
    }
    settings.to_string()
}
