//! Connections: how many there may be, and for how long one may do nothing.

use std::time::Duration;

use sms_api::http::Limits;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::replica::Replica;

const HEAD: Duration = Duration::from_millis(300);
/// Far more than anything here takes.
const LONG: Duration = Duration::from_secs(20);

async fn replica(database: &PgPool, connections: usize, head: Duration) -> Replica {
    Replica::without_kafka_and(database, |parts| parts.http = Limits { connections, head }).await
}

async fn connect(replica: &Replica) -> TcpStream {
    TcpStream::connect(replica.host()).await.expect("the port is open")
}

async fn send(connection: &mut TcpStream, bytes: &str) {
    connection.write_all(bytes.as_bytes()).await.expect("the connection is open");
}

/// What comes before the connection is closed.
async fn rest(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let closed = timeout(LONG, connection.read_to_end(&mut answer)).await.expect("the connection is closed");
    closed.expect("the connection is closed in good order");
    String::from_utf8(answer).expect("UTF-8")
}

#[sqlx::test(migrations = "./migrations")]
async fn who_does_not_finish_the_head_of_a_request_is_let_go(database: PgPool) {
    let replica = replica(&database, 10, HEAD).await;
    // The second and third could still become HTTP/2, and HTTP/1.1.
    for begun in ["", "P", "POST /v1/messages HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = connect(&replica).await;
        send(&mut connection, begun).await;
        let answer = rest(&mut connection).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{begun:?}: {answer}");
    }
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_connection_on_which_nothing_more_is_asked_is_closed(database: PgPool) {
    let replica = replica(&database, 10, HEAD).await;
    let mut connection = connect(&replica).await;
    send(&mut connection, &"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3)).await;
    assert_eq!(rest(&mut connection).await.matches("HTTP/1.1 404").count(), 3);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_connection_too_many_waits_until_another_one_ends(database: PgPool) {
    let replica = replica(&database, 1, LONG).await;
    let (mut first, mut second) = (connect(&replica).await, connect(&replica).await);
    let request = "GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    send(&mut second, request).await;
    let mut byte = [0];
    assert!(timeout(Duration::from_millis(200), second.read(&mut byte)).await.is_err(), "the first one is open");
    send(&mut first, request).await;
    for connection in [&mut first, &mut second] {
        assert!(rest(connection).await.starts_with("HTTP/1.1 404"));
    }
    replica.stop().await;
}
