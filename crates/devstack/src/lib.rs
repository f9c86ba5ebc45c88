//! Real PostgreSQL, Apache Kafka and a Kubernetes control plane as child processes, all on loopback.
//!
//! `xtask` runs the product and its tests on them. Everything is fetched or built once, pinned by
//! `pom.xml`, `kubernetes/go.mod`, `helm/go.mod` and `schemathesis/requirements.txt` in this crate,
//! and kept in a [`Cache`] outside `target/`. A server stops when its value is dropped and dies with
//! the process that started it.
//!
//! The crate knows nothing of SMS. To add a server: where its program comes from beside
//! [`PostgresBinaries`], how it runs in a file of its own on top of [`Server`], what it needs of the
//! machine in `prerequisites.rs`.

mod account;
mod artifacts;
mod cache;
mod claim;
mod environment;
mod error;
mod go;
mod helm;
mod kafka;
mod kubernetes;
mod log_file;
mod ports;
mod postgres;
pub mod prerequisites;
mod progress;
mod random;
mod schemathesis;
mod server;
mod spawn;
mod tool;

pub use artifacts::{KafkaJars, PostgresBinaries};
pub use cache::Cache;
pub use claim::Claim;
pub use error::Error;
pub use helm::Helm;
pub use kafka::{JavaTuning, Kafka, KafkaBinaries, KafkaSettings, SecureListener};
pub use kubernetes::{ControlPlane, KubernetesBinaries};
pub use log_file::{LogFile, last_lines};
pub use ports::{free_port, probe};
pub use postgres::{Durability, Postgres, PostgresSettings};
pub use progress::{Progress, Silent};
pub use schemathesis::Schemathesis;
pub use server::{AfterOurDeath, Server, ServerSettings};
pub use spawn::{dying_with_us, spawn};
