//! Sends requests from many connections and counts the answers. Everything happens on one thread.

mod constant_rate;

use std::{
    cell::RefCell,
    mem,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use crate::{http::Connection, message::PostRequest, statistics::Latencies};

pub use constant_rate::constant_rate;

/// How much longer than it should a load may take: an answer that is still missing then will not come.
pub const GRACE: Duration = Duration::from_secs(30);

/// The status of an accepted message.
pub const ACCEPTED: u16 = 202;

/// What a connection sends, request by request.
pub trait Requests {
    /// The whole next request.
    fn next(&mut self) -> &[u8];
}

impl Requests for PostRequest {
    fn next(&mut self) -> &[u8] {
        PostRequest::next(self)
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Load {
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Answers as expected, or inserts.
    pub answers: u64,
    /// Answers with another status.
    pub refused: u64,
    /// Of the answers as expected.
    pub latencies: Latencies,
}

/// What comes of it, as it comes. One for all connections.
#[derive(Debug)]
pub struct Tally {
    expected: u16,
    answers: u64,
    refused: u64,
    first_refusal: Option<String>,
    latencies: Latencies,
}

impl Tally {
    /// Nothing yet; answers shall have this status.
    pub fn expecting(status: u16) -> Rc<RefCell<Tally>> {
        let tally =
            Tally { expected: status, answers: 0, refused: 0, first_refusal: None, latencies: Latencies::new() };
        Rc::new(RefCell::new(tally))
    }

    /// Counts one answer.
    fn count(&mut self, status: u16, connection: &Connection, latency: Duration) {
        if status == self.expected {
            self.succeeded(latency);
        } else {
            self.refused += 1;
            self.first_refusal.get_or_insert_with(|| format!("{status}: {}", connection.body()));
        }
    }

    /// Counts one answer as expected.
    pub fn succeeded(&mut self, latency: Duration) {
        self.answers += 1;
        self.latencies.record(latency);
    }

    /// The end. An error when nothing worked: there is nothing to measure then.
    pub fn close(&mut self, elapsed: Duration) -> anyhow::Result<Load> {
        let latencies = mem::replace(&mut self.latencies, Latencies::new());
        match &self.first_refusal {
            Some(refusal) if self.answers == 0 => {
                bail!("no answer had status {}; the first one had {refusal}", self.expected)
            }
            _ => Ok(Load { elapsed, answers: self.answers, refused: self.refused, latencies }),
        }
    }
}

/// Keeps every connection busy for `duration`: each sends the next request as soon as it has an answer.
pub async fn flat_out<R: Requests + 'static>(
    service: SocketAddr,
    requests: Vec<R>,
    duration: Duration,
    expected: u16,
) -> anyhow::Result<Load> {
    let connections = open(service, requests.len()).await?;
    let tally = Tally::expecting(expected);
    let began = Instant::now();
    let end = began + duration;
    let mut tasks = JoinSet::new();
    for (mut connection, mut requests) in connections.into_iter().zip(requests) {
        let tally = Rc::clone(&tally);
        tasks.spawn_local(async move {
            let mut sent = Instant::now();
            while sent < end {
                let status = connection.exchange(requests.next()).await?;
                let answered = Instant::now();
                tally.borrow_mut().count(status, &connection, answered - sent);
                sent = answered;
            }
            anyhow::Ok(())
        });
    }
    finish(&mut tasks, duration + GRACE).await?;
    tally.borrow_mut().close(began.elapsed())
}

/// Opens all connections before the clock starts.
async fn open(service: SocketAddr, count: usize) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(service).await?);
    }
    Ok(connections)
}

/// Waits for the tasks of all connections within a bound, or for the first error.
pub async fn finish(tasks: &mut JoinSet<anyhow::Result<()>>, bound: Duration) -> anyhow::Result<()> {
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended.context("a connection's task failed")??;
        }
        Ok(())
    };
    match tokio::time::timeout(bound, all).await {
        Ok(ended) => ended,
        Err(_) => bail!("connections that still wait for an answer after {} s: {}", bound.as_secs(), tasks.len()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
        task::LocalSet,
    };

    use super::*;

    const STALL: Duration = Duration::from_millis(100);

    /// A service that answers every request with `status`, the first one of each connection only after [`STALL`].
    async fn stalling(status: u16) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        tokio::task::spawn_local(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::task::spawn_local(answer(connection, status));
            }
        });
        address
    }

    async fn answer(mut connection: TcpStream, status: u16) {
        let answer = format!("HTTP/1.1 {status} \r\ncontent-length: 3\r\n\r\nyes");
        let mut request = [0; 4096];
        let mut pause = STALL;
        while connection.read(&mut request).await.is_ok_and(|read| read > 0) {
            tokio::time::sleep(mem::take(&mut pause)).await;
            connection.write_all(answer.as_bytes()).await.expect("the client waits for it");
        }
    }

    #[tokio::test]
    async fn a_stall_delays_every_request_that_is_due_meanwhile() {
        let measure = async {
            let service = stalling(202).await;
            let requests = vec![PostRequest::single(service)];
            constant_rate(service, requests, Duration::from_millis(150), 1000, 202).await.expect("it answers")
        };
        let load = LocalSet::new().run_until(measure).await;
        assert_eq!((load.answers, load.refused), (150, 0));
        // Had each request counted from when it was sent, one of 150 would have been slow.
        assert!(load.latencies.figures().p50_ms > 20.0, "{:?}", load.latencies.figures());
    }

    #[tokio::test]
    async fn flat_out_every_connection_waits_for_its_answer() {
        let measure = async {
            let service = stalling(202).await;
            let requests = vec![PostRequest::single(service), PostRequest::single(service)];
            flat_out(service, requests, STALL, 202).await.expect("it answers")
        };
        let load = LocalSet::new().run_until(measure).await;
        assert!(load.answers >= 2 && load.elapsed >= STALL, "{load:?}");
        assert!(load.latencies.figures().max_ms >= 100.0, "{:?}", load.latencies.figures());
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_an_error() {
        let mut tasks = JoinSet::new();
        let finished = async {
            tasks.spawn_local(std::future::ready(Ok(())));
            tasks.spawn_local(std::future::pending());
            finish(&mut tasks, Duration::from_millis(20)).await
        };
        let error = LocalSet::new().run_until(finished).await.expect_err("one waits for ever").to_string();
        assert_eq!(error, "connections that still wait for an answer after 0 s: 1");
    }

    #[tokio::test]
    async fn nothing_is_measured_where_everything_is_refused() {
        let measure = async {
            let service = stalling(404).await;
            flat_out(service, vec![PostRequest::single(service)], Duration::from_millis(1), 202).await
        };
        let error = LocalSet::new().run_until(measure).await.expect_err("all are refused").to_string();
        assert_eq!(error, "no answer had status 202; the first one had 404: yes");
    }
}
