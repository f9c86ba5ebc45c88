use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How much one processor has to do and does: the answer to `GET /load` on its metrics port.
///
/// Sums only grow while the process lives, so whoever asks twice gets rates from the differences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// When it was so; the answer is renewed about twice a second.
    pub at: Timestamp,
    /// Since when sums are added up: since the process began.
    pub since: Timestamp,
    /// How many messages are in work at once at most.
    pub max_in_flight: u32,
    /// Its CPU time; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuLoad>,
    /// One for each priority, the most urgent one first.
    pub lanes: Vec<LaneLoad>,
}

/// The CPU time of one processor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuLoad {
    /// Sum: seconds of CPU time that it has used.
    pub used_seconds: f64,
    /// How many CPUs it may use at once, such as 0.5.
    pub available: f64,
}

/// The part of one priority.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneLoad {
    /// The topic that it is read from.
    pub topic: String,
    /// Sum: messages worked off, however that ended.
    pub processed: u64,
    /// Sum: those among them that were not sent.
    pub failed: u64,
    /// Sum: seconds for which slots were taken, added up over all slots.
    pub busy_seconds: f64,
    /// Messages in work.
    pub in_flight: u32,
    /// Sum: seconds in which messages waited for nothing but the provider's limit.
    pub throttled_seconds: f64,
    /// How long the oldest message that was read and is not finished has been in Kafka; none when all are finished.
    pub oldest_unfinished_seconds: Option<f64>,
    /// The partitions that this processor reads.
    pub partitions: Vec<PartitionLoad>,
}

/// How far one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionLoad {
    /// Its number.
    pub partition: i32,
    /// The first offset that is not finished; none while nothing is known of it.
    pub position: Option<i64>,
    /// How many messages behind the position are finished, and so no backlog.
    pub finished_beyond: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_report_stays_readable() {
        let golden = include_str!("../golden/load.json").trim_end();
        let decoded: Load = serde_json::from_str(golden).expect("golden load decodes");
        assert_eq!(serde_json::to_string(&decoded).expect("load encodes"), golden);
    }

    #[test]
    fn a_processor_that_does_not_know_its_cpu_time_tells_the_rest() {
        let text = r#"{"at":"2026-11-24T14:20:00Z","since":"2026-11-24T14:00:00Z","max_in_flight":4000,"lanes":[]}"#;
        let decoded: Load = serde_json::from_str(text).expect("it decodes");
        assert_eq!((decoded.cpu, serde_json::to_string(&decoded).expect("load encodes").as_str()), (None, text));
    }
}
