//! A first message and its way, so that everybody sees at once that it works.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::{
    http::{Answer, Client},
    screen::Screen,
    signals::StopRequest,
};

const FINAL_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// The body of a request that every pipeline accepts.
pub fn example() -> String {
    json!({"sender": "+15550100", "recipient": "+15550101", "text": "Hello from cargo xtask up"}).to_string()
}

/// Posts the example and tells how far it gets. A pipeline that refuses it, for instance because it
/// asks for an API key, still runs, so this is told and nothing else happens.
pub fn send(client: &Client, api: SocketAddr, stop: &mut StopRequest, screen: &Screen) {
    if let Err(error) = follow(client, api, stop, screen) {
        screen.say(&format!("first message: {error:#}"));
    }
}

fn follow(client: &Client, api: SocketAddr, stop: &mut StopRequest, screen: &Screen) -> anyhow::Result<()> {
    let began = Instant::now();
    let answer = client.post(api, "/v1/messages", &example())?;
    let took = began.elapsed();
    let id = accepted_id(&answer)?;
    screen.say(&format!("first message: {} in {} ms", answer.status, took.as_millis()));

    while !stop.within(POLL) {
        let message: Value = serde_json::from_str(&client.get(api, &format!("/v1/messages/{id}"))?.body)?;
        if let Some(end) = describe_end(&message, began.elapsed()) {
            screen.say(&format!("first message: {end}"));
            return Ok(());
        }
        if began.elapsed() > FINAL_WITHIN {
            bail!("still {} after {} s", message["status"], FINAL_WITHIN.as_secs());
        }
    }
    Ok(())
}

fn accepted_id(answer: &Answer) -> anyhow::Result<String> {
    if answer.status != 202 {
        bail!("answered with {} instead of 202: {}", answer.status, answer.body.trim());
    }
    let body: Value = serde_json::from_str(&answer.body).context("the answer to the first message is not JSON")?;
    Ok(body["id"].as_str().context("the answer to the first message has no id")?.to_owned())
}

/// `SENT after 2.1 s`, or `FAILED after 1.2 s: reason`; the simulated provider fails one in ten.
fn describe_end(message: &Value, took: Duration) -> Option<String> {
    let took = took.as_secs_f32();
    match message["status"].as_str()? {
        "SENT" => Some(format!("SENT after {took:.1} s")),
        "FAILED" => {
            let reason = message["failure_reason"].as_str().unwrap_or("no reason given");
            Some(format!("FAILED after {took:.1} s: {reason}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_message_is_described_with_its_time_and_reason() {
        let took = Duration::from_millis(2140);
        assert_eq!(describe_end(&json!({"status": "SENT"}), took).as_deref(), Some("SENT after 2.1 s"));
        let failed = json!({"status": "FAILED", "failure_reason": "simulated failure"});
        assert_eq!(describe_end(&failed, took).as_deref(), Some("FAILED after 2.1 s: simulated failure"));
        assert_eq!(describe_end(&json!({"status": "PENDING"}), took), None);
    }

    #[test]
    fn an_answer_other_than_202_is_shown_as_it_is() {
        let answer = Answer { status: 401, body: "no key".to_owned() };
        let error = accepted_id(&answer).expect_err("it was refused");
        assert_eq!(error.to_string(), "answered with 401 instead of 202: no key");
    }
}
