//! What sms-api is compared with: inserts of the row that it writes itself, into the same table, by the same
//! client library, with nothing around them.

use std::{
    rc::Rc,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::Context;
use fastrand::Rng;
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::phase::BATCH;
use crate::{
    load::{GRACE, Load, Tally, finish},
    message::{Numbers, TEXT},
};

/// What differs from one message to the next; all other columns that sms-api's own insert
/// (`sms-api/src/store/messages.rs`) names have their defaults in a message without options.
const COLUMNS: &str = "id, tenant, sender, recipient, text";
/// Whose messages are stored where nobody authenticates.
const TENANT: &str = "default";

static SINGLE_ROW: LazyLock<String> =
    LazyLock::new(|| format!("insert into message ({COLUMNS}) values ($1, $2, $3, $4, $5)"));

static MANY_ROWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "insert into message ({COLUMNS})
         select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])"
    )
});

/// The two ways of inserting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A statement and a transaction for each row.
    SingleRow,
    /// A statement and a transaction for [`BATCH`] rows, as arrays; a list of values costs PostgreSQL as much.
    ManyRows,
}

impl Reference {
    /// Keeps every connection busy for `duration`. The answers that it counts are inserts.
    pub async fn flat_out(
        self,
        database: &PgConnectOptions,
        connections: usize,
        duration: Duration,
    ) -> anyhow::Result<Load> {
        let mut opened = Vec::with_capacity(connections);
        for _ in 0..connections {
            opened.push(PgConnection::connect_with(database).await.context("cannot connect to PostgreSQL")?);
        }
        let tally = Tally::expecting(0);
        let began = Instant::now();
        let end = began + duration;
        let mut tasks = JoinSet::new();
        for mut db in opened {
            let tally = Rc::clone(&tally);
            tasks.spawn_local(async move {
                let mut random = Rng::new();
                let mut sent = Instant::now();
                while sent < end {
                    self.insert(&mut db, &mut random).await.context("a reference insert failed")?;
                    let answered = Instant::now();
                    tally.borrow_mut().succeeded(answered - sent);
                    sent = answered;
                }
                db.close().await.context("a connection to PostgreSQL broke")
            });
        }
        finish(&mut tasks, duration + GRACE).await?;
        tally.borrow_mut().close(began.elapsed())
    }

    async fn insert(self, db: &mut PgConnection, random: &mut Rng) -> sqlx::Result<()> {
        match self {
            Reference::SingleRow => {
                let numbers = Numbers::random(random);
                let insert = sqlx::query(SINGLE_ROW.as_str());
                let insert = insert.bind(Uuid::now_v7()).bind(TENANT);
                insert.bind(numbers.sender()).bind(numbers.recipient()).bind(TEXT).execute(db).await?;
            }
            Reference::ManyRows => {
                let numbers: Vec<_> = (0..BATCH).map(|_| Numbers::random(random)).collect();
                let ids: Vec<_> = numbers.iter().map(|_| Uuid::now_v7()).collect();
                let senders: Vec<_> = numbers.iter().map(|numbers| numbers.sender()).collect();
                let recipients: Vec<_> = numbers.iter().map(|numbers| numbers.recipient()).collect();
                let insert = sqlx::query(MANY_ROWS.as_str());
                let insert = insert.bind(ids).bind(vec![TENANT; BATCH]);
                insert.bind(senders).bind(recipients).bind(vec![TEXT; BATCH]).execute(db).await?;
            }
        }
        Ok(())
    }
}
