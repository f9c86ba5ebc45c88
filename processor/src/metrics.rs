//! Everything that this service counts and measures.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Upper bounds in seconds: fine around the simulated provider's 1 to 3 s, with room for retries.
const DURATIONS: [f64; 14] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0, 60.0];

type OneLabel = [(&'static str, &'static str); 1];

/// The metrics of one process. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    duration: Histogram,
    processed: Family<OneLabel, Counter>,
    attempts: Counter,
    reports: Family<OneLabel, Counter>,
    claims: Family<OneLabel, Counter>,
    breaker: Gauge,
    dead_letters: Counter,
    in_flight: Gauge,
    consumed: Counter,
    skipped: Counter,
    commits: Family<OneLabel, Counter>,
    assigned: Gauge,
}

/// How the work on a record ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processed {
    /// Reported as sent.
    Sent,
    /// Reported as failed.
    Failed,
    /// Reported as too late to be sent.
    Expired,
    /// Reported as perhaps sent.
    Unknown,
    /// Left as it was, because sms-api says that it is final or that a later attempt is under way.
    Skipped,
    /// Put on the dead letter topic.
    DeadLetter,
}

/// How one try to tell or ask sms-api of a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// sms-api took it.
    Accepted,
    /// sms-api knows no such message.
    UnknownMessage,
    /// sms-api found it invalid.
    Invalid,
    /// sms-api refused the token.
    Unauthorized,
    /// sms-api asked to slow down.
    Throttled,
    /// sms-api or something before it answered with an error that may pass.
    Unavailable,
    /// No answer came.
    Unreachable,
}

/// How a commit of offsets ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Kafka stored it.
    Stored,
    /// It failed, and is due again.
    Failed,
}

impl Metrics {
    /// Makes the metrics and makes them known to `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            duration: Histogram::new(DURATIONS),
            processed: Family::default(),
            attempts: Counter::default(),
            reports: Family::default(),
            claims: Family::default(),
            breaker: Gauge::default(),
            dead_letters: Counter::default(),
            in_flight: Gauge::default(),
            consumed: Counter::default(),
            skipped: Counter::default(),
            commits: Family::default(),
            assigned: Gauge::default(),
        };
        registry.register_with_unit(
            "sms_processing_duration",
            "Time from taking a record to the end of the work on it",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("sms_processed", "Records worked off, by how it ended", metrics.processed.clone());
        registry.register("sms_processing_attempts", "Attempts to send made at the provider", metrics.attempts.clone());
        registry.register("sms_report", "Delivery reports sent, by result", metrics.reports.clone());
        registry.register(
            "sms_claim",
            "Claims of messages made before they are sent, by result",
            metrics.claims.clone(),
        );
        registry.register(
            "sms_report_breaker_open",
            "1 while delivery reports are held up, and no records are taken, because too many reports failed",
            metrics.breaker.clone(),
        );
        registry.register("sms_dead_letters", "Records put on the dead letter topic", metrics.dead_letters.clone());
        registry.register("sms_processing_in_flight", "Records in work at this moment", metrics.in_flight.clone());
        registry.register(
            "kafka_consumer_records_consumed",
            "Records taken from Kafka into work",
            metrics.consumed.clone(),
        );
        registry.register(
            "kafka_consumer_records_skipped",
            "Records that an earlier owner of their partition had finished, as its last commit tells",
            metrics.skipped.clone(),
        );
        registry.register("kafka_consumer_commits", "Commits of offsets, by result", metrics.commits.clone());
        registry.register(
            "kafka_consumer_assigned_partitions",
            "Partitions that this processor reads at this moment",
            metrics.assigned.clone(),
        );
        metrics
    }

    /// The work on a record has ended.
    pub fn processed(&self, how: Processed, took: Duration) {
        let outcome = match how {
            Processed::Sent => "sent",
            Processed::Failed => "failed",
            Processed::Expired => "expired",
            Processed::Unknown => "unknown",
            Processed::Skipped => "skipped",
            Processed::DeadLetter => {
                self.dead_letters.inc();
                "dead_letter"
            }
        };
        self.processed.get_or_create(&[("outcome", outcome)]).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// The provider was called.
    pub fn attempted(&self) {
        self.attempts.inc();
    }

    /// So many delivery reports were sent.
    pub fn reported(&self, how: Exchanged, reports: usize) {
        count(&self.reports, how, reports);
    }

    /// So many claims were made.
    pub fn claimed(&self, how: Exchanged, claims: usize) {
        count(&self.claims, how, claims);
    }

    /// Reports are held up, or no longer.
    pub fn breaker(&self, is_open: bool) {
        self.breaker.set(is_open.into());
    }

    /// A record was taken from Kafka.
    pub fn consumed(&self) {
        self.consumed.inc();
    }

    /// A record was finished by an earlier owner of its partition.
    pub fn skipped(&self) {
        self.skipped.inc();
    }

    /// A commit has ended.
    pub fn committed(&self, result: Committed) {
        let result = match result {
            Committed::Stored => "stored",
            Committed::Failed => "failed",
        };
        self.commits.get_or_create(&[("result", result)]).inc();
    }

    /// So many records are in work now.
    pub fn in_flight(&self, count: usize) {
        self.in_flight.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// So many partitions are ours now.
    pub fn assigned(&self, count: usize) {
        self.assigned.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

fn count(counters: &Family<OneLabel, Counter>, how: Exchanged, by: usize) {
    let result = match how {
        Exchanged::Accepted => "accepted",
        Exchanged::UnknownMessage => "unknown_message",
        Exchanged::Invalid => "invalid",
        Exchanged::Unauthorized => "unauthorized",
        Exchanged::Throttled => "throttled",
        Exchanged::Unavailable => "unavailable",
        Exchanged::Unreachable => "unreachable",
    };
    counters.get_or_create(&[("result", result)]).inc_by(u64::try_from(by).unwrap_or(u64::MAX));
}
