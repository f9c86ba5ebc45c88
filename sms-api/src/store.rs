//! Every SQL statement of this service. Knows nothing of HTTP or Kafka.
//!
//! A function is named for what it promises, and each promise is one statement, so that it holds or does not
//! hold as a whole. A new promise is a function in the file of its table below `store/`.
//!
//! The compiler checks statements against what PostgreSQL made of them, kept in `sms-api/.sqlx`; after a change to a
//! statement or a migration, `cargo xtask queries` renews it. Only what is put together from parts is left to tests:
//! lists, whose statements share most of their text, and partitions, whose names are dates.

mod dead_letters;
mod due;
mod events;
mod lists;
mod messages;
mod outbox;
pub mod partitions;
mod redrive;
mod reports;
pub mod schema;
mod statistics;

use std::time::Duration;

use sqlx::{
    PgConnection, PgPool,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions, types::PgInterval},
};

pub use dead_letters::{DeadLetterFilter, KeptDeadLetters};
pub use due::{Changed, Looked, Searched};
pub use events::Event;
pub use lists::{Count, DEEPEST, Filter, Listed, Retried};
pub use messages::Batch;
pub use outbox::{LEASE, OutboxRow, PendingMessage, Unpublished};
pub use redrive::{RedrivenOne, RedrivenSome};
pub use reports::RetryFailed;
pub use statistics::Folded;

/// How long to wait for a connection, so that a request learns within two seconds that PostgreSQL is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long a statement may take, as PostgreSQL counts.
const STATEMENT_TIMEOUT: &str = "4s";
/// How long a statement may wait for what another one holds. All statements are short, so this is long.
const LOCK_TIMEOUT: &str = "1s";
/// How long a statement may take, as this process counts: it also covers a server that does not answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections of one replica for everything but storing messages: the relay's recovery, two at times for
/// maintenance, one for dead letters, and a few for reads and reports. Lists have [their own](lists), and so has
/// [forgetting](outbox) what was published.
const CONNECTIONS: u32 = 8;
/// Connections for storing messages, one for each writer: however many reports come, messages need not wait for them.
const WRITERS: u32 = 2;

/// Why a promise was not kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL refuses these rows, now and for ever. Its own words are left out: they can quote the row.
    #[error("PostgreSQL refused the data: SQLSTATE {code}, constraint {constraint:?}")]
    Refused {
        /// SQLSTATE of class 22 or 23.
        code: String,
        /// The violated constraint, where there is one.
        constraint: Option<String>,
    },
    /// Two transactions were in each other's way; the same statement may pass the next time.
    #[error("PostgreSQL rolled back a conflict: SQLSTATE {code}")]
    Conflict {
        /// SQLSTATE 40001 or 40P01.
        code: String,
    },
    /// Another transaction holds what this one needs, for longer than [`LOCK_TIMEOUT`]. Nothing was done.
    #[error("PostgreSQL did not get a lock within {LOCK_TIMEOUT}")]
    Locked,
    /// PostgreSQL cannot do it at this time. What was asked for may or may not have been committed.
    #[error("PostgreSQL is not available")]
    Away(#[source] sqlx::Error),
    /// No answer in time. What was asked for may or may not have been committed.
    #[error("PostgreSQL did not answer within {} s", ANSWER_TIMEOUT.as_secs())]
    Silent,
}

impl Error {
    /// Whether another statement was in the way, so that nothing was done and the same may pass the next time.
    pub fn passes(&self) -> bool {
        matches!(self, Self::Conflict { .. } | Self::Locked)
    }
}

/// Sorts an error by what its caller can do about it. Source: PostgreSQL manual, appendix A.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let Some(code) = error.as_database_error().and_then(sqlx::error::DatabaseError::code) else {
            return Self::Away(error);
        };
        match code.as_ref() {
            "40001" | "40P01" => Self::Conflict { code: code.into_owned() },
            "55P03" => Self::Locked,
            refused if refused.starts_with("22") || refused.starts_with("23") => Self::Refused {
                code: code.to_string(),
                constraint: error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned),
            },
            _ => Self::Away(error),
        }
    }
}

/// A pool that connects when it is first used, so that it exists before PostgreSQL does.
pub fn connect_lazily(options: PgConnectOptions) -> PgPool {
    let settings = [
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("lock_timeout", LOCK_TIMEOUT),
        // With ninety partitions, planning takes longer than most statements do.
        ("plan_cache_mode", "force_generic_plan"),
        // A plan is made while the partition of the day is empty, and used when it is full.
        ("enable_seqscan", "off"),
    ];
    let options = options.application_name("sms-api").options(settings);
    pool(options, CONNECTIONS)
}

fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT).connect_lazy_with(options)
}

/// A stretch of time in PostgreSQL's terms.
fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

/// The database as this service uses it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pool: PgPool,
    writers: PgPool,
    lists: PgPool,
    outbox: PgPool,
}

impl Store {
    /// Uses the connections of `pool`, and a few of its own to the same database for what has its own needs.
    pub fn new(pool: PgPool) -> Self {
        let options = || (*pool.connect_options()).clone();
        let writers = self::pool(options(), WRITERS);
        let lists = lists::connections(options());
        let outbox = outbox::connection(options());
        Self { pool, writers, lists, outbox }
    }

    /// Ends all connections.
    pub async fn close(&self) {
        futures::join!(self.pool.close(), self.writers.close(), self.lists.close(), self.outbox.close());
    }

    /// Runs one statement or transaction within [`ANSWER_TIMEOUT`].
    async fn run<T>(&self, statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> Result<T, Error> {
        run_in(&self.pool, statement).await
    }
}

async fn run_in<T>(
    pool: &PgPool,
    statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>,
) -> Result<T, Error> {
    let mut lease = Lease { connection: pool.acquire().await?, idle: false };
    let outcome = tokio::time::timeout(ANSWER_TIMEOUT, statement(&mut lease.connection)).await;
    lease.idle = outcome.is_ok();
    Ok(outcome.map_err(|_| Error::Silent)??)
}

/// A connection that returns to the pool only when its statement has ended: otherwise the pool would wait,
/// without a bound, for the answer of a server that may be gone.
struct Lease {
    connection: PoolConnection<sqlx::Postgres>,
    idle: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.idle {
            self.connection.close_on_drop();
        }
    }
}
