//! What the processor promises, on a real Kafka and against a real HTTP server in sms-api's place.
//!
//! `KAFKA_BOOTSTRAP_SERVERS` names the broker. Every test has topics and a consumer group of its own, so
//! all of them run side by side.

mod backpressure;
mod crash;
mod dead_letters;
mod delivery;
mod harness;
mod http_provider;
mod kills;
mod load;
mod order;
mod provider_end;
mod rebalance;
mod report_end;
mod reports;
mod settings;
mod shutdown;
mod topics;
mod traces;
mod unknown;
