//! Everything that a run of `bench processing` found, and what it writes. Pure.

pub mod svg;
pub mod table;
mod targets;

use anyhow::Context;
use serde::Serialize;

use super::{
    measurement::{Latency, ProcessorFigures, Throughput},
    phase::Phase,
};
use crate::{
    processes::CpuSeconds,
    report::{Conditions, targets::Target},
    statistics::Spread,
};

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How.
    pub conditions: Conditions,
    /// How many records each topic had.
    pub records: u32,
    /// How many messages the processor could have in work at once.
    pub max_in_flight: u32,
    /// What each round found, in the order of the first round.
    throughput: Vec<(Phase, Vec<Throughput>)>,
    /// What each round found at the constant rate.
    latency: Vec<(Phase, Vec<Latency>)>,
}

/// A reader over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct ThroughputSummary<'a> {
    /// Which.
    pub phase: Phase,
    /// For people.
    pub title: String,
    /// Messages per second, of what counts.
    pub throughput: Spread,
    /// Messages per second with beginning and end.
    pub whole: Spread,
    /// CPU time of all rounds.
    pub cpu_seconds: CpuSeconds,
    /// CPU time divided by the messages.
    pub cpu_microseconds_per_message: CpuSeconds,
    /// What each round found.
    pub rounds: &'a [Throughput],
}

/// The constant rate over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct LatencySummary<'a> {
    /// Which.
    pub phase: Phase,
    /// For people.
    pub title: String,
    /// In milliseconds.
    pub p50_ms: Spread,
    /// In milliseconds.
    pub p99_ms: Spread,
    /// In milliseconds, the longest of all rounds.
    pub max_ms: f64,
    /// CPU time of all rounds.
    pub cpu_seconds: CpuSeconds,
    /// CPU time divided by the messages.
    pub cpu_microseconds_per_message: CpuSeconds,
    /// What each round found.
    pub rounds: &'a [Latency],
}

/// The file `processing.json`.
#[derive(Serialize)]
struct Written<'a> {
    conditions: &'a Conditions,
    records: u32,
    max_in_flight: u32,
    targets: Vec<Target>,
    throughput: Vec<ThroughputSummary<'a>>,
    latency: Vec<LatencySummary<'a>>,
}

impl Report {
    /// Nothing was found yet.
    pub fn new(conditions: Conditions, records: u32, max_in_flight: u32) -> Report {
        Report { conditions, records, max_in_flight, throughput: Vec::new(), latency: Vec::new() }
    }

    /// Adds what one round found of a reader.
    pub fn add(&mut self, phase: Phase, found: Throughput) {
        add(&mut self.throughput, phase, found);
    }

    /// Adds what one round found at the constant rate.
    pub fn add_latency(&mut self, phase: Phase, found: Latency) {
        add(&mut self.latency, phase, found);
    }

    /// What was asked of the product, and whether it is so.
    pub fn targets(&self) -> Vec<Target> {
        targets::judge(self)
    }

    /// All readers, summed up.
    pub fn throughput(&self) -> Vec<ThroughputSummary<'_>> {
        self.throughput.iter().filter_map(|(phase, rounds)| summarize(*phase, rounds)).collect()
    }

    /// The constant rate in all its phases, summed up.
    pub fn latency(&self) -> Vec<LatencySummary<'_>> {
        self.latency.iter().filter_map(|(phase, rounds)| summarize_latency(*phase, rounds)).collect()
    }

    /// The content of `processing.json`.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let written = Written {
            conditions: &self.conditions,
            records: self.records,
            max_in_flight: self.max_in_flight,
            targets: self.targets(),
            throughput: self.throughput(),
            latency: self.latency(),
        };
        serde_json::to_string_pretty(&written).context("the report cannot be written as JSON")
    }

    /// Messages per second of each round; none when it was not measured.
    fn per_second(&self, phase: Phase) -> Vec<f64> {
        self.rounds(phase).iter().map(Throughput::per_second).collect()
    }

    /// What the processors of all rounds tell of themselves.
    fn processors(&self) -> impl Iterator<Item = ProcessorFigures> {
        let full = self.throughput.iter().flat_map(|(_, rounds)| rounds).filter_map(|round| round.processor);
        full.chain(self.latency.iter().flat_map(|(_, rounds)| rounds).map(|round| round.processor))
    }

    /// What each round found of a reader.
    fn rounds(&self, phase: Phase) -> &[Throughput] {
        let rounds = self.throughput.iter().find(|(known, _)| *known == phase).map(|(_, rounds)| rounds.as_slice());
        rounds.unwrap_or_default()
    }
}

/// `None` without any round.
fn summarize(phase: Phase, rounds: &[Throughput]) -> Option<ThroughputSummary<'_>> {
    let cpu_seconds = sum(rounds.iter().map(|round| &round.cpu_seconds));
    Some(ThroughputSummary {
        phase,
        title: phase.title(),
        throughput: Spread::of(rounds.iter().map(Throughput::per_second))?,
        whole: Spread::of(rounds.iter().map(Throughput::whole_per_second))?,
        cpu_microseconds_per_message: per_message(&cpu_seconds, rounds.iter().map(|round| round.records)),
        cpu_seconds,
        rounds,
    })
}

/// `None` without any round.
fn summarize_latency(phase: Phase, rounds: &[Latency]) -> Option<LatencySummary<'_>> {
    let spread = |figure: fn(&Latency) -> f64| Spread::of(rounds.iter().map(figure));
    let cpu_seconds = sum(rounds.iter().map(|round| &round.cpu_seconds));
    Some(LatencySummary {
        phase,
        title: phase.title(),
        p50_ms: spread(|round| round.figures.p50_ms)?,
        p99_ms: spread(|round| round.figures.p99_ms)?,
        max_ms: spread(|round| round.figures.max_ms)?.max,
        cpu_microseconds_per_message: per_message(&cpu_seconds, rounds.iter().map(|round| round.records)),
        cpu_seconds,
        rounds,
    })
}

fn add<T>(phases: &mut Vec<(Phase, Vec<T>)>, phase: Phase, found: T) {
    match phases.iter_mut().find(|(known, _)| *known == phase) {
        Some((_, rounds)) => rounds.push(found),
        None => phases.push((phase, vec![found])),
    }
}

fn sum<'a>(rounds: impl Iterator<Item = &'a CpuSeconds>) -> CpuSeconds {
    rounds.fold(CpuSeconds::default(), |sum, round| sum.plus(round))
}

/// In microseconds.
fn per_message(cpu_seconds: &CpuSeconds, records: impl Iterator<Item = u32>) -> CpuSeconds {
    let records: f64 = records.map(f64::from).sum();
    cpu_seconds.per(records.max(1.0) / 1e6)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{
        super::measurement::tests::{latency, processed, read},
        *,
    };
    use crate::{processes::Program, report::tests::conditions};

    /// Two rounds of everything: 100,000/s, beside 250,000/s of the bare consumer.
    pub fn complete() -> Report {
        let mut report = Report::new(conditions(), 2_000_000, 300_000);
        for _ in 0..2 {
            for phase in [Phase::Bare6, Phase::Bare24] {
                report.add(phase, read());
            }
            for phase in [Phase::Processor6, Phase::Processor24] {
                report.add(phase, processed());
            }
            for phase in [Phase::Latency, Phase::Flood] {
                report.add_latency(phase, latency());
            }
        }
        report
    }

    #[test]
    fn rounds_are_summed_up() {
        let mut report = Report::new(conditions(), 2_000_000, 300_000);
        for seconds in [5.0, 10.0, 40.0] {
            report.add(Phase::Processor6, Throughput { seconds, ..processed() });
        }
        let summaries = report.throughput();
        let [summary] = summaries.as_slice() else { panic!("one reader: {summaries:?}") };
        assert_eq!(summary.throughput, Spread { median: 100_000.0, min: 25_000.0, max: 200_000.0 });
        assert_eq!(summary.whole, Spread { median: 80_000.0, min: 80_000.0, max: 80_000.0 });
        let each = summary.cpu_microseconds_per_message.of(Program::Processor);
        assert!((4.99..5.01).contains(&each), "{each}");
        assert!(report.latency().is_empty());
    }

    #[test]
    fn the_json_has_conditions_targets_and_every_round() {
        let json: Value = serde_json::from_str(&complete().to_json().expect("JSON")).expect("JSON");
        assert_eq!((&json["records"], &json["max_in_flight"]), (&2_000_000.into(), &300_000.into()));
        let readers = json["throughput"].as_array().expect("a list");
        let names: Vec<_> = readers.iter().map(|reader| reader["phase"].as_str().expect("a name")).collect();
        assert_eq!(names, ["bare6", "bare24", "processor6", "processor24"]);
        assert_eq!(readers[0]["rounds"][0]["processor"], Value::Null);
        assert_eq!(readers[2]["rounds"][0]["processor"]["memory"]["peak_mb"], 500.0);
        assert_eq!(readers[2]["rounds"][0]["cpu_seconds"]["kafka"], 2.0);
        for (number, phase) in ["latency", "flood"].into_iter().enumerate() {
            let latency = &json["latency"][number];
            assert_eq!((&latency["phase"], &latency["p99_ms"]["median"]), (&phase.into(), &15.0.into()));
        }
        assert_eq!(json["targets"][0]["outcome"], "met");
    }
}
