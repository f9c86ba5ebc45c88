//! What was found.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{cluster::Cluster, samples::named};
use crate::{processes::Memory, servers::Operator};

/// Verbs of requests that change something, as the API server calls them.
const WRITES: [&str; 6] = ["POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"];
/// Verbs of requests that read, and end.
const READS: [&str; 2] = ["GET", "LIST"];
/// The call that describes topics, many at once.
const DESCRIBE: &str = "DescribeTopics";

/// From the operator's start until all pipelines are ready.
#[derive(Clone, Debug, Serialize)]
pub struct Convergence {
    /// Until all of them are ready.
    pub seconds: f64,
    /// Until half of them are.
    pub half_seconds: f64,
    /// What it took.
    pub reconciles: Counts,
    /// Of the operator.
    pub memory: Memory,
}

/// While nothing changes.
#[derive(Clone, Debug, Serialize)]
pub struct Steady {
    /// How long.
    pub minutes: u32,
    /// Pipelines that were ready at the end.
    pub ready: u32,
    /// What it took.
    pub counts: Counts,
    /// Of the operator.
    pub cpu_seconds: f64,
    /// Of the operator, at the end; at most so far, the first convergence included.
    pub memory: Memory,
}

/// Counters of operator and API server, so far or since an earlier time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// Reconciles that ended, well or not.
    pub reconciles: f64,
    /// Reconciles that ended in an error.
    pub failed: f64,
    /// Reconciles that took at most so many seconds.
    pub within: Vec<(f64, f64)>,
    /// Calls to Kafka, by name.
    pub kafka_calls: BTreeMap<String, f64>,
    /// Requests to the API server that write, by verb and resource, those for Leases left out.
    pub writes: BTreeMap<String, f64>,
    /// Requests to the API server that read, by verb and resource.
    pub reads: BTreeMap<String, f64>,
    /// Requests for Leases, by which one of several operators leads; some are the API server's own.
    pub lease_requests: f64,
}

impl Counts {
    /// Of now.
    pub async fn take(operator: &Operator, cluster: &Cluster) -> anyhow::Result<Counts> {
        Ok(Counts::parse(&operator.metrics().await?, &cluster.metrics().await?))
    }

    fn parse(operator: &str, api_server: &str) -> Counts {
        let mut counts = Counts::default();
        for sample in named(operator, "smspipeline_reconciles_total") {
            counts.reconciles += sample.value;
            counts.failed += if sample.label("result") == Some("failed") { sample.value } else { 0.0 };
        }
        let buckets = named(operator, "smspipeline_reconcile_seconds_bucket");
        let bound = |text: &str| if text == "+Inf" { Some(f64::INFINITY) } else { text.parse().ok() };
        counts.within = buckets.filter_map(|sample| Some((bound(sample.label("le")?)?, sample.value))).collect();
        for sample in named(operator, "smspipeline_kafka_calls_total") {
            *counts.kafka_calls.entry(sample.label("call").unwrap_or_default().to_owned()).or_default() += sample.value;
        }
        for sample in named(api_server, "apiserver_request_total") {
            let (verb, resource) =
                (sample.label("verb").unwrap_or_default(), sample.label("resource").unwrap_or_default());
            let requests = if WRITES.contains(&verb) {
                &mut counts.writes
            } else if READS.contains(&verb) {
                &mut counts.reads
            } else {
                continue;
            };
            if resource == "leases" {
                counts.lease_requests += sample.value;
            } else {
                *requests.entry(format!("{verb} {resource}")).or_default() += sample.value;
            }
        }
        counts
    }

    /// What came since `earlier`.
    pub fn since(&self, earlier: &Counts) -> Counts {
        let of = |now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            let more = now.iter().map(|(name, count)| (name.clone(), count - before.get(name).unwrap_or(&0.0)));
            more.filter(|(_, count)| *count > 0.0).collect()
        };
        let before = |index: usize| earlier.within.get(index).map_or(0.0, |(_, count)| *count);
        let within = self.within.iter().enumerate();
        Counts {
            reconciles: self.reconciles - earlier.reconciles,
            failed: self.failed - earlier.failed,
            within: within.map(|(index, (bound, count))| (*bound, count - before(index))).collect(),
            kafka_calls: of(&self.kafka_calls, &earlier.kafka_calls),
            writes: of(&self.writes, &earlier.writes),
            reads: of(&self.reads, &earlier.reads),
            lease_requests: self.lease_requests - earlier.lease_requests,
        }
    }

    /// How long that share of the reconciles took at most, in milliseconds: between two bounds of the histogram as if they
    /// were spread evenly there, and its last bound for what lies beyond.
    pub fn reconcile_ms(&self, share: f64) -> f64 {
        let rank = self.within.last().map_or(0.0, |(_, all)| *all) * share;
        let (mut from, mut below) = (0.0, 0.0);
        for &(bound, count) in &self.within {
            if count >= rank && count > below {
                let reached =
                    if bound.is_finite() { from + (bound - from) * (rank - below) / (count - below) } else { from };
                return reached * 1000.0;
            }
            (from, below) = (if bound.is_finite() { bound } else { from }, count);
        }
        from * 1000.0
    }

    /// Requests that write.
    pub fn all_writes(&self) -> f64 {
        // Not `sum`, which is -0 for none.
        self.writes.values().fold(0.0, |all, count| all + count)
    }

    /// Requests that read.
    pub fn all_reads(&self) -> f64 {
        self.reads.values().fold(0.0, |all, count| all + count)
    }

    /// Calls that describe topics for each time that all of so many pipelines are looked at.
    pub fn describes_per_resync(&self, pipelines: u32) -> f64 {
        let describes = self.kafka_calls.get(DESCRIBE).copied().unwrap_or_default();
        describes / (self.reconciles / f64::from(pipelines)).max(1.0)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const OPERATOR: &str = r#"smspipeline_reconciles_total{result="done"} 90
smspipeline_reconciles_total{result="failed"} 10
smspipeline_reconcile_seconds_bucket{le="0.01"} 50
smspipeline_reconcile_seconds_bucket{le="0.1"} 98
smspipeline_reconcile_seconds_bucket{le="+Inf"} 100
smspipeline_kafka_calls_total{call="DescribeTopics",outcome="succeeded"} 7
smspipeline_kafka_calls_total{call="DescribeTopics",outcome="failed"} 1
"#;
    const API_SERVER: &str = r#"apiserver_request_total{code="200",resource="services",verb="APPLY"} 3
apiserver_request_total{code="200",resource="leases",verb="PUT"} 5
apiserver_request_total{code="200",resource="secrets",verb="GET"} 4
apiserver_request_total{code="200",resource="services",verb="WATCH"} 9
"#;

    pub fn counts() -> Counts {
        Counts::parse(OPERATOR, API_SERVER)
    }

    #[test]
    fn requests_are_told_apart_and_leases_count_as_no_write() {
        let counts = counts();
        assert_eq!((counts.reconciles, counts.failed, counts.lease_requests), (100.0, 10.0, 5.0));
        assert_eq!((counts.all_writes(), counts.all_reads()), (3.0, 4.0));
        assert!((counts.describes_per_resync(50) - 4.0).abs() < f64::EPSILON);
        assert_eq!(counts.since(&counts).all_writes().to_bits(), 0.0_f64.to_bits(), "and not -0");
    }

    #[test]
    fn a_share_lies_between_the_bounds_of_its_bucket() {
        let counts = counts();
        assert!((counts.reconcile_ms(0.5) - 10.0).abs() < 0.01, "{}", counts.reconcile_ms(0.5));
        assert!((counts.reconcile_ms(0.74) - 55.0).abs() < 0.01, "{}", counts.reconcile_ms(0.74));
        assert!((counts.reconcile_ms(0.99) - 100.0).abs() < 0.01, "{}", counts.reconcile_ms(0.99));
    }
}
