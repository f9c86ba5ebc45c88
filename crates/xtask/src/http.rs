//! Plain HTTP to our own processes on loopback.

use std::{net::SocketAddr, time::Duration};

use anyhow::Context;
use ureq::Agent;

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// Sends requests; gives up after two seconds.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
}

impl Client {
    /// A client with its own connections.
    pub fn new() -> Client {
        let settings = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(2)))
            .http_status_as_error(false)
            .proxy(None);
        Client { agent: settings.build().into() }
    }

    /// `GET http://ADDRESS/PATH`.
    pub fn get(&self, address: SocketAddr, path: &str) -> anyhow::Result<Answer> {
        let url = format!("http://{address}{path}");
        read(self.agent.get(&url).call()).with_context(|| format!("GET {url} failed"))
    }

    /// `POST http://ADDRESS/PATH` with a JSON body.
    pub fn post(&self, address: SocketAddr, path: &str, json: &str) -> anyhow::Result<Answer> {
        let url = format!("http://{address}{path}");
        let request = self.agent.post(&url).header("content-type", "application/json");
        read(request.send(json)).with_context(|| format!("POST {url} failed"))
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Answer> {
    let mut answer = answer?;
    let body = answer.body_mut().read_to_string()?;
    Ok(Answer { status: answer.status().as_u16(), body })
}
