//! sms-api with a real PostgreSQL and a real Kafka, through its ports.
//!
//! `DATABASE_URL` and `KAFKA_BOOTSTRAP_SERVERS` say where they are; `cargo xtask test` sets both. Every test has
//! a database and a topic of its own.

mod endpoints;
mod group_commit;
mod lifecycle;
mod publishing;
mod replica;
mod reports;
mod topic;
