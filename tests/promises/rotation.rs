//! The token of internal calls is replaced without one of them being refused.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kafka::{Admin, NewTopic};
use kube::{Api, ResourceExt, api::ListParams};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Binary, Cluster, Environment, Node, eventually, loopback_address, unique};

use crate::cluster::{Applied, LIMIT};

/// How long a rotation may take here, where pods have six seconds to end.
const ROTATION: Duration = Duration::from_mins(2);

/// The files of tokens that the pods of a component are told of.
async fn token_files(cluster: &Cluster, component: &str) -> Vec<Vec<String>> {
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), &cluster.namespace);
    let of_component = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
    let files = |pod: Pod| {
        let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
        let mut variables = containers.into_iter().flat_map(|container| container.env.unwrap_or_default());
        let files = variables.find(|variable| variable.name == "INTERNAL_TOKEN_FILE")?.value?;
        Some(files.split(',').map(str::to_owned).collect())
    };
    pods.list(&of_component).await.expect("the API server lists").items.into_iter().filter_map(files).collect()
}

async fn secret(cluster: &Cluster) -> Secret {
    let secrets = Api::<Secret>::namespaced(cluster.client.clone(), &cluster.namespace);
    secrets.get("notifications-internal").await.expect("the Secret of the tokens exists")
}

/// The tokens by the files that pods know them by.
fn tokens(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    let file = |key: &String| format!("/etc/sms/secrets/internal/{key}");
    data.map(|(key, value)| (file(key), String::from_utf8(value.0.clone()).expect("UTF-8"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_processor_ever_presents_a_token_that_an_api_refuses_also_when_the_operator_crashes_meanwhile() {
    let mut applied = Applied::new().await;
    let _node = Node::start(&applied.cluster);
    // Each stage waits until pods that end have had their time; an API sleeps for five seconds of it.
    let pods = json!({ "podTemplate": { "spec": { "terminationGracePeriodSeconds": 6 } } });
    let patch = json!({ "spec": { "api": pods, "processor": pods } }).to_string();
    applied.cluster.kubectl(&["patch", "smsp", "notifications", "--type=merge", "-p", &patch]);
    eventually("the pipeline is ready", LIMIT, async || (applied.condition("Ready")?.status == "True").then_some(()))
        .await;
    let before = tokens(&secret(&applied.cluster).await);
    assert_eq!(before.len(), 1);

    applied.cluster.kubectl(&["annotate", "smsp", "notifications", "smspipeline.dev/rotate-internal-token=2026-11"]);

    let asked = Instant::now();
    let (mut stages, mut crashed) = (Vec::new(), Vec::new());
    let mut seen = before.clone();
    eventually("the token is rotated", ROTATION, async || {
        // A stage lasts longer than these reads, so all of it is of one time.
        let (processors, apis) =
            (token_files(&applied.cluster, "processor").await, token_files(&applied.cluster, "api").await);
        let now = secret(&applied.cluster).await;
        for presented in processors.iter().flatten() {
            for accepted in &apis {
                assert!(accepted.contains(presented), "{presented} is not among {accepted:?}");
            }
        }
        seen.extend(tokens(&now));
        let stage = now.annotations().get("smspipeline.dev/internal-token-stage").cloned();
        if stages.last() != Some(&stage) {
            stages.push(stage.clone());
            if stage.as_deref() == Some("Accepted") || stage.as_deref() == Some("Presented") {
                // The Secret tells of a stage whose objects are perhaps not applied.
                applied.operator.kill();
                crashed.push(std::mem::replace(&mut applied.operator, applied.cluster.operator()));
            }
        }
        (stage.is_none() && now.annotations().contains_key("smspipeline.dev/rotate-internal-token")).then_some(())
    })
    .await;

    println!("the token was rotated, with two crashes, in {:.1?}", asked.elapsed());
    let told: Vec<_> = stages.iter().flatten().map(String::as_str).collect();
    assert_eq!(told, ["Accepted", "Presented", "Alone"]);
    let after = tokens(&secret(&applied.cluster).await);
    let new: Vec<_> = after.keys().cloned().collect();
    assert_eq!(new, ["/etc/sms/secrets/internal/token-2"]);
    assert!(before.values().all(|token| !after.values().any(|new| new == token)), "it is another token");
    for component in ["api", "processor"] {
        let files = token_files(&applied.cluster, component).await;
        assert!(!files.is_empty() && files.iter().all(|files| *files == new), "{component}: {files:?}");
    }
    eventually("the events tell", LIMIT, async || {
        let events = applied.cluster.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
        ["InternalTokenRotating", "InternalTokenRotated"].iter().all(|reason| events.contains(reason)).then_some(())
    })
    .await;
    let shown = applied.cluster.kubectl(&["get", "smsp,deployments,pods,events", "-o", "yaml"]);
    crashed.push(applied.operator);
    for token in seen.values() {
        assert!(!shown.contains(token), "a token is shown");
        assert!(crashed.iter().all(|operator| !operator.output().contains(token)), "a token was logged");
    }
    assert_eq!(seen.len(), 2, "a crash makes no further token");
}

/// The processes of one pipeline, whose APIs share an address as those behind a Service do.
struct Processes {
    folder: TempDir,
    address: Ipv4Addr,
    topics: String,
}

impl Processes {
    async fn prepared() -> Self {
        let processes =
            Self { folder: tempfile::tempdir().expect("a folder"), address: loopback_address(), topics: unique("sms") };
        let database = Environment::get().database().await;
        for (file, content) in [("uri", database.as_str()), ("old", "an-old-token"), ("new", "a-new-token")] {
            std::fs::write(processes.file(file), content).expect("the folder is writable");
        }
        // So many that half of all partitions cannot be without one of the requests: each of two processors has work.
        let partitions = |variable| if variable == "REQUESTS_TOPIC" { 6 } else { 1 };
        let topics = processes.topics().map(|(variable, name)| NewTopic {
            name,
            partitions: partitions(variable),
            replication_factor: 1,
            config: BTreeMap::new(),
        });
        let admin = Admin::new(&kafka::Settings::plaintext(&Environment::get().kafka), "tests").expect("a client");
        admin.create_topics(&topics).await.expect("the topics are made");
        let migrated = processes.command("sms-api").arg("migrate").stdin(Stdio::null()).output();
        assert!(migrated.expect("sms-api runs").status.success());
        processes
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn topics(&self) -> [(&'static str, String); 4] {
        let topic = |suffix: &str| format!("{}{suffix}", self.topics);
        [
            ("REQUESTS_TOPIC", topic(".requests")),
            ("HIGH_PRIORITY_TOPIC", topic(".high-priority")),
            ("LOW_PRIORITY_TOPIC", topic(".low-priority")),
            ("DEAD_LETTER_TOPIC", topic("-requests-dlq")),
        ]
    }

    fn command(&self, program: &str) -> Command {
        let environment = Environment::get();
        let mut command = Command::new(environment.bin_dir.join(program));
        command.env("DATABASE_URL_FILE", self.file("uri")).env("KAFKA_BOOTSTRAP_SERVERS", &environment.kafka);
        command.envs(self.topics());
        command
    }

    /// Starts a process that has these tokens and waits until it is ready.
    async fn start(&self, mut command: Command, tokens: &[&str]) -> Binary {
        let files: Vec<_> = tokens.iter().map(|token| self.file(token).display().to_string()).collect();
        let metrics = SocketAddr::from((loopback_address(), 9090));
        command.env("INTERNAL_TOKEN_FILE", files.join(",")).env("METRICS_ADDRESS", metrics.to_string());
        let process = Binary::start(command, &self.file(&unique("log-"))).with_metrics(metrics);
        eventually("the process is ready", LIMIT, async || process.is_ready().await.then_some(())).await;
        process
    }

    async fn api(&self, tokens: &[&str]) -> Binary {
        let mut command = self.command("sms-api");
        command.arg("serve").env("ANONYMOUS", "true").env("REUSE_PORT", "true");
        command.env("HTTP_ADDRESS", format!("{}:8080", self.address));
        command.env("INTERNAL_ADDRESS", format!("{}:8081", self.address));
        self.start(command, tokens).await
    }

    async fn processor(&self, token: &str) -> Binary {
        let mut command = self.command("sms-processor");
        command.env("CONSUMER_GROUP", &self.topics).env("REPORT_URL", format!("http://{}:8081", self.address));
        command.env("PROVIDER", r#"{"simulated":{"minDelay":"5ms","maxDelay":"20ms","failurePercent":0}}"#);
        self.start(command, &[token]).await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}:8080{path}", self.address)
    }

    /// How an internal call with this token is answered.
    async fn answer(&self, token: &str) -> StatusCode {
        let token = std::fs::read_to_string(self.file(token)).expect("the file is readable");
        let report = json!({ "message_id": "01890000-0000-7000-8000-000000000000", "status": "SENT" });
        let url = format!("http://{}:8081/v1/internal/delivery-report", self.address);
        let request = reqwest::Client::new().post(url).bearer_auth(token).json(&report);
        request.send().await.expect("the API answers").status()
    }
}

/// The reports of a processor by how they were answered.
async fn reports(processor: &Binary, result: &str) -> f64 {
    let name = format!("sms_report_total{{result=\"{result}\"}}");
    processor.metric(&name).await.expect("the processor counts its reports")
}

/// Posts messages until `is_over`; a replica that ends may break a connection, and that message was not accepted.
async fn post_messages(url: String, is_over: Arc<AtomicBool>) -> Vec<String> {
    let (client, mut accepted) = (reqwest::Client::new(), Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        let message =
            json!({ "sender": "+15550100", "recipient": format!("+1555{:07}", accepted.len()), "text": "hi" });
        if let Ok(answer) = client.post(&url).json(&message).send().await
            && answer.status() == StatusCode::ACCEPTED
            && let Ok(body) = answer.json::<Value>().await
        {
            accepted.push(body["id"].as_str().expect("an id").to_owned());
        }
    }
    accepted
}

#[tokio::test(flavor = "multi_thread")]
async fn while_processes_are_replaced_stage_by_stage_no_internal_call_is_refused() {
    let processes = Processes::prepared().await;
    let mut api = processes.api(&["old"]).await;
    let mut old_processor = processes.processor("old").await;
    let is_over = Arc::new(AtomicBool::new(false));
    let posting = tokio::spawn(post_messages(processes.url("/v1/messages"), Arc::clone(&is_over)));
    let until_it_reports = async |processor: &Binary| {
        let before = reports(processor, "accepted").await;
        eventually("the processor reports", LIMIT, async || {
            (reports(processor, "accepted").await > before).then_some(())
        })
        .await;
    };
    until_it_reports(&old_processor).await;
    assert_eq!(processes.answer("new").await, StatusCode::UNAUTHORIZED);

    let mut both = processes.api(&["old", "new"]).await;
    until_it_reports(&old_processor).await;
    assert_eq!(api.stop(), 0);
    until_it_reports(&old_processor).await;

    let new_processor = processes.processor("new").await;
    until_it_reports(&new_processor).await;
    until_it_reports(&old_processor).await;
    assert!(reports(&old_processor, "unauthorized").await < 1.0);
    assert_eq!(old_processor.stop(), 0);

    let _alone = processes.api(&["new"]).await;
    until_it_reports(&new_processor).await;
    assert_eq!(both.stop(), 0);
    until_it_reports(&new_processor).await;

    is_over.store(true, Ordering::Relaxed);
    let accepted = posting.await.expect("messages were posted");
    for id in &accepted {
        eventually("the message is SENT", LIMIT, async || {
            let message: Value =
                reqwest::get(processes.url(&format!("/v1/messages/{id}"))).await.ok()?.json().await.ok()?;
            (message["status"] == "SENT").then_some(())
        })
        .await;
    }
    println!("{} messages went through a rotation", accepted.len());
    assert!(reports(&new_processor, "unauthorized").await < 1.0);
    assert!(!old_processor.output().contains("refuses the token"), "{}", old_processor.output());
    assert_eq!(processes.answer("old").await, StatusCode::UNAUTHORIZED);
    assert_eq!(processes.answer("new").await, StatusCode::NOT_FOUND);
}
