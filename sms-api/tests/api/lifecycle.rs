//! Start, readiness and end.

use std::{net::SocketAddr, time::Duration};

use clap::Parser;
use futures::future::join_all;
use sms_api::{
    Listeners,
    config::{Cli, Command, Config},
    migrate,
};
use sqlx::{PgPool, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    replica::{Replica, eventually, message},
    topic::Topic,
};

#[sqlx::test(migrations = false)]
async fn a_replica_is_ready_as_soon_as_the_schema_is_there(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    eventually("a reason for not being ready", async || {
        let (status, report) = replica.observed("/readyz").await;
        (status == 503 && report.contains("the schema is missing: run `sms-api migrate`")).then_some(())
    })
    .await;
    let (options, shutdown) = ((*database.connect_options()).clone(), CancellationToken::new());
    let migrations = join_all((0..3).map(|_| migrate::run(&options, &shutdown))).await;
    assert!(migrations.into_iter().all(|result| result.is_ok()), "three at once wait for each other");
    eventually("readiness", async || (replica.observed("/readyz").await.0 == 200).then_some(())).await;
    replica.accepted("after the migration").await;
    assert_eq!(replica.observed("/healthz").await.0, 200);
    replica.stop().await;
}

#[sqlx::test(migrations = "./migrations")]
async fn a_replica_without_kafka_is_alive_but_not_ready_and_stores(database: PgPool) {
    let replica = Replica::without_kafka(&database).await;
    eventually("a reason for not being ready", async || {
        let (status, report) = replica.observed("/readyz").await;
        (status == 503 && report.contains(r#"{"name":"database","status":"UP"}"#) && report.contains("Kafka call"))
            .then_some(())
    })
    .await;
    assert_eq!(replica.observed("/healthz").await.0, 200);
    replica.accepted("kept in the outbox").await;
    replica.stop().await;
    let waiting: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(&database).await.expect("a count");
    assert_eq!(waiting, 1);
}

/// A request whose handler waits for the body: only then the client is told to go on.
async fn begun(replica: &Replica, body: &str) -> TcpStream {
    let mut connection = TcpStream::connect(replica.host()).await.expect("an open port");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.expect("an open connection");
    let mut answer = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    connection.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection
}

#[sqlx::test(migrations = "./migrations")]
async fn on_shutdown_every_request_that_has_begun_is_answered_and_published_first(database: PgPool) {
    let topic = Topic::create().await;
    let replica = Replica::start(&database, &topic).await;
    let bodies: Vec<String> = (0..20).map(|number| message(&number.to_string()).to_string()).collect();
    let mut connections = join_all(bodies.iter().map(|body| begun(&replica, body))).await;
    replica.begin_shutdown();
    let refused = async || TcpStream::connect(replica.host()).await.is_err().then_some(());
    eventually("nobody new is let in", refused).await;
    for (connection, body) in connections.iter_mut().zip(&bodies) {
        connection.write_all(body.as_bytes()).await.expect("an open connection");
    }
    for connection in &mut connections {
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("the whole answer");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
    timeout(Duration::from_secs(10), replica.stop()).await.expect("the end comes soon");
    for _ in &bodies {
        topic.next().await;
    }
    let waiting: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(&database).await.expect("a count");
    assert_eq!(waiting, 0);
}

#[tokio::test]
async fn a_migration_waits_for_postgresql_and_ends_promptly_on_shutdown() {
    let nobody = PgConnectOptions::new().host("127.0.0.1").port(1);
    let shutdown = CancellationToken::new();
    let migration = migrate::run(&nobody, &shutdown);
    tokio::pin!(migration);
    assert!(timeout(Duration::from_millis(500), &mut migration).await.is_err(), "it gave up");
    shutdown.cancel();
    let ended = timeout(Duration::from_millis(500), migration).await.expect("a prompt end");
    assert!(ended.is_err(), "work that was not done is not reported as done");
}

#[sqlx::test(migrations = "./migrations")]
async fn a_newer_schema_is_left_to_newer_replicas(database: PgPool) {
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (99999999999999, 'of a later version', true, '', 0)",
    )
    .execute(&database)
    .await
    .expect("a row");
    migrate::run(&(*database.connect_options()).clone(), &CancellationToken::new()).await.expect("nothing to do");
    let replica = Replica::start(&database, &Topic::create().await).await;
    eventually("readiness", async || (replica.observed("/readyz").await.0 == 200).then_some(())).await;
    replica.stop().await;
}

fn config(http: SocketAddr, reuse_port: bool) -> Config {
    let cli = Cli::parse_from([
        "sms-api",
        "serve",
        "--database-url-file=/nowhere",
        "--internal-token-file=/nowhere",
        "--kafka-bootstrap-servers=nobody:1",
        "--internal-address=127.0.0.1:0",
        "--metrics-address=127.0.0.1:0",
        &format!("--http-address={http}"),
        &format!("--reuse-port={reuse_port}"),
    ]);
    let Command::Serve(config) = cli.command else { panic!("serve was asked for") };
    *config
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_purpose() {
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = taken.local_addr().expect("a bound address");
    for reuse_port in [false, true] {
        let error = Listeners::bind(&config(address, reuse_port)).await.expect_err("the port is taken");
        let line = format!("{error:#}");
        assert!(line.starts_with(&format!("cannot listen on {address} for the public API: ")), "{line}");
    }
}

#[tokio::test]
async fn replicas_of_one_machine_can_share_an_address() {
    let any = "127.0.0.1:0".parse().expect("an address");
    let first = Listeners::bind(&config(any, true)).await.expect("a free port");
    let address = first.public.local_addr().expect("a bound address");
    Listeners::bind(&config(address, true)).await.expect("the address is shared");
    Listeners::bind(&config(address, false)).await.expect_err("not with those who do not share");
}
