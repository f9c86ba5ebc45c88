//! Keeps the checks `database` and `kafka` up to date. An unreachable dependency never ends the process:
//! restarting it would not bring the dependency back.

use std::time::Duration;

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use telemetry::{Check, error_chain};
use tokio::{sync::watch, time::timeout};

use crate::store::schema::{self, Schema};

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Watches PostgreSQL through a connection of its own, so that a busy pool does not look like a lost database
/// and the reason given is the true one.
pub async fn watch_database(options: PgConnectOptions, check: Check) {
    let options = options.application_name("sms-api readiness");
    let mut connection = None;
    loop {
        match timeout(TIMEOUT, schema_state(&options, &mut connection)).await {
            Ok(Ok(Schema::Fits)) => check.up(),
            Ok(Ok(Schema::Missing)) => check.down("the schema is missing: run `sms-api migrate`"),
            Ok(Ok(Schema::TooOld { found, needed })) => {
                check.down(format!("the schema has version {found}, needed is {needed}: run `sms-api migrate`"));
            }
            Ok(Err(error)) => check.down(format!("PostgreSQL cannot be used: {}", error_chain(&error))),
            Err(_) => {
                connection = None;
                check.down(format!("PostgreSQL does not answer within {} s", TIMEOUT.as_secs()));
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Asks through the kept connection, which is dropped when it fails.
async fn schema_state(options: &PgConnectOptions, kept: &mut Option<PgConnection>) -> sqlx::Result<Schema> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => options.connect().await?,
    };
    let state = schema::state(&mut connection).await?;
    *kept = Some(connection);
    Ok(state)
}

/// Watches whether Kafka answers and has the requests topics; tells it to the relay, too. Never creates a topic.
///
/// Once it was there, its loss no longer makes this replica unready: messages go on to be stored, delivery reports
/// need only PostgreSQL, and all replicas would leave their Services at the same moment.
pub async fn watch_kafka(admin: kafka::Admin, topics: Vec<String>, check: Check, is_up: watch::Sender<bool>) {
    let mut was_up = false;
    loop {
        let problem = match admin.describe_topics(topics.clone()).await {
            Ok(found) => {
                let missing = topics.iter().find(|topic| !found.contains_key(*topic));
                missing.map(|topic| format!("topic {topic:?} does not exist"))
            }
            Err(error) => Some(error_chain(&error)),
        };
        is_up.send_replace(problem.is_none());
        match problem {
            None => {
                was_up = true;
                check.up();
            }
            Some(reason) if was_up => check.impaired(reason),
            Some(reason) => check.down(reason),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
