//! Fills the table of messages as a day would: ids of version 7 that are spread over today (UTC), and so lie in one
//! partition, whatever their number.

use anyhow::{Context, ensure};
use sqlx::FromRow;
use uuid::Uuid;

use crate::{
    database::Database,
    message::{RECIPIENT_PREFIX, SENDER_PREFIX, TEXT},
};

/// Rows of one insert: progress is seen after each.
const CHUNK: u32 = 250_000;
/// How many messages are read again and again. More than PostgreSQL's buffers hold once they lie far apart.
const SAMPLES: i32 = 10_000;

/// Rows `$1` to `$2`, of `$3` that are spread over the day. All have been SENT: rows that wait would be work for
/// sms-api. Version and variant of an id are the digits 7 and 8; what is random in it is made of the row's number.
const FILL: &str = "
    insert into message (id, tenant, sender, recipient, text, status)
    select
        (lpad(to_hex((extract(epoch from date_trunc('day', now(), 'UTC')) * 1000)::bigint
                     + number * 86400000 / $3), 12, '0')
         || '7' || substr(md5(number::text), 1, 3)
         || '8' || substr(md5(number::text), 4, 15))::uuid,
        'default',
        $4 || number % 10,
        $5 || lpad((number * 7919 % 1000000)::text, 6, '0'),
        $6,
        'SENT'
    from generate_series($1::bigint, $2::bigint) number";

/// A message that was stored.
#[derive(Clone, Debug, FromRow)]
pub struct Sample {
    /// Its id.
    pub id: Uuid,
    /// Its sender.
    pub sender: String,
    /// Its recipient.
    pub recipient: String,
}

/// The table of messages, which nobody else fills.
#[derive(Debug)]
pub struct Table {
    database: Database,
    rows: u32,
}

impl Table {
    /// An empty one.
    pub fn new(database: Database) -> Table {
        Table { database, rows: 0 }
    }

    /// How many messages there are.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Adds messages until there are so many, and leaves the table as PostgreSQL's own maintenance would.
    pub async fn grow_to(&mut self, rows: u32) -> anyhow::Result<()> {
        while self.rows < rows {
            let next = rows.min(self.rows + CHUNK);
            sqlx::query(FILL)
                .bind(i64::from(self.rows))
                .bind(i64::from(next) - 1)
                .bind(i64::from(rows))
                .bind(SENDER_PREFIX)
                .bind(RECIPIENT_PREFIX)
                .bind(TEXT)
                .execute(self.database.connection())
                .await
                .context("cannot fill the table of messages")?;
            self.rows = next;
            println!("{next} of {rows} messages are there");
        }
        self.database.run("vacuum (analyze) message").await?;
        self.database.checkpoint().await
    }

    /// Some of the messages.
    pub async fn samples(&mut self) -> anyhow::Result<Vec<Sample>> {
        let query = "select id, sender, recipient from message order by random() limit $1";
        let samples: Vec<Sample> = sqlx::query_as(query)
            .bind(SAMPLES)
            .fetch_all(self.database.connection())
            .await
            .context("cannot choose messages to read")?;
        ensure!(!samples.is_empty(), "there are no messages to read");
        Ok(samples)
    }
}
