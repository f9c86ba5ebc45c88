//! 202 means stored, and the same Idempotency-Key makes one message, whatever is killed meanwhile.

use std::{
    collections::BTreeSet,
    path::Path,
    time::{Duration, Instant},
};

use devstack::{Cache, Durability, Postgres, PostgresBinaries, PostgresSettings, Silent};
use futures::{StreamExt, future::join_all, stream};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};
use tests::{Environment, LocalPipeline, PipelineSettings, eventually};
use tokio::sync::watch;

/// Posts until it is answered at all, as a client that repeats its request does.
async fn post_until_answered(pipeline: &LocalPipeline, key: &str, body: &Value) -> (StatusCode, String) {
    eventually("an answer", Duration::from_mins(1), async || {
        let request = pipeline.client().post(pipeline.url("/v1/messages")).header("idempotency-key", key).json(body);
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        (status != StatusCode::SERVICE_UNAVAILABLE && status != StatusCode::CONFLICT).then_some((status, text))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_posts_with_one_key_over_three_replicas_and_a_kill_make_one_message() {
    let settings = PipelineSettings { api_replicas: 3, ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;
    let replicas = pipeline.replicas("api");
    assert_eq!(replicas.len(), 3);
    let body = json!({ "sender": "+15550100", "recipient": "+15550101", "text": "once" });
    let posts = join_all((0..100).map(|_| post_until_answered(&pipeline, "the-key", &body)));
    let kill = async {
        let mut database = PgConnection::connect(&pipeline.database_url).await.expect("PostgreSQL answers");
        let mut stored = async || -> i64 {
            let count = sqlx::query_scalar("select count(*) from message");
            count.fetch_one(&mut database).await.expect("a count")
        };
        while stored().await == 0 {
            tokio::task::yield_now().await;
        }
        pipeline.kill(&replicas[0]);
    };
    let (answers, ()) = tokio::join!(posts, kill);
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::ACCEPTED), "{answers:?}");
    let bodies: BTreeSet<_> = answers.into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 1, "everybody got the same answer");
    let mut database = PgConnection::connect(&pipeline.database_url).await.expect("PostgreSQL answers");
    let row = sqlx::query("select count(*) from message").fetch_one(&mut database).await.expect("a count");
    assert_eq!(row.get::<i64, _>(0), 1);
}

/// `cargo xtask test --soak-seconds` makes it longer.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_202_becomes_final_through_kills_of_the_api_and_restarts_of_postgresql() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut postgres = Some(start_postgres(folder.path(), None));
    let url = postgres.as_ref().map(|postgres| postgres.url("notifications"));
    let port = postgres.as_ref().map(Postgres::port);
    let settings = PipelineSettings { api_replicas: 2, database_url: url, ..PipelineSettings::default() };
    let pipeline = LocalPipeline::ready(settings).await;

    let ends = Instant::now() + Environment::get().soak;
    let (running, stopped) = watch::channel(true);
    let clients = join_all((0..16).map(|client| client_until(&pipeline, client, stopped.clone())));
    let chaos = async {
        let mut rounds = 0;
        while Instant::now() < ends {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(500..2000))).await;
            if rounds % 4 == 3 {
                if let Some(mut postgres) = postgres.take() {
                    postgres.server().kill();
                }
                postgres = Some(start_postgres(folder.path(), port));
            } else if let Some(replica) = pipeline.replicas("api").first() {
                pipeline.kill(replica);
            }
            rounds += 1;
        }
        running.send_replace(false);
    };
    let (accepted, ()) = tokio::join!(clients, chaos);
    let accepted: Vec<String> = accepted.into_iter().flatten().collect();
    println!("{} messages were accepted", accepted.len());
    assert!(accepted.len() > 50, "only {} messages were accepted", accepted.len());
    // A message is final only when its record was in the topic.
    let all_final = stream::iter(&accepted).for_each_concurrent(64, async |id| {
        pipeline.until_final(id, Duration::from_mins(2)).await;
    });
    all_final.await;
}

/// Posts one message after the other; returns the ids of those that were answered 202.
async fn client_until(pipeline: &LocalPipeline, client: u64, running: watch::Receiver<bool>) -> Vec<String> {
    let mut accepted = Vec::new();
    while *running.borrow() {
        let recipient = format!("+1555{client:02}{:05}", accepted.len());
        let body = json!({ "sender": "+15550100", "recipient": recipient, "text": "hello" });
        match pipeline.client().post(pipeline.url("/v1/messages")).json(&body).send().await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => {
                // An answer that is cut off after its status was an answer, but the client does not know its id.
                let Ok(body) = response.json::<Value>().await else { continue };
                accepted.push(body["id"].as_str().expect("an id").to_owned());
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    accepted
}

fn start_postgres(folder: &Path, port: Option<u16>) -> Postgres {
    let cache = Cache::of_this_machine().expect("a cache");
    let binaries = PostgresBinaries::install(&cache, &Silent).expect("PostgreSQL is in the cache");
    let databases = &["notifications"][..];
    let settings = PostgresSettings { folder, port, durability: Durability::Durable, databases };
    Postgres::start(&binaries, &settings).expect("PostgreSQL starts")
}
