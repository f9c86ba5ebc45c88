//! Everything that this service counts and measures.

use std::{marker::PhantomData, time::Duration};

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
    processed: Counters<Processed, { Processed::ALL.len() }>,
    attempts: Counter,
    reports: Counters<Exchanged, { Exchanged::ALL.len() }>,
    claims: Counters<Exchanged, { Exchanged::ALL.len() }>,
    releases: Counters<Exchanged, { Exchanged::ALL.len() }>,
    breaker: Gauge,
    dead_letters: Counter,
    in_flight: Gauge,
    consumed: Counter,
    skipped: Counter,
    commits: Counters<Committed, { Committed::ALL.len() }>,
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
        let [processed, reports, claims, releases, commits] = std::array::from_fn(|_| Family::default());
        let metrics = Self {
            duration: Histogram::new(DURATIONS),
            processed: Counters::new(&processed, Processed::ALL, "outcome"),
            attempts: Counter::default(),
            reports: Counters::new(&reports, Exchanged::ALL, "result"),
            claims: Counters::new(&claims, Exchanged::ALL, "result"),
            releases: Counters::new(&releases, Exchanged::ALL, "result"),
            breaker: Gauge::default(),
            dead_letters: Counter::default(),
            in_flight: Gauge::default(),
            consumed: Counter::default(),
            skipped: Counter::default(),
            commits: Counters::new(&commits, Committed::ALL, "result"),
            assigned: Gauge::default(),
        };
        registry.register_with_unit(
            "sms_processing_duration",
            "Time from taking a record to the end of the work on it",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register("sms_processed", "Records worked off, by how it ended", processed);
        registry.register("sms_processing_attempts", "Attempts to send made at the provider", metrics.attempts.clone());
        registry.register("sms_report", "Delivery reports sent, by result", reports);
        registry.register("sms_claim", "Claims of messages made before they are sent, by result", claims);
        registry.register(
            "sms_claim_release",
            "Claims given back because their messages were not sent after all, by result",
            releases,
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
        registry.register("kafka_consumer_commits", "Commits of offsets, by result", commits);
        registry.register(
            "kafka_consumer_assigned_partitions",
            "Partitions that this processor reads at this moment",
            metrics.assigned.clone(),
        );
        metrics
    }

    /// The work on a record has ended.
    pub fn processed(&self, how: Processed, took: Duration) {
        if how == Processed::DeadLetter {
            self.dead_letters.inc();
        }
        self.processed.of(how).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// The provider was called.
    pub fn attempted(&self) {
        self.attempts.inc();
    }

    /// So many delivery reports were sent.
    pub fn reported(&self, how: Exchanged, reports: usize) {
        self.reports.of(how).inc_by(u64::try_from(reports).unwrap_or(u64::MAX));
    }

    /// So many claims were made.
    pub fn claimed(&self, how: Exchanged, claims: usize) {
        self.claims.of(how).inc_by(u64::try_from(claims).unwrap_or(u64::MAX));
    }

    /// So many claims were given back.
    pub fn released(&self, how: Exchanged, claims: usize) {
        self.releases.of(how).inc_by(u64::try_from(claims).unwrap_or(u64::MAX));
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
        self.commits.of(result).inc();
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

/// One counter for each value of a label, found without a search: these count every message.
#[derive(Clone, Debug)]
struct Counters<L, const COUNT: usize> {
    counters: [Counter; COUNT],
    label: PhantomData<L>,
}

impl<L: Label, const COUNT: usize> Counters<L, COUNT> {
    /// All of them are in `family` from the start, so that none is missing while it is 0.
    fn new(family: &Family<OneLabel, Counter>, values: [L; COUNT], label: &'static str) -> Self {
        Self {
            counters: values.map(|value| family.get_or_create(&[(label, value.text())]).clone()),
            label: PhantomData,
        }
    }

    fn of(&self, value: L) -> &Counter {
        &self.counters[value.number()]
    }
}

/// The values of a label.
trait Label: Copy {
    /// Which one of all it is.
    fn number(self) -> usize;
    /// As it is shown.
    fn text(self) -> &'static str;
}

impl Processed {
    const ALL: [Self; 6] = [Self::Sent, Self::Failed, Self::Expired, Self::Unknown, Self::Skipped, Self::DeadLetter];
}

impl Label for Processed {
    fn number(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
            Self::DeadLetter => "dead_letter",
        }
    }
}

impl Exchanged {
    const ALL: [Self; 7] = [
        Self::Accepted,
        Self::UnknownMessage,
        Self::Invalid,
        Self::Unauthorized,
        Self::Throttled,
        Self::Unavailable,
        Self::Unreachable,
    ];
}

impl Label for Exchanged {
    fn number(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::UnknownMessage => "unknown_message",
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Committed {
    const ALL: [Self; 2] = [Self::Stored, Self::Failed];
}

impl Label for Committed {
    fn number(self) -> usize {
        self as usize
    }

    fn text(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Failed => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check<L: Label, const COUNT: usize>(all: [L; COUNT]) {
        assert!(all.into_iter().map(Label::number).eq(0..COUNT), "a counter would count for another label");
    }

    #[test]
    fn every_value_of_a_label_has_the_counter_of_its_number() {
        check(Processed::ALL);
        check(Exchanged::ALL);
        check(Committed::ALL);
    }
}
