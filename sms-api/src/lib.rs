//! The HTTP side of an SMS pipeline: takes messages, stores them in PostgreSQL, hands them to Kafka, and takes
//! the delivery reports that come back.
//!
//! A message's way: [`routes`] → [`ingest`] (committed here, answered 202) → [`relay`] → Kafka. What the processors
//! gave up comes back through [`dead_letters`]. Everything is testable through [`serve`]; `main` only reads settings.
//! What must never be: SQL outside [`store`], rdkafka outside `relay/producer.rs` and `dead_letters/consumer.rs`, a
//! dependency on the operator or the processor.

pub mod access;
pub mod api_keys;
pub mod config;
pub mod dead_letters;
pub mod http;
pub mod ingest;
pub mod maintenance;
pub mod message;
pub mod metrics;
pub mod migrate;
mod outage;
pub mod problem;
pub mod rate_limit;
mod readiness;
pub mod relay;
pub mod routes;
pub mod schedule;
pub mod segments;
mod server;
pub mod statistics;
pub mod store;
pub mod submission;

pub use server::{Listeners, Parts, serve};
