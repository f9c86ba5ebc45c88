//! What the tests of whole-system promises stand on: the product as a user starts it, on real servers.
//!
//! `cargo xtask test` starts one PostgreSQL, one Kafka and one Kubernetes control plane for the whole run;
//! every test takes a database, a topic prefix, a namespace and a loopback address of its own from here, so
//! that all run side by side. The binaries under test are started as processes, never linked.

mod binary;
mod cluster;
mod collector;
mod environment;
mod node;
mod pipeline;
mod processors;
mod waiting;

pub use binary::Binary;
pub use cluster::Cluster;
pub use collector::{Collector, RecordedSpan};
pub use environment::{Environment, loopback_address, reserved_port, unique};
pub use node::Node;
pub use pipeline::{Answer, LocalPipeline, PipelineSettings, Replica};
pub use processors::Processors;
pub use waiting::eventually;
