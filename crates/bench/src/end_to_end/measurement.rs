//! What one phase found.

use serde::Serialize;

use super::backlog::{Backlog, Sample};
use crate::{processes::CpuSeconds, statistics::LatencyFigures};

/// Single POSTs at a constant rate.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// Messages that were accepted, and are final.
    pub messages: u64,
    /// From the time in a message's id, at which it was accepted, to the commit of its final status.
    pub to_final: LatencyFigures,
    /// From when a request should have been sent to its answer.
    pub to_answer: LatencyFigures,
    /// What was used.
    pub cpu_seconds: CpuSeconds,
}

/// Batches at a constant rate.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Messages per second that should be accepted.
    pub rate: u32,
    /// How long it was kept up.
    pub seconds: u32,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Requests that were not answered with 202.
    pub refused: u64,
    /// How much later than the end of the load its last answer came.
    pub last_answer_after_seconds: f64,
    /// From when a request should have been sent to its answer.
    pub to_answer: LatencyFigures,
    /// In the second half.
    pub backlog: Backlog,
    /// How it went.
    pub outcome: Outcome,
    /// What was used until everything was final.
    pub cpu_seconds: CpuSeconds,
    /// The backlog from beginning to end.
    pub samples: Vec<Sample>,
}

/// Whether a rate was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything was accepted in time, and the backlog was flat.
    Held,
    /// The backlog grew.
    Grew,
    /// Messages were refused, or accepted only after their time.
    NotAccepted,
}

impl Outcome {
    /// What is to be said of it.
    pub fn title(self) -> &'static str {
        match self {
            Outcome::Held => "held",
            Outcome::Grew => "backlog grew",
            Outcome::NotAccepted => "not accepted",
        }
    }
}

impl Probe {
    /// Whether the rate was held.
    pub fn is_held(&self) -> bool {
        self.outcome == Outcome::Held
    }

    /// CPU time for one message, in microseconds.
    pub fn cpu_microseconds_per_message(&self) -> CpuSeconds {
        self.cpu_seconds.per(self.accepted.max(1) as f64 / 1e6)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::processes::Program;

    fn cpu() -> CpuSeconds {
        [
            (Program::SmsApi, 10.0),
            (Program::Processor, 5.0),
            (Program::Postgres, 20.0),
            (Program::Kafka, 4.0),
            (Program::LoadGenerator, 1.0),
            (Program::Others, 0.5),
        ]
        .into_iter()
        .collect()
    }

    pub fn latency() -> Latency {
        Latency {
            messages: 20_000,
            to_final: LatencyFigures { p50_ms: 30.0, p99_ms: 60.0, max_ms: 200.0 },
            to_answer: LatencyFigures { p50_ms: 2.0, p99_ms: 7.0, max_ms: 20.0 },
            cpu_seconds: cpu(),
        }
    }

    /// A minute at so many messages per second.
    pub fn probe(rate: u32, outcome: Outcome) -> Probe {
        Probe {
            rate,
            seconds: 60,
            accepted: u64::from(rate) * 60,
            refused: 0,
            last_answer_after_seconds: 0.05,
            to_answer: LatencyFigures { p50_ms: 20.0, p99_ms: 90.0, max_ms: 200.0 },
            backlog: Backlog { average: 800.0, most: 1500, growth_per_second: 2.0 },
            outcome,
            cpu_seconds: cpu(),
            samples: vec![Sample { seconds: 0.25, messages: 800 }],
        }
    }

    #[test]
    fn cpu_time_is_told_for_each_message() {
        let each = probe(10_000, Outcome::Held).cpu_microseconds_per_message().of(Program::Postgres);
        assert!((33.3..33.4).contains(&each), "{each}");
    }
}
