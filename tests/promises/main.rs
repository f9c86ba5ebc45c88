//! Promises of the whole system, each kept by the product as a user starts it.

mod access;
mod autoscaling;
mod backoff;
mod bad_input;
mod chart;
mod cluster;
mod cluster_autoscaling;
mod commands;
mod crashes;
mod delivery;
mod disturbances;
mod ingest;
mod leadership;
mod mutation;
mod objects;
mod ownership;
mod providers;
mod repository;
mod rotation;
mod rules;
mod secrets;
mod secured_kafka;
mod topics;
mod tracing;
mod up;
