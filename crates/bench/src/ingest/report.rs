//! Everything that a run of `bench ingest` found, and what it writes. Pure.

pub mod svg;
pub mod table;
mod targets;

use anyhow::Context;
use serde::Serialize;

use super::{measurement::Measurement, phase::Phase, reads::Compared};
use crate::{
    processes::{CpuSeconds, Memory},
    report::{Conditions, targets::Target},
    statistics::Spread,
};

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How.
    pub conditions: Conditions,
    /// How long everything was measured.
    pub seconds: u32,
    /// In the order of the first round.
    phases: Vec<(Phase, Vec<Measurement>)>,
    /// Of sms-api, after all phases; none when it had nothing to do.
    pub sms_api_memory: Option<Memory>,
    /// Gets and lists; none when they were not asked for.
    pub reads: Vec<Compared>,
}

/// One phase over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseSummary<'a> {
    /// Which.
    pub phase: Phase,
    /// For people.
    pub title: String,
    /// Messages or rows per second.
    pub throughput: Spread,
    /// In milliseconds.
    pub p50_ms: Spread,
    /// In milliseconds.
    pub p99_ms: Spread,
    /// In milliseconds, the longest of all rounds.
    pub max_ms: f64,
    /// Requests that were not answered with 202, in all rounds.
    pub refused: u64,
    /// CPU time of all rounds.
    pub cpu_seconds: CpuSeconds,
    /// CPU time divided by the messages.
    pub cpu_microseconds_per_message: CpuSeconds,
    /// What each round found.
    pub rounds: &'a [Measurement],
}

/// The file `ingest.json`.
#[derive(Serialize)]
struct Written<'a> {
    conditions: &'a Conditions,
    seconds: u32,
    targets: Vec<Target>,
    phases: Vec<PhaseSummary<'a>>,
    sms_api_memory: Option<Memory>,
    reads: &'a [Compared],
}

impl Report {
    /// Nothing was found yet.
    pub fn new(conditions: Conditions, seconds: u32) -> Report {
        Report { conditions, seconds, phases: Vec::new(), sms_api_memory: None, reads: Vec::new() }
    }

    /// Adds what one round found.
    pub fn add(&mut self, phase: Phase, measurement: Measurement) {
        match self.phases.iter_mut().find(|(known, _)| *known == phase) {
            Some((_, rounds)) => rounds.push(measurement),
            None => self.phases.push((phase, vec![measurement])),
        }
    }

    /// What was asked of the product, and whether it is so.
    pub fn targets(&self) -> Vec<Target> {
        targets::judge(self)
    }

    /// All phases, summed up.
    pub fn summaries(&self) -> Vec<PhaseSummary<'_>> {
        self.phases.iter().filter_map(|(phase, rounds)| summarize(*phase, rounds)).collect()
    }

    /// The content of `ingest.json`.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let written = Written {
            conditions: &self.conditions,
            seconds: self.seconds,
            targets: self.targets(),
            phases: self.summaries(),
            sms_api_memory: self.sms_api_memory,
            reads: &self.reads,
        };
        serde_json::to_string_pretty(&written).context("the report cannot be written as JSON")
    }

    /// A figure of each round of a phase; none when it was not measured.
    fn figures(&self, phase: Phase, figure: impl Fn(&Measurement) -> f64) -> Vec<f64> {
        let rounds = self.phases.iter().find(|(known, _)| *known == phase).map(|(_, rounds)| rounds.as_slice());
        rounds.unwrap_or_default().iter().map(figure).collect()
    }
}

/// `None` without any round.
fn summarize(phase: Phase, rounds: &[Measurement]) -> Option<PhaseSummary<'_>> {
    let spread = |figure: fn(&Measurement) -> f64| Spread::of(rounds.iter().map(figure));
    let cpu_seconds = rounds.iter().fold(CpuSeconds::default(), |sum, round| sum.plus(&round.cpu_seconds));
    let messages: u64 = rounds.iter().map(|round| round.messages).sum();
    Some(PhaseSummary {
        phase,
        title: phase.title(),
        throughput: spread(Measurement::throughput)?,
        p50_ms: spread(|round| round.latency.p50_ms)?,
        p99_ms: spread(|round| round.latency.p99_ms)?,
        max_ms: spread(|round| round.latency.max_ms)?.max,
        refused: rounds.iter().map(|round| round.refused).sum(),
        cpu_microseconds_per_message: cpu_seconds.per(messages.max(1) as f64 / 1e6),
        cpu_seconds,
        rounds,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{
        ingest::{measurement::tests::measurement, phase::Part, reads::Read},
        processes::Program,
        report::tests::conditions,
        statistics::LatencyFigures,
    };

    /// Two rounds of everything in which all targets are met: 500/s of each reference, 1,500/s of single POSTs.
    pub fn complete() -> Report {
        let mut report = Report::new(conditions(), 30);
        for _ in 0..2 {
            for phase in Phase::ALL {
                let measured = measurement(phase.is_service().then_some(1000));
                let seconds = if phase.part() == Part::Single { 2.0 / 3.0 } else { 2.0 };
                report.add(phase, Measurement { seconds, ..measured });
            }
        }
        report.sms_api_memory = Some(Memory { resident_mb: 40.0, peak_mb: 50.0 });
        let few = LatencyFigures { p50_ms: 0.2, p99_ms: 0.5, max_ms: 3.0 };
        let many = LatencyFigures { p50_ms: 0.3, p99_ms: 1.5, max_ms: 9.0 };
        report.reads = vec![Compared { read: Read::Get, rows: 10_000_000, few, many }];
        report
    }

    #[test]
    fn rounds_of_a_phase_are_summed_up() {
        let mut report = Report::new(conditions(), 30);
        for seconds in [1.0, 2.0, 4.0] {
            report.add(Phase::Single64, Measurement { seconds, ..measurement(Some(1000)) });
        }
        let summaries = report.summaries();
        let [summary] = summaries.as_slice() else { panic!("one phase: {summaries:?}") };
        assert_eq!(summary.throughput, Spread { median: 500.0, min: 250.0, max: 1000.0 });
        assert_eq!(summary.cpu_seconds, measurement(None).cpu_seconds.per(1.0 / 3.0));
        let each = summary.cpu_microseconds_per_message.of(Program::SmsApi);
        assert!((999.9..1000.1).contains(&each), "{each}");
    }

    #[test]
    fn the_json_has_conditions_targets_and_every_round_of_every_phase() {
        let json: Value = serde_json::from_str(&complete().to_json().expect("JSON")).expect("JSON");
        assert_eq!(json["seconds"], 30);
        assert_eq!(json["conditions"]["postgres"]["fsync"], "on");
        let phases = json["phases"].as_array().expect("a list");
        let names: Vec<_> = phases.iter().map(|phase| phase["phase"].as_str().expect("a name")).collect();
        assert_eq!(names, ["reference_a", "single256", "single64", "reference_b", "batch", "constant"]);
        assert_eq!(phases[0]["throughput"]["median"], 500.0);
        assert_eq!(phases[0]["rounds"].as_array().map(Vec::len), Some(2));
        assert_eq!(phases[0]["rounds"][0]["published"], Value::Null);
        assert_eq!(phases[1]["rounds"][0]["published"]["at_last_answer"], 1000);
        assert_eq!(phases[1]["rounds"][0]["cpu_seconds"]["postgres"], 1.5);
        assert_eq!(json["targets"][0]["outcome"], "met");
        assert_eq!(json["sms_api_memory"]["peak_mb"], 50.0);
        assert_eq!(json["reads"][0]["many"]["p99_ms"], 1.5);
    }
}
