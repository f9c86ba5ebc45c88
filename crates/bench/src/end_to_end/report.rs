//! Everything that a run of `bench end-to-end` found, and what it writes. Pure.

pub mod svg;
pub mod table;
mod targets;

use anyhow::Context;
use serde::Serialize;

use super::measurement::{Latency, Probe};
use crate::{
    processes::{CpuSeconds, Memory, Program},
    report::{Conditions, targets::Target},
    statistics::Spread,
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How.
    pub conditions: Conditions,
    /// How long the highest rate had to hold.
    pub seconds: u32,
    /// What each round found.
    latency: Vec<Latency>,
    /// Every rate that was tried, in this order.
    pub probes: Vec<Probe>,
    /// Of both services, after everything.
    pub memory: Vec<(Program, Memory)>,
}

/// Latency over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct LatencySummary<'a> {
    /// In milliseconds, from acceptance to final.
    pub p50_ms: Spread,
    /// In milliseconds, from acceptance to final.
    pub p99_ms: Spread,
    /// In milliseconds, from acceptance to final, the longest of all rounds.
    pub max_ms: f64,
    /// In milliseconds, from request to answer.
    pub answer_p99_ms: Spread,
    /// CPU time of all rounds.
    pub cpu_seconds: CpuSeconds,
    /// CPU time divided by the messages.
    pub cpu_microseconds_per_message: CpuSeconds,
    /// What each round found.
    pub rounds: &'a [Latency],
}

/// The file `end-to-end.json`.
#[derive(Serialize)]
struct Written<'a> {
    conditions: &'a Conditions,
    seconds: u32,
    targets: Vec<Target>,
    latency: Option<LatencySummary<'a>>,
    highest_rate: Option<u32>,
    probes: &'a [Probe],
    memory: &'a [(Program, Memory)],
}

impl Report {
    /// Nothing was found yet.
    pub fn new(conditions: Conditions, seconds: u32) -> Report {
        Report { conditions, seconds, latency: Vec::new(), probes: Vec::new(), memory: Vec::new() }
    }

    /// Adds what one round found.
    pub fn add_latency(&mut self, found: Latency) {
        self.latency.push(found);
    }

    /// What was asked of the product, and whether it is so.
    pub fn targets(&self) -> Vec<Target> {
        targets::judge(self)
    }

    /// All rounds, summed up; none when latency was not measured.
    pub fn latency(&self) -> Option<LatencySummary<'_>> {
        let rounds = self.latency.as_slice();
        let spread = |figure: fn(&Latency) -> f64| Spread::of(rounds.iter().map(figure));
        let cpu_seconds = rounds.iter().fold(CpuSeconds::default(), |sum, round| sum.plus(&round.cpu_seconds));
        let messages: u64 = rounds.iter().map(|round| round.messages).sum();
        Some(LatencySummary {
            p50_ms: spread(|round| round.to_final.p50_ms)?,
            p99_ms: spread(|round| round.to_final.p99_ms)?,
            max_ms: spread(|round| round.to_final.max_ms)?.max,
            answer_p99_ms: spread(|round| round.to_answer.p99_ms)?,
            cpu_microseconds_per_message: cpu_seconds.per(messages.max(1) as f64 / 1e6),
            cpu_seconds,
            rounds,
        })
    }

    /// The probe that tells the highest rate: the last one that was kept up for as long as it had to be, if it held.
    pub fn highest(&self) -> Option<&Probe> {
        self.probes.iter().rfind(|probe| probe.is_held() && probe.seconds >= self.seconds)
    }

    /// The content of `end-to-end.json`.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let written = Written {
            conditions: &self.conditions,
            seconds: self.seconds,
            targets: self.targets(),
            latency: self.latency(),
            highest_rate: self.highest().map(|probe| probe.rate),
            probes: &self.probes,
            memory: &self.memory,
        };
        serde_json::to_string_pretty(&written).context("the report cannot be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::measurement::{
            Outcome,
            tests::{latency, probe},
        },
        *,
    };
    use crate::report::tests::conditions;

    /// Two rounds of latency; 13,500/s is too much, 11,000/s only seems to hold, and 10,000/s holds for a minute.
    pub fn complete() -> Report {
        let mut report = Report::new(conditions(), 60);
        report.add_latency(latency());
        report.add_latency(latency());
        report.probes = vec![
            Probe { seconds: 15, ..probe(9000, Outcome::Held) },
            Probe { seconds: 15, ..probe(13_500, Outcome::NotAccepted) },
            Probe { seconds: 15, ..probe(11_000, Outcome::Held) },
            probe(11_000, Outcome::Grew),
            probe(10_000, Outcome::Held),
        ];
        let memory = Memory { resident_mb: 40.0, peak_mb: 50.0 };
        report.memory = vec![(Program::SmsApi, memory), (Program::Processor, memory)];
        report
    }

    #[test]
    fn only_a_rate_that_held_for_long_enough_is_the_highest() {
        let mut report = complete();
        assert_eq!(report.highest().map(|probe| probe.rate), Some(10_000));
        report.probes.pop();
        assert!(report.highest().is_none());
    }

    #[test]
    fn the_json_has_conditions_targets_rounds_and_every_probe() {
        let json: Value = serde_json::from_str(&complete().to_json().expect("JSON")).expect("JSON");
        assert_eq!(json["conditions"]["postgres"]["fsync"], "on");
        assert_eq!(json["latency"]["rounds"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["latency"]["p99_ms"]["median"], 60.0);
        assert_eq!(json["highest_rate"], 10_000);
        assert_eq!(json["probes"][1]["outcome"], "not_accepted");
        assert_eq!(json["probes"][4]["samples"][0]["messages"], 800);
        assert_eq!(json["memory"][0][0], "sms_api");
        assert_eq!(json["targets"][0]["outcome"], "met");
    }
}
