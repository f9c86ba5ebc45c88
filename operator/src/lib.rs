//! The control plane: an `SmsPipeline` becomes objects in a cluster, or processes on one machine, and topics
//! in Kafka.
//!
//! Knows neither sms-api nor the processor as code: it starts them, and tells them what they need by
//! environment and mounted Secrets.

pub mod brokers;
pub mod cli;
pub mod config;
pub mod controller;
pub mod crd;
pub mod file;
pub mod lag;
pub mod leadership;
pub mod local;
pub mod metrics;
pub mod scaling;
pub mod yaml;
