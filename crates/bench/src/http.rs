//! An HTTP/1.1 connection for one request after the other, no more than a load generator needs.
//!
//! The service shares the machine's cores with it, so a client library that makes header maps and body streams
//! would be measured along with the service. Answers must have a content length, as those of sms-api have.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Headers of an answer at most.
const HEADERS: usize = 32;
/// What an answer needs as a rule, in bytes.
const USUAL: usize = 4096;

/// A connection that stays open.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// The last answer, and nothing else: the next one comes only after the next request.
    answer: Vec<u8>,
    head: Head,
}

/// Where an answer ends, and what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    status: u16,
    length: usize,
    body_length: usize,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true).context("cannot switch Nagle's algorithm off")?;
        Ok(Connection { stream, answer: Vec::with_capacity(USUAL), head: Head::default() })
    }

    /// Sends a whole request, reads the whole answer and returns its status.
    pub async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream.write_all(request).await.context("the connection broke while a request was sent")?;
        self.answer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.answer).await;
            if read.context("the connection broke while an answer was read")? == 0 {
                bail!("the connection was closed before the answer was complete");
            }
            let Some(head) = parse(&self.answer)? else { continue };
            let missing = (head.length + head.body_length).saturating_sub(self.answer.len());
            if missing > 0 {
                self.read_exactly(missing).await?;
            }
            self.head = head;
            return Ok(head.status);
        }
    }

    /// `GET` of a path, whatever its status.
    pub async fn get(&mut self, path: &str) -> anyhow::Result<u16> {
        self.exchange(&get(path)).await
    }

    /// The body of the last answer as text.
    pub fn body(&self) -> String {
        String::from_utf8_lossy(&self.answer[self.head.length..]).into_owned()
    }

    async fn read_exactly(&mut self, missing: usize) -> anyhow::Result<()> {
        let end = self.answer.len() + missing;
        self.answer.reserve(missing);
        while self.answer.len() < end {
            let read = self.stream.read_buf(&mut self.answer).await;
            if read.context("the connection broke while an answer was read")? == 0 {
                bail!("the connection was closed before the answer was complete");
            }
        }
        Ok(())
    }
}

/// A whole `GET` request.
pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// The head of an answer; `None` while it is not complete.
fn parse(answer: &[u8]) -> anyhow::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(answer).context("the answer is not HTTP/1.1")?;
    let httparse::Status::Complete(length) = parsed else { return Ok(None) };
    let content_length = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body_length = content_length
        .and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok())
        .context("the answer has no content length")?;
    let status = response.code.context("the answer has no status")?;
    Ok(Some(Head { status, length, body_length }))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[track_caller]
    fn check(answer: &str, expected: Option<Head>) {
        assert_eq!(parse(answer.as_bytes()).expect("HTTP"), expected);
    }

    #[test]
    fn status_and_length_are_read() {
        let answer = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}";
        check(answer, Some(Head { status: 202, length: answer.len() - 2, body_length: 2 }));
    }

    #[test]
    fn half_a_head_is_no_answer_yet() {
        check("HTTP/1.1 202 Accepted\r\ncontent-le", None);
    }

    #[test]
    fn an_answer_whose_end_nobody_knows_is_refused() {
        let error = parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").expect_err("no length");
        assert_eq!(error.to_string(), "the answer has no content length");
    }

    #[tokio::test]
    async fn answers_that_come_in_pieces_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("our client");
            stream.set_nodelay(true).expect("a socket");
            for answer in [
                ["HTTP/1.1 202 Accepted\r\nconte", "nt-length: 5\r\n\r\nfi", "rst"],
                ["HTTP/1.1 503 Service Unavailable\r\ncontent-length: 6\r\n\r\n", "sec", "ond"],
            ] {
                let mut request = [0; 256];
                assert!(stream.read(&mut request).await.expect("a request") > 0);
                for piece in answer {
                    stream.write_all(piece.as_bytes()).await.expect("our client reads");
                    tokio::task::yield_now().await;
                }
            }
        };
        let client = async {
            let mut connection = Connection::open(address).await.expect("our server");
            assert_eq!(connection.get("/").await.expect("an answer"), 202);
            assert_eq!(connection.body(), "first");
            assert_eq!(connection.get("/").await.expect("an answer"), 503);
            assert_eq!(connection.body(), "second");
            let error = connection.get("/").await.expect_err("the server is gone");
            assert!(error.to_string().contains("connection"), "{error:#}");
        };
        tokio::join!(server, client);
    }
}
