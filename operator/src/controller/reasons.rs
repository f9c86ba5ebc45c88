//! Every reason that a condition or an event can give, in one table: alerts and scripts may rely on the names, and
//! docs/reasons.md is this table.

/// One reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Its name, which never changes.
    pub name: &'static str,
    /// Whether somebody has to do something.
    pub severity: Severity,
    /// What it says, and what to do where that is not in the message.
    pub meaning: &'static str,
}

/// Whether somebody has to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody has.
    Normal,
    /// Somebody probably has.
    Warning,
}

const fn normal(name: &'static str, meaning: &'static str) -> Reason {
    Reason { name, severity: Severity::Normal, meaning }
}

const fn warning(name: &'static str, meaning: &'static str) -> Reason {
    Reason { name, severity: Severity::Warning, meaning }
}

/// Declares each reason and the table of all.
macro_rules! reasons {
    ($($constant:ident = $severity:ident($name:literal, $meaning:literal);)*) => {
        $(#[doc = $meaning] pub const $constant: Reason = $severity($name, $meaning);)*
        /// Every reason, in the order of the table.
        pub const ALL: &[Reason] = &[$($constant),*];
    };
}

reasons! {
    ALL_READY = normal("AllReady", "Everything runs as asked for.");
    NOT_REACHED = normal("NotReached", "An earlier step has to succeed first.");
    FOUND = normal("Found", "Every Secret that the spec names is there.");
    READ_FAILED = warning("ReadFailed", "The API server did not let the operator read a Secret, or did not answer.");
    SECRET_NOT_FOUND = warning("SecretNotFound", "A Secret that the spec names does not exist.");
    SECRET_KEY_NOT_FOUND = warning("SecretKeyNotFound", "A Secret lacks the key that the spec names.");
    INVALID_SECRET = warning("InvalidSecret", "A Secret's value cannot be used for what the spec names it for.");
    INVALID_DATABASE_URL = warning("InvalidDatabaseUrl", "A Secret's value is no PostgreSQL URL.");
    INVALID_API_KEYS = warning("InvalidApiKeys", "A Secret's value cannot be an API keys file.");
    INVALID_AUTHENTICATION = warning("InvalidAuthentication", "The spec does not say who may use the API.");
    INVALID_TEMPLATE = warning("InvalidTemplate", "A template of the provider has a mistake: the message says which and where.");
    INVALID_POD_OPTION = warning("InvalidPodOption", "A pod option of the spec cannot be carried out.");
    AS_WANTED = normal("AsWanted", "Every topic exists with the partitions and settings asked for.");
    TOPICS_PENDING = normal("TopicsPending", "New topics are not yet known by every broker.");
    TOPICS_DIFFER = warning("TopicsDiffer", "Topics differ in a way that may not be changed.");
    TOPIC_RECREATED = warning("TopicRecreated", "A topic is not the one that the pipeline used before.");
    TOPIC_VANISHED = warning("TopicVanished", "A topic that the pipeline used is gone.");
    REPLICATION_FACTOR_DIFFERS = warning("ReplicationFactorDiffers", "A topic is kept on fewer brokers than asked for.");
    PARTITION_GROWTH_FORBIDDEN = warning("PartitionGrowthForbidden", "A topic has fewer partitions, and may not grow.");
    TOPIC_OWNED_BY_ANOTHER = warning("TopicOwnedByAnother", "Another pipeline, perhaps of another cluster, uses the topics.");
    TOPIC_REFUSED = warning("TopicRefused", "Kafka refused to make or change a topic.");
    KAFKA_UNREACHABLE = warning("KafkaUnreachable", "No broker answers.");
    KAFKA_LOGIN_FAILED = warning("KafkaLoginFailed", "The brokers refuse user name or password.");
    KAFKA_TLS_FAILED = warning("KafkaTlsFailed", "No encrypted connection to the brokers comes about.");
    INVALID_KAFKA_SETTINGS = warning("InvalidKafkaSettings", "No client can be made of the settings for Kafka.");
    SAFE = normal("Safe", "No setting of the brokers endangers messages.");
    NOT_READABLE = normal("NotReadable", "The settings of the brokers cannot be read, so nothing is known of them.");
    UNSAFE_BROKER_SETTINGS = warning("UnsafeBrokerSettings", "A setting of the brokers can lose messages.");
    REPLICAS_READY = normal("ReplicasReady", "As many replicas are ready as are wanted.");
    REPLICAS_NOT_READY = normal("ReplicasNotReady", "Replicas are starting, or cannot start: see the message and the pods.");
    NAME_CONFLICT = warning("NameConflict", "An object of that name belongs to somebody else: remove it or rename the pipeline.");
    NOT_APPLIED = warning("NotApplied", "An object could not be made or changed: see the message.");
    NOT_PAUSED = normal("NotPaused", "The operator carries out what the spec says.");
    PAUSED = normal("Paused", "The operator changes nothing, because spec.paused or the annotation says so.");
    TOPIC_IN_USE = normal("TopicInUse", "A topic was made, or one that existed is used.");
    TOPICS_CHANGED = normal("TopicsChanged", "Settings of topics or of the consumer group were set as the spec says.");
    OBJECTS_CHANGED = normal("ObjectsChanged", "Objects were made, changed or deleted: the message names them.");
    TOPICS_DELETED = normal("TopicsDeleted", "The topics were deleted with the pipeline, as onDelete says.");
    TOPICS_KEPT = warning("TopicsKept", "The pipeline went without its topics, although onDelete is Delete: see the message.");
    TOKEN_ROTATING = normal("InternalTokenRotating", "The token of internal calls is being replaced, as the annotation asks.");
    TOKEN_ROTATED = normal("InternalTokenRotated", "The token of internal calls was replaced.");
    TOPIC_GREW = normal("TopicGrew", "A topic has more partitions than before: what waits for a recipient may be overtaken once.");
    FIXED_REPLICAS = normal("FixedReplicas", "The spec says itself how many processors run.");
    DECIDING = normal("Deciding", "The operator finds the number of processors and carries it out.");
    DRY_RUN = normal("DryRun", "The number of processors is found and only told.");
    HELD = normal("Held", "The number of processors stays as it is, because the pipeline is paused or an annotation says so.");
    INVALID_HOLD = warning("InvalidHold", "The annotation that holds the number of processors is no time, so the number stays as it is.");
    SIGNAL_UNKNOWN = warning("SignalUnknown", "It is not known how much there is to do, so no processor is taken away.");
    CRASH_LOOPING = warning("CrashLooping", "Processors end again and again.");
    FALLBACK = warning("Fallback", "Waiting took too long: fallbackReplicas run, or as many as there were.");
    EVENLY_LOADED = normal("EvenlyLoaded", "No partition needs more than a processor can do.");
    HOT_PARTITION = warning("HotPartition", "A partition needs more than a processor can do, which no further processor helps.");
    PARTITION_STUCK = warning("PartitionStuck", "Messages of a partition wait although its processor has room: look at that partition.");
    NOT_LIMITED = normal("NotLimited", "More processors would do more.");
    AT_MAXIMUM = warning("AtMaximum", "More processors are needed than maxReplicas lets run.");
    PROVIDER_LIMIT = normal("ProviderLimit", "The provider takes no more, so that more processors do not help.");
    PROVIDER_FAILING = warning("ProviderFailing", "The provider fails most of what it gets, so that more processors do not help.");
    STEP_WITHOUT_EFFECT = warning("StepWithoutEffect", "The last processors that were added brought nearly nothing.");
    THROUGHPUT_AS_USUAL = normal("ThroughputAsUsual", "Processors do as much as they used to.");
    THROUGHPUT_DEGRADED = warning("ThroughputDegraded", "Processors have done far less than they used to for ten minutes.");
    SCALED_UP = normal("ScaledUp", "Processors were added.");
    SCALED_DOWN = normal("ScaledDown", "Processors were taken away.");
    SCALING_TOLD = normal("ScalingTold", "The number of processors would have been changed, if it were carried out.");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_name_of_its_own_that_kubernetes_accepts() {
        let names: BTreeSet<_> = ALL.iter().map(|reason| reason.name).collect();
        assert_eq!(names.len(), ALL.len());
        for name in names {
            assert!(name.starts_with(|first: char| first.is_ascii_uppercase()), "{name}");
            assert!(name.chars().all(|character| character.is_ascii_alphanumeric()), "{name}");
        }
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reasons.md");
        let text = std::fs::read_to_string(path).expect("docs/reasons.md is readable");
        let row = |reason: &Reason| format!("| `{}` | {:?} | {} |", reason.name, reason.severity, reason.meaning);
        let documented: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(documented, ALL.iter().map(row).collect::<Vec<_>>());
    }
}
