//! A Kafka that wants TLS and a password: the whole pipeline goes through it, and a wrong password is told as such.

use std::{fs, time::Duration};

use devstack::{Cache, JavaTuning, Kafka, KafkaBinaries, KafkaSettings, Silent};
use serde_json::json;
use tests::{LocalPipeline, PipelineSettings, eventually};

const LIMIT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_on_a_secured_kafka_works_once_its_password_is_right_and_the_password_is_never_printed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binaries = KafkaBinaries::install(&Cache::of_this_machine().expect("a cache"), &Silent).expect("Kafka");
    let settings = KafkaSettings { folder: folder.path(), port: None, tuning: JavaTuning::QuickStart };
    let broker = Kafka::start_secured(&binaries, &settings).expect("the broker starts");
    let listener = broker.secure().expect("it was started secured");
    let authority = fs::read_to_string(listener.authority()).expect("the file is readable");
    let secret = |key: &str, value: &str| ["notifications-kafka".to_owned(), key.to_owned(), value.to_owned()];
    let reference = |key: &str| json!({ "name": "notifications-kafka", "key": key });
    let pipeline = LocalPipeline::start(PipelineSettings {
        kafka: Some(listener.bootstrap_servers()),
        kafka_security: json!({
            "protocol": "SaslSsl",
            "tls": { "caSecretRef": reference("ca.crt") },
            "sasl": { "usernameSecretRef": reference("username"), "passwordSecretRef": reference("password") },
        }),
        secrets: vec![secret("ca.crt", &authority), secret("username", listener.user()), secret("password", "hunter2")],
        ..PipelineSettings::default()
    })
    .await;
    let message = eventually("the wrong password is told", LIMIT, async || {
        let (status, reason, message) = pipeline.condition("TopicsReady")?;
        (status == "False" && reason == "KafkaLoginFailed").then_some(message)
    })
    .await;
    assert!(message.contains("spec.kafka.security.sasl"), "{message}");

    pipeline.replace_secret("notifications-kafka", "password", listener.password());

    pipeline.until_ready().await;
    let id = pipeline.accepted(1).await;
    pipeline.until_final(&id, LIMIT).await;
    let output = pipeline.output();
    assert!(!output.contains("hunter2") && !output.contains(listener.password()), "a password was printed");
}
