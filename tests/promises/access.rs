//! Only who has an API key gets in, from the Secret to the answer.

use std::{process::Command, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{Environment, LocalPipeline, PipelineSettings, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_key_of_the_secret_sends_and_reads_and_nobody_else_does() {
    let (first_entry, first_key) = new_key("first");
    let (second_entry, second_key) = new_key("second");
    let api_keys = Some(json!({ "keys": [first_entry] }));
    let pipeline = LocalPipeline::ready(PipelineSettings { api_keys, ..PipelineSettings::default() }).await;

    assert_eq!(send(&pipeline, None).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(send(&pipeline, Some(&second_key)).await.0, StatusCode::UNAUTHORIZED);
    let (status, message) = send(&pipeline, Some(&first_key)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{message}");
    let url = pipeline.url(&format!("/v1/messages/{}", message["id"].as_str().expect("an id")));
    eventually("the message is SENT or FAILED", Duration::from_secs(30), async || {
        let found = pipeline.client().get(&url).bearer_auth(&first_key).send().await.ok()?;
        let message: Value = found.json().await.ok()?;
        matches!(message["status"].as_str(), Some("SENT" | "FAILED")).then_some(())
    })
    .await;

    let api = pipeline.replicas("api");
    pipeline.replace_api_keys(&json!({ "keys": [second_entry] }));
    eventually("the new key is known", Duration::from_secs(30), async || {
        (send(&pipeline, Some(&second_key)).await.0 == StatusCode::ACCEPTED).then_some(())
    })
    .await;
    assert_eq!(send(&pipeline, Some(&first_key)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(pipeline.replicas("api"), api, "keys are replaced without a restart");
    for key in [first_key, second_key] {
        assert!(!pipeline.output().contains(&key), "keys are never logged");
    }
}

/// The entry of a key that may send and read, and the key.
fn new_key(name: &str) -> (Value, String) {
    let program = Environment::get().bin_dir.join("sms-api");
    let made = Command::new(program).args(["new-api-key", "--name", name, "--scopes", "send,read"]).output();
    let made = made.expect("sms-api runs");
    let entry = serde_json::from_slice(&made.stdout).expect("an entry");
    (entry, String::from_utf8(made.stderr).expect("UTF-8").trim_end().to_owned())
}

async fn send(pipeline: &LocalPipeline, key: Option<&str>) -> (StatusCode, Value) {
    let message = json!({ "sender": "+15550100", "recipient": "+15550101", "text": "hello" });
    let mut request = pipeline.client().post(pipeline.url("/v1/messages")).json(&message);
    if let Some(key) = key {
        request = request.bearer_auth(key);
    }
    let answer = request.send().await.expect("the API answers");
    (answer.status(), answer.json().await.expect("a JSON body"))
}
