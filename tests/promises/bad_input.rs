//! Bad input gets a clear error, and a missing neighbour is waited for, not died of.

use std::{net::TcpListener, process::Command, time::Duration};

use devstack::{Cache, Durability, Postgres, PostgresBinaries, PostgresSettings, Silent};
use reqwest::StatusCode;
use serde_json::json;
use tests::{Cluster, Environment, LocalPipeline, PipelineSettings, eventually, loopback_address, reserved_port};

use crate::crashes::start_kafka;

const EXAMPLE: &str = include_str!("../../crds/examples/quickstart.yaml");

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_message_is_answered_with_every_wrong_field() {
    let pipeline = LocalPipeline::ready(PipelineSettings::default()).await;

    let answer = pipeline.post(&json!({ "sender": "nobody", "recipient": "+15550101", "text": "" })).await;

    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.content_type, "application/problem+json");
    let pointers = answer.body["errors"].as_array().expect("errors").iter().map(|error| error["pointer"].clone());
    let mut pointers: Vec<_> = pointers.collect();
    pointers.dedup();
    assert_eq!(pointers, ["#/sender", "#/text"], "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_pipeline_is_refused_with_the_same_words_in_a_cluster_and_without_one() {
    let invalid = [
        ("partitions: 6", "partitions: 0", "spec.kafka.topics.partitions", "partitions must be from 1 to 1000"),
        (
            "minDelay: 1s",
            "minDelay: 1m",
            "spec.processor.provider.simulated",
            "minDelay must not be longer than maxDelay",
        ),
        (
            "failurePercent: 10",
            "failurePercent: 101",
            "simulated.failurePercent",
            "failurePercent must be from 0 to 100",
        ),
        (
            "provider:\n",
            "provider:\n      http: { url: \"https://sms.example/\" }\n",
            "spec.processor.provider",
            "provider must hold either simulated or http",
        ),
        (
            "simulated: {",
            "http: { url: \"https://sms.example/\", json: {}, form: {} } #",
            "spec.processor.provider.http",
            "a request has only one body",
        ),
        ("prefix: sms", "prefix: '#'", "spec.kafka.topics.prefix", "prefix must have 1 to 100 characters"),
        ("  api:\n", "  messages: { retention: 1d }\n  api:\n", "spec.messages.retention", "from 2d to 3650d"),
        ("{ anonymous: {} }", "{}", "spec.api.authentication", "either apiKeysSecretRef: { name: SECRET }"),
        ("name: notifications\n", "name: sms.prod\n", "metadata.name must have", "the first a letter"),
    ];
    let cluster = Cluster::namespace().await;
    for (from, to, field, words) in invalid {
        let manifest = EXAMPLE.replacen(from, to, 1);
        assert_ne!(manifest, EXAMPLE, "{from:?} is in the example");
        let file = cluster.file("invalid.yaml", &manifest);
        let path = file.display().to_string();

        let by_the_cluster = cluster.try_kubectl(&["apply", "-f", &path]);
        let without_one = local(&path).output().expect("sms-operator starts");

        for refused in [by_the_cluster, without_one] {
            let error = String::from_utf8_lossy(&refused.stderr);
            assert!(!refused.status.success());
            assert!(error.contains(words) && error.contains(field), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_accepted_by_a_cluster() {
    let cluster = Cluster::namespace().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/examples");
    for example in std::fs::read_dir(folder).expect("crds/examples is a folder") {
        let path = example.expect("crds/examples is readable").path().display().to_string();
        let answer = cluster.try_kubectl(&["apply", "--dry-run=server", "-f", &path]);
        assert!(answer.status.success(), "{path}: {}", String::from_utf8_lossy(&answer.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told_in_one_line_with_the_flag_that_changes_it() {
    let address = loopback_address();
    let _taken = TcpListener::bind((address, 8080)).expect("a free address");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("pipeline.yaml");
    std::fs::write(&file, EXAMPLE).expect("the folder is writable");
    let mut command = local(&file.display().to_string());
    for (flag, port) in [("--api-address", 8080), ("--internal-address", 8081), ("--metrics-address", 9090)] {
        command.args([flag, &format!("{address}:{port}")]);
    }

    let output = command.output().expect("sms-operator starts");

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(&format!("{address}:8080")) && error.contains("--api-address"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_started_before_its_database_and_broker_says_so_and_heals_when_they_come() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (database_port, kafka_port) = (reserved_port(), reserved_port());
    let postgres_folder = folder.path().join("postgres");
    let kafka_folder = folder.path().join("kafka");
    // The database is there once, so that its URL is known, and then away.
    let postgres = start_postgres(&postgres_folder, database_port);
    let database_url = postgres.url("postgres");
    drop(postgres);

    let settings = PipelineSettings {
        kafka: Some(format!("127.0.0.1:{kafka_port}")),
        database_url: Some(database_url),
        ..PipelineSettings::default()
    };
    let pipeline = LocalPipeline::start(settings).await;
    eventually("both are named in the conditions", Duration::from_secs(30), async || {
        let (topics, reason, _) = pipeline.condition("TopicsReady")?;
        let (api, _, message) = pipeline.condition("ApiAvailable")?;
        let told = message.contains(&format!("PostgreSQL at 127.0.0.1:{database_port} does not answer"));
        (topics == "False" && reason == "KafkaUnreachable" && api == "False" && told).then_some(())
    })
    .await;
    assert!(!pipeline.output().contains("ended by itself"), "nothing crashes for want of a neighbour");

    let _postgres = start_postgres(&postgres_folder, database_port);
    let _broker = start_kafka(&kafka_folder, Some(kafka_port));
    pipeline.until_ready().await;
    let id = pipeline.accepted(1).await;
    pipeline.until_final(&id, Duration::from_secs(20)).await;
    assert!(!pipeline.output().contains("ended by itself"), "nothing crashed on the way");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_is_refused_leaves_what_runs_running() {
    let pipeline = LocalPipeline::ready(PipelineSettings::default()).await;
    let before = pipeline.replicas("processor");

    pipeline.edit(r#""partitions":3"#, r#""partitions":2"#);
    eventually("the refusal is told", Duration::from_secs(20), async || {
        pipeline.output().contains("partitions cannot shrink").then_some(())
    })
    .await;

    let id = pipeline.accepted(1).await;
    pipeline.until_final(&id, Duration::from_secs(10)).await;
    assert_eq!(pipeline.replicas("processor"), before);
}

fn local(file: &str) -> Command {
    let mut command = Command::new(Environment::get().bin_dir.join("sms-operator"));
    let state = std::path::Path::new(file).with_extension("state");
    command.args(["local", "-f", file, "--state-dir"]).arg(state);
    command
}

fn start_postgres(folder: &std::path::Path, port: u16) -> Postgres {
    let cache = Cache::of_this_machine().expect("a cache");
    let binaries = PostgresBinaries::install(&cache, &Silent).expect("PostgreSQL is in the cache");
    let settings = PostgresSettings { folder, port: Some(port), durability: Durability::Disposable, databases: &[] };
    Postgres::start(&binaries, &settings).expect("PostgreSQL starts")
}
