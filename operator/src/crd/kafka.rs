use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KafkaSecurity;

/// The Kafka cluster and the topics in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kafka {
    /// Brokers to ask first, as `host:port`, separated by commas.
    #[x_kube(validation = Rule::new("self.matches('^[^,:\\\\s]+:[0-9]{1,5}(,[^,:\\\\s]+:[0-9]{1,5})*$')").message("bootstrapServers must be host:port, several separated by commas"))]
    #[schemars(length(max = 2048))]
    pub bootstrap_servers: String,
    /// How connections to the brokers are secured.
    #[serde(default)]
    pub security: KafkaSecurity,
    /// How processors share the partitions: `Consumer` is KIP-848, `Classic` is for brokers before 4.0.
    #[serde(default)]
    pub group_protocol: GroupProtocol,
    /// The topics of the pipeline.
    #[serde(default)]
    pub topics: Topics,
}

/// How processors share the partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GroupProtocol {
    /// The broker assigns (KIP-848, Kafka 4.0 and later).
    #[default]
    Consumer,
    /// A member assigns, cooperative-sticky (Kafka 3.7 and later).
    Classic,
}

/// The topics of the pipeline: `<prefix>.requests`, `<prefix>.high-priority`, `<prefix>.low-priority` and
/// `<prefix>-requests-dlq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(
    validation = Rule::new("self.prefix == oldSelf.prefix").message("prefix cannot be changed: the messages are in the topics of the old one"),
    validation = Rule::new("self.replicationFactor == oldSelf.replicationFactor").message("replicationFactor cannot be changed: reassign the partitions with Kafka's own tools"),
    validation = Rule::new("self.partitions >= oldSelf.partitions").message("partitions cannot shrink: Kafka cannot remove partitions"),
    validation = Rule::new("self.partitions <= oldSelf.partitions || self.partitionGrowth == 'Acknowledge'").message("partitions can grow only with partitionGrowth: Acknowledge, because growing changes which partition a recipient maps to")
)]
#[serde(rename_all = "camelCase")]
pub struct Topics {
    /// What the names of the topics start with.
    #[serde(default = "default_prefix")]
    #[x_kube(validation = Rule::new("self.matches('^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$')").message("prefix must have 1 to 100 characters of a-z, A-Z, 0-9, '.', '_' and '-', the first a letter or digit"))]
    #[schemars(length(max = 100))]
    pub prefix: String,
    /// How many partitions each requests topic has: the upper bound of processors that work at once.
    #[serde(default = "default_partitions")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("partitions must be from 1 to 1000"))]
    pub partitions: i32,
    /// On how many brokers each partition is kept. It cannot be changed: topics that exist are moved with Kafka's own tools.
    #[serde(default = "default_replication_factor")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 10").message("replicationFactor must be from 1 to 10"))]
    pub replication_factor: i32,
    /// How long records are kept, such as `7d`; messages live in the database for longer. A change is carried out: a
    /// shorter time deletes what is older.
    #[serde(default = "default_retention")]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(s|m|h|d)$')").message("retention must be a whole number with a unit s, m, h or d, such as 7d"))]
    #[schemars(length(max = 10))]
    pub retention: String,
    /// What becomes of the topics when the pipeline is deleted.
    #[serde(default)]
    pub on_delete: OnDelete,
    /// Whether partitions may be added.
    #[serde(default)]
    pub partition_growth: PartitionGrowth,
}

/// What becomes of the topics when the pipeline is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnDelete {
    /// They stay, with all that is in them.
    #[default]
    Retain,
    /// They are deleted, unless they are no longer those that the pipeline used.
    Delete,
}

/// Whether partitions may be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PartitionGrowth {
    /// They may not.
    #[default]
    Forbid,
    /// They may, and it is understood that a recipient's key then maps to another partition.
    Acknowledge,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            prefix: default_prefix(),
            partitions: default_partitions(),
            replication_factor: default_replication_factor(),
            retention: default_retention(),
            on_delete: OnDelete::default(),
            partition_growth: PartitionGrowth::default(),
        }
    }
}

fn default_prefix() -> String {
    "sms".to_owned()
}

/// Source: ADR-007, horizontal scaling.
fn default_partitions() -> i32 {
    6
}

fn default_replication_factor() -> i32 {
    3
}

fn default_retention() -> String {
    "7d".to_owned()
}
