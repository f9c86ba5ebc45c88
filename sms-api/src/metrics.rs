//! What this service counts. One struct; labels are enums or templates of the router, never ids or numbers.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use crate::access::Refusal;

/// Every metric of this service. Cheap to clone; clones count into the same values.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Messages stored and answered with 202.
    pub accepted: Counter,
    /// Records that Kafka acknowledged.
    pub queued: Counter,
    /// Records that Kafka did not acknowledge in time; the outbox keeps them.
    pub queue_failed: Counter,
    /// Messages that became SENT.
    pub sent: Counter,
    /// Messages that became FAILED.
    pub failed: Counter,
    /// Messages that became EXPIRED by a report.
    pub expired: Counter,
    /// Messages that became UNKNOWN.
    pub unknown: Counter,
    /// Reports that changed nothing: repeated, contradicting, or on an older attempt.
    pub late_reports: Counter,
    /// Dead letters stored.
    pub dead_letters_stored: Counter,
    /// Messages sent again from their dead letters.
    pub dead_letters_redriven: Counter,
    /// Dead letters that nobody has sent again, of all tenants; every replica tells the same.
    pub dead_letters_waiting: Gauge,
    /// Outbox rows taken over because their lease ran out.
    pub outbox_rows_recovered: Counter,
    /// Requests that went no further.
    pub refusals: Refusals,
    /// 1 while the keys in use are those of the file, 0 while its content cannot be used.
    pub api_keys_last_reload_successful: Gauge,
    /// Messages per committed batch.
    pub ingest_batch_messages: Histogram,
    http_request_duration: Family<RequestLabels, Histogram>,
}

/// Requests that went no further, by their reason. Cheaper to clone than all metrics, for who needs nothing else.
#[derive(Clone, Debug, Default)]
pub struct Refusals(Family<RefusalLabels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: Refusal,
}

impl Refusals {
    /// Notes one.
    pub fn count(&self, reason: Refusal) {
        self.0.get_or_create(&RefusalLabels { reason }).inc();
    }
}

/// The request method, as far as this service knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(clippy::upper_case_acronyms, reason = "the label's value is the method as HTTP spells it")]
enum Method {
    GET,
    HEAD,
    POST,
    OTHER,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: Method,
    /// The router's template, so there are as many values as the router has routes.
    route: String,
    /// `2xx`, `4xx` and so on.
    status: &'static str,
}

impl Metrics {
    /// Makes all metrics and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            accepted: Counter::default(),
            queued: Counter::default(),
            queue_failed: Counter::default(),
            sent: Counter::default(),
            failed: Counter::default(),
            expired: Counter::default(),
            unknown: Counter::default(),
            late_reports: Counter::default(),
            dead_letters_stored: Counter::default(),
            dead_letters_redriven: Counter::default(),
            dead_letters_waiting: Gauge::default(),
            outbox_rows_recovered: Counter::default(),
            refusals: Refusals::default(),
            api_keys_last_reload_successful: Gauge::default(),
            ingest_batch_messages: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            http_request_duration: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5])
            }),
        };
        let counters = [
            ("sms_accepted", "Messages stored and answered with 202", &metrics.accepted),
            ("sms_queued", "Records acknowledged by Kafka", &metrics.queued),
            ("sms_queue_failed", "Records not acknowledged by Kafka in time", &metrics.queue_failed),
            ("sms_sent", "Messages that became SENT", &metrics.sent),
            ("sms_failed", "Messages that became FAILED", &metrics.failed),
            ("sms_expired", "Messages that became EXPIRED by a report", &metrics.expired),
            ("sms_unknown", "Messages that became UNKNOWN", &metrics.unknown),
            ("sms_late_reports", "Delivery reports that changed nothing", &metrics.late_reports),
            ("sms_dead_letters_stored", "Dead letters read and stored", &metrics.dead_letters_stored),
            ("sms_dead_letters_redriven", "Messages sent again from dead letters", &metrics.dead_letters_redriven),
            ("outbox_rows_recovered", "Outbox rows taken over after their lease", &metrics.outbox_rows_recovered),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "sms_dead_letters_waiting",
            "Dead letters that were not sent again; the same on every replica",
            metrics.dead_letters_waiting.clone(),
        );
        // The process would not have started with keys that it could not read.
        metrics.api_keys_last_reload_successful.set(1);
        registry.register(
            "http_requests_refused",
            "Requests refused because of their API key or its limit",
            metrics.refusals.0.clone(),
        );
        registry.register(
            "api_keys_last_reload_successful",
            "Whether the API keys in use are those of the file",
            metrics.api_keys_last_reload_successful.clone(),
        );
        registry.register(
            "ingest_batch_messages",
            "Messages per committed batch",
            metrics.ingest_batch_messages.clone(),
        );
        registry.register(
            "http_request_duration_seconds",
            "Time to answer an HTTP request",
            metrics.http_request_duration.clone(),
        );
        metrics
    }

    /// Notes one answered request; `route` is the router's template.
    pub fn request_answered(&self, method: &str, route: &str, status: u16, duration: Duration) {
        let labels = RequestLabels {
            method: match method {
                "GET" => Method::GET,
                "HEAD" => Method::HEAD,
                "POST" => Method::POST,
                _ => Method::OTHER,
            },
            route: route.to_owned(),
            status: match status {
                100..200 => "1xx",
                200..300 => "2xx",
                300..400 => "3xx",
                400..500 => "4xx",
                _ => "5xx",
            },
        };
        self.http_request_duration.get_or_create(&labels).observe(duration.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_dashboards_know() {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        metrics.request_answered("BREW", "/v1/messages", 405, Duration::from_millis(2));
        metrics.refusals.count(Refusal::UnknownKey);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("metrics encode");
        for line in [
            "sms_accepted_total 0",
            "sms_queued_total 0",
            "sms_queue_failed_total 0",
            "sms_sent_total 0",
            "sms_failed_total 0",
            "sms_expired_total 0",
            "sms_unknown_total 0",
            "sms_late_reports_total 0",
            "sms_dead_letters_stored_total 0",
            "sms_dead_letters_redriven_total 0",
            "sms_dead_letters_waiting 0",
            "outbox_rows_recovered_total 0",
            r#"http_requests_refused_total{reason="UnknownKey"} 1"#,
            "api_keys_last_reload_successful 1",
            "ingest_batch_messages_count 0",
            r#"http_request_duration_seconds_count{method="OTHER",route="/v1/messages",status="4xx"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in:\n{text}");
        }
    }
}
