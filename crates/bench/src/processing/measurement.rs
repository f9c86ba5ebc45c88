//! What one phase of one round found.

use serde::Serialize;

use crate::{
    processes::{CpuSeconds, Memory},
    statistics::LatencyFigures,
};

/// A full topic that was read to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Throughput {
    /// How long what counts took: for the bare consumer from the first record to the last one; for the processor only
    /// its steady state.
    pub seconds: f64,
    /// Messages that were read, or reported, in this time.
    pub messages: u64,
    /// How long all of it took, from the first record until the last one was read or reported.
    pub whole_seconds: f64,
    /// All records of the topic.
    pub records: u32,
    /// What was used from the start of the reader to the end.
    pub cpu_seconds: CpuSeconds,
    /// What only the processor has.
    pub processor: Option<ProcessorFigures>,
}

/// What is told of a processor alone.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ProcessorFigures {
    /// At the end.
    pub memory: Memory,
    /// Reports on messages that had been reported before.
    pub repeated: u64,
    /// How long after the last report the group's lag was 0.
    pub lag_gone_after_seconds: f64,
}

/// Records at a constant rate.
#[derive(Clone, Debug, Serialize)]
pub struct Latency {
    /// How many records counted.
    pub messages: u32,
    /// From when a record was due, and produced, until its report had come.
    pub figures: LatencyFigures,
    /// What was used, warming up included.
    pub cpu_seconds: CpuSeconds,
    /// Of all records, those of the warming up included.
    pub records: u32,
    /// The processor's.
    pub processor: ProcessorFigures,
}

impl Throughput {
    /// Messages per second, of what counts.
    pub fn per_second(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// Messages per second with beginning and end.
    pub fn whole_per_second(&self) -> f64 {
        f64::from(self.records) / self.whole_seconds
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::processes::Program;

    const CPU: [(Program, f64); 4] =
        [(Program::Processor, 10.0), (Program::Kafka, 2.0), (Program::LoadGenerator, 1.0), (Program::Others, 0.5)];

    fn processor() -> ProcessorFigures {
        let memory = Memory { resident_mb: 400.0, peak_mb: 500.0 };
        ProcessorFigures { memory, repeated: 0, lag_gone_after_seconds: 0.1 }
    }

    /// A processor that reported 1,000,000 of 2,000,000 messages in 10 s, and all in 25 s.
    pub fn processed() -> Throughput {
        Throughput {
            seconds: 10.0,
            messages: 1_000_000,
            whole_seconds: 25.0,
            records: 2_000_000,
            cpu_seconds: CPU.into_iter().collect(),
            processor: Some(processor()),
        }
    }

    /// A bare consumer that read 2,000,000 messages in 8 s.
    pub fn read() -> Throughput {
        Throughput { seconds: 8.0, messages: 2_000_000, whole_seconds: 8.0, processor: None, ..processed() }
    }

    pub fn latency() -> Latency {
        Latency {
            messages: 20_000,
            figures: LatencyFigures { p50_ms: 8.0, p99_ms: 15.0, max_ms: 40.0 },
            cpu_seconds: CPU.into_iter().collect(),
            records: 25_000,
            processor: processor(),
        }
    }

    #[test]
    fn only_the_steady_state_counts_and_the_whole_is_told_beside_it() {
        let throughput = processed();
        assert!((throughput.per_second() - 100_000.0).abs() < 0.001);
        assert!((throughput.whole_per_second() - 80_000.0).abs() < 0.001);
    }
}
