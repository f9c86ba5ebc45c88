use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Binary, Environment, binary, environment::loopback_address, eventually, unique, waiting::INTERVAL};

/// How long a pipeline may take from its start until everything is ready.
const READY: Duration = Duration::from_mins(1);

/// What differs between the pipelines of the tests.
#[derive(Clone, Debug)]
pub struct PipelineSettings {
    /// `spec.processor.provider.simulated`.
    pub provider: Value,
    /// `spec.processor.provider.http`, in place of the simulated one.
    pub http_provider: Option<Value>,
    /// More Secrets: name, key and value.
    pub secrets: Vec<[String; 3]>,
    /// `spec.telemetry`.
    pub telemetry: Value,
    /// `spec.processor.autoscaling`, in place of one replica.
    pub autoscaling: Option<Value>,
    /// `spec.processor.maxInFlight`.
    pub max_in_flight: usize,
    /// `spec.api.replicas`.
    pub api_replicas: usize,
    /// Kafka's bootstrap servers; those of the run when absent.
    pub kafka: Option<String>,
    /// `spec.kafka.security`.
    pub kafka_security: Value,
    /// URL of the database; a new one when absent.
    pub database_url: Option<String>,
    /// What is in the Secret of API keys; without it everybody is let in.
    pub api_keys: Option<Value>,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            provider: json!({ "minDelay": "20ms", "maxDelay": "60ms", "failurePercent": 10 }),
            http_provider: None,
            secrets: Vec::new(),
            telemetry: json!({}),
            autoscaling: None,
            max_in_flight: 4000,
            api_replicas: 1,
            kafka: None,
            kafka_security: json!({}),
            database_url: None,
            api_keys: None,
        }
    }
}

/// A pipeline as `sms-operator local` runs it.
pub struct LocalPipeline {
    /// The file with the resource.
    pub file: PathBuf,
    /// URL of its database.
    pub database_url: String,
    /// What the names of its topics start with.
    pub prefix: String,
    operator: Binary,
    folder: TempDir,
    address: Ipv4Addr,
    client: reqwest::Client,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its media type.
    pub content_type: String,
    /// Its body.
    pub body: Value,
}

/// One line of `replicas.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Its process.
    pub process: u32,
    /// Where it tells its metrics.
    pub metrics: SocketAddr,
}

impl LocalPipeline {
    /// Starts a pipeline and waits until everything in it is ready.
    pub async fn ready(settings: PipelineSettings) -> Self {
        let pipeline = Self::start(settings).await;
        pipeline.until_ready().await;
        pipeline
    }

    /// Starts a pipeline.
    pub async fn start(settings: PipelineSettings) -> Self {
        let environment = Environment::get();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (address, prefix) = (loopback_address(), unique("sms"));
        let database_url = match settings.database_url.clone() {
            Some(url) => url,
            None => environment.database().await,
        };
        let state = folder.path().join("state");
        let secret = state.join("secrets/notifications-db");
        fs::create_dir_all(&secret).expect("the state folder is writable");
        fs::write(secret.join("uri"), &database_url).expect("the Secret is written");
        if let Some(keys) = &settings.api_keys {
            write_api_keys(&state, keys);
        }
        for [name, key, value] in &settings.secrets {
            let secret = state.join("secrets").join(name);
            fs::create_dir_all(&secret).expect("the state folder is writable");
            fs::write(secret.join(key), value).expect("the Secret is written");
        }
        let file = folder.path().join("pipeline.yaml");
        let resource = resource(&prefix, &settings);
        fs::write(&file, resource.to_string()).expect("the resource is written");
        let mut command = Command::new(environment.bin_dir.join("sms-operator"));
        let kafka = settings.kafka.as_ref().unwrap_or(&environment.kafka);
        command.args(["local", "--exit-on-stdin-close", "-f"]).arg(&file).arg("--state-dir").arg(&state);
        for (flag, port) in [("--api-address", 8080), ("--internal-address", 8081), ("--metrics-address", 9090)] {
            command.args([flag, &format!("{address}:{port}")]);
        }
        command.args(["--connect-to", &format!("kafka-bootstrap.kafka:9092={kafka}")]);
        let operator = Binary::start(command, &folder.path().join("operator.log"));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build();
        let client = client.expect("an HTTP client");
        Self { file, database_url, prefix, operator, folder, address, client }
    }

    /// Waits until everything in it is ready.
    pub async fn until_ready(&self) {
        let url = self.operator_url("/readyz");
        eventually("the pipeline is ready", READY, async || {
            let answer = self.client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Posts a message and gives the answer.
    pub async fn post(&self, message: &Value) -> Answer {
        answer(self.client.post(self.url("/v1/messages")).json(message)).await
    }

    /// Posts a usable message, which must be accepted, and gives its id.
    pub async fn accepted(&self, number: usize) -> String {
        let recipient = format!("+1555{number:07}");
        let answer = self.post(&json!({ "sender": "+15550100", "recipient": recipient, "text": "hello" })).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    /// The message as the API tells it.
    pub async fn message(&self, id: &str) -> Answer {
        answer(self.client.get(self.url(&format!("/v1/messages/{id}")))).await
    }

    /// Waits until a message is SENT or FAILED and gives it.
    pub async fn until_final(&self, id: &str, limit: Duration) -> Value {
        let mut seen = None;
        let is_final = async {
            loop {
                let request = self.client.get(self.url(&format!("/v1/messages/{id}")));
                if let Ok(answer) = request.send().await {
                    let body: Value = answer.json().await.unwrap_or_default();
                    if matches!(body["status"].as_str(), Some("SENT" | "FAILED")) {
                        return body;
                    }
                    seen = Some(body);
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        let body = tokio::time::timeout(limit, is_final).await;
        body.unwrap_or_else(|_| panic!("waited {limit:?} in vain for {id} to become SENT or FAILED; it was {seen:?}"))
    }

    /// URL of a path of the public API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}:8080{path}", self.address)
    }

    /// URL of a path of the internal port.
    pub fn internal_url(&self, path: &str) -> String {
        format!("http://{}:8081{path}", self.address)
    }

    /// URL of a path of the operator's own port.
    pub fn operator_url(&self, path: &str) -> String {
        format!("http://{}:9090{path}", self.address)
    }

    /// Where the operator tells its metrics.
    pub fn operator_metrics(&self) -> SocketAddr {
        SocketAddr::from((self.address, 9090))
    }

    /// An HTTP client for it.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// The sum of one metric over its labels, from `metrics`.
    pub async fn metric(&self, metrics: SocketAddr, name: &str) -> Option<f64> {
        let text = self.client.get(format!("http://{metrics}/metrics")).send().await.ok()?.text().await.ok()?;
        let values = text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
        let values: Vec<f64> = values.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The running replicas of one component, `api` or `processor`.
    pub fn replicas(&self, component: &str) -> Vec<Replica> {
        let text = fs::read_to_string(self.folder.path().join("state/replicas.json")).unwrap_or_default();
        let listed: Value = serde_json::from_str(&text).unwrap_or_default();
        let of_component = listed.as_array().into_iter().flatten().filter(|replica| replica["component"] == component);
        of_component
            .filter_map(|replica| {
                Some(Replica {
                    name: replica["name"].as_str()?.to_owned(),
                    process: replica["pid"].as_u64()?.try_into().ok()?,
                    metrics: replica["metricsAddress"].as_str()?.parse().ok()?,
                })
            })
            .collect()
    }

    /// Kills a replica as a crash would: SIGKILL.
    pub fn kill(&self, replica: &Replica) {
        binary::signal(replica.process, Signal::SIGKILL);
    }

    /// Status, reason and message of one condition.
    pub fn condition(&self, kind: &str) -> Option<(String, String, String)> {
        let text = fs::read_to_string(self.folder.path().join("state/status.json")).ok()?;
        let resource: Value = serde_json::from_str(&text).ok()?;
        let conditions = resource["status"]["conditions"].as_array()?;
        let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
        let field = |name: &str| Some(condition[name].as_str()?.to_owned());
        Some((field("status")?, field("reason")?, field("message")?))
    }

    /// Replaces `from` by `to` in the file, as an editor would.
    pub fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.file).expect("the file is readable");
        let edited = text.replacen(from, to, 1);
        assert_ne!(text, edited, "{from:?} is in the file");
        fs::write(&self.file, edited).expect("the file is writable");
    }

    /// Replaces what is in the Secret of API keys.
    pub fn replace_api_keys(&self, keys: &Value) {
        write_api_keys(&self.folder.path().join("state"), keys);
    }

    /// Replaces the value of a Secret's key.
    pub fn replace_secret(&self, name: &str, key: &str, value: &str) {
        let secret = self.folder.path().join("state/secrets").join(name);
        let next = secret.join("next");
        fs::write(&next, value).expect("the Secret is written");
        fs::rename(next, secret.join(key)).expect("the Secret is written");
    }

    /// Kafka's admin calls, on the broker of the run.
    pub fn admin(&self) -> kafka::Admin {
        let settings = kafka::Settings::plaintext(&Environment::get().kafka);
        kafka::Admin::new(&settings, "tests").expect("a client")
    }

    /// The token of the internal port.
    pub fn internal_token(&self) -> String {
        let path = self.folder.path().join("state/secrets/notifications-internal/token");
        fs::read_to_string(path).expect("the token was generated")
    }

    /// Everything that the operator and its replicas have printed.
    pub fn output(&self) -> String {
        self.operator.output()
    }

    /// Stops everything; gives the operator's exit code.
    pub fn stop(&mut self) -> i32 {
        self.operator.stop()
    }
}

fn write_api_keys(state: &Path, keys: &Value) {
    let secret = state.join("secrets/notifications-api-keys");
    fs::create_dir_all(&secret).expect("the state folder is writable");
    let next = secret.join("next");
    fs::write(&next, keys.to_string()).expect("the Secret is written");
    fs::rename(next, secret.join("keys.json")).expect("the Secret is written");
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the API answers");
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let (status, content_type) = (response.status(), content_type.unwrap_or_default().to_owned());
    let text = response.text().await.expect("a body");
    Answer { status, content_type, body: serde_json::from_str(&text).unwrap_or_default() }
}

fn resource(prefix: &str, settings: &PipelineSettings) -> Value {
    let authentication = match settings.api_keys {
        Some(_) => json!({ "apiKeysSecretRef": { "name": "notifications-api-keys" } }),
        None => json!({ "anonymous": {} }),
    };
    let provider = match &settings.http_provider {
        Some(http) => json!({ "http": http }),
        None => json!({ "simulated": settings.provider }),
    };
    let mut processor = json!({ "provider": provider, "maxInFlight": settings.max_in_flight });
    match &settings.autoscaling {
        Some(autoscaling) => processor["autoscaling"] = autoscaling.clone(),
        None => processor["replicas"] = json!(1),
    }
    json!({
        "apiVersion": "smspipeline.dev/v1alpha1",
        "kind": "SmsPipeline",
        "metadata": { "name": "notifications" },
        "spec": {
            "database": { "urlSecretRef": { "name": "notifications-db", "key": "uri" } },
            "kafka": {
                "bootstrapServers": "kafka-bootstrap.kafka:9092",
                "security": settings.kafka_security,
                "topics": { "prefix": prefix, "partitions": 3, "replicationFactor": 1 },
            },
            "api": { "replicas": settings.api_replicas, "authentication": authentication },
            "processor": processor,
            "telemetry": settings.telemetry,
        },
    })
}
