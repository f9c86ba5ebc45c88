//! What one phase of one round found.

use serde::Serialize;

use crate::{
    processes::{CpuSeconds, Memory},
    statistics::LatencyFigures,
};

/// The figures of one phase in one round.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// How long it took, from the first request or insert to the last answer.
    pub seconds: f64,
    /// Messages that were acknowledged, or rows that were committed.
    pub messages: u64,
    /// Requests that were not answered with 202.
    pub refused: u64,
    /// What became of the messages in Kafka; none for references.
    pub published: Option<Published>,
    /// From request to answer; at a constant rate from when the request should have been sent.
    pub latency: LatencyFigures,
    /// What was used in this time.
    pub cpu_seconds: CpuSeconds,
    /// Of sms-api, at the end.
    pub sms_api_memory: Memory,
}

/// Messages on their way to Kafka.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Published {
    /// In the topic at the moment of the last answer.
    pub at_last_answer: u64,
    /// How much later all of them were.
    pub rest_took_seconds: f64,
}

impl Measurement {
    /// Messages per second that were durable at the end, and in the topic where they go there.
    pub fn throughput(&self) -> f64 {
        let published = self.published.map_or(self.messages, |published| published.at_last_answer);
        self.messages.min(published) as f64 / self.seconds
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::processes::Program;

    /// A phase that stored 1,000 messages in 2 s, of which so many were in the topic.
    pub fn measurement(at_last_answer: Option<u64>) -> Measurement {
        Measurement {
            seconds: 2.0,
            messages: 1000,
            refused: 0,
            published: at_last_answer.map(|at_last_answer| Published { at_last_answer, rest_took_seconds: 0.05 }),
            latency: LatencyFigures { p50_ms: 4.0, p99_ms: 9.0, max_ms: 20.0 },
            cpu_seconds: [
                (Program::SmsApi, 1.0),
                (Program::Postgres, 1.5),
                (Program::Kafka, 0.5),
                (Program::LoadGenerator, 0.25),
                (Program::Others, 0.1),
            ]
            .into_iter()
            .collect(),
            sms_api_memory: Memory { resident_mb: 40.0, peak_mb: 50.0 },
        }
    }

    #[track_caller]
    fn check(at_last_answer: Option<u64>, throughput: f64) {
        assert!((measurement(at_last_answer).throughput() - throughput).abs() < 0.001);
    }

    #[test]
    fn a_committed_row_counts_where_nothing_is_published() {
        check(None, 500.0);
    }

    #[test]
    fn an_acknowledged_message_counts_only_once_it_is_in_the_topic() {
        check(Some(600), 300.0);
    }

    #[test]
    fn a_record_that_was_published_twice_counts_once() {
        check(Some(1001), 500.0);
    }
}
