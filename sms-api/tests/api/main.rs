//! sms-api with a real PostgreSQL and a real Kafka, through its ports.
//!
//! `DATABASE_URL` and `KAFKA_BOOTSTRAP_SERVERS` say where they are; `cargo xtask test` sets both. Every test has
//! a database and a topic of its own.

mod access;
mod api_keys;
mod batches;
mod claims;
mod connections;
mod dead_letter_topic;
mod dead_letters;
mod document;
mod documented_answers;
mod dry_run;
mod endpoints;
mod events;
mod group_commit;
mod idempotency;
mod lifecycle;
mod lists;
mod logs;
mod partitions;
mod publishing;
mod rate_limit;
mod redrive;
mod replica;
mod reports;
mod request_id;
mod schedule;
mod statistics;
mod topic;
