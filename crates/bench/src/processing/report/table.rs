//! The report as people read it in a terminal. Pure.

use super::{LatencySummary, Report, ThroughputSummary};
use crate::{
    number::number,
    processes::Program,
    report::table::{self, columns, range},
    statistics::Spread,
};

const PROGRAMS: [Program; 4] = [Program::Processor, Program::Kafka, Program::LoadGenerator, Program::Others];

/// All of it, several tables under each other.
pub fn draw(report: &Report) -> String {
    let mut text = conditions(report);
    let (throughput, latency) = (report.throughput(), report.latency());
    if !throughput.is_empty() {
        text += "\n";
        text += &columns(
            &["", "messages/s", "", "with begin and end", "peak MB", "repeated", "lag 0 after s"],
            &throughput.iter().map(throughput_row).collect::<Vec<_>>(),
        );
    }
    if !latency.is_empty() {
        text += "\n";
        text += &columns(
            &["record to report, less the provider's time", "p50 ms", "p99 ms", "", "max ms"],
            &latency.iter().map(latency_row).collect::<Vec<_>>(),
        );
    }
    if !throughput.is_empty() || !latency.is_empty() {
        text += "\n";
        let cpu =
            throughput.iter().map(|found| (&*found.title, &found.cpu_seconds, &found.cpu_microseconds_per_message));
        let latency =
            latency.iter().map(|found| (&*found.title, &found.cpu_seconds, &found.cpu_microseconds_per_message));
        text += &table::cpu(&PROGRAMS, cpu.chain(latency));
    }
    text += "\n";
    text + &table::targets(&report.targets())
}

fn conditions(report: &Report) -> String {
    let measured = format!(
        "{} records, {} in flight at most, provider 1–3 s without failures, rounds: {}, ",
        number(report.records.into()),
        number(report.max_in_flight.into()),
        report.conditions.rounds
    );
    measured + &table::conditions(&report.conditions, "load generator with report end, processor and Kafka")
}

fn throughput_row(summary: &ThroughputSummary<'_>) -> Vec<String> {
    let processors: Vec<_> = summary.rounds.iter().filter_map(|round| round.processor).collect();
    let peak = Spread::of(processors.iter().map(|processor| processor.memory.peak_mb));
    let lag = Spread::of(processors.iter().map(|processor| processor.lag_gone_after_seconds));
    let repeated = peak.map(|_| processors.iter().map(|processor| processor.repeated).sum::<u64>().to_string());
    vec![
        summary.title.clone(),
        number(summary.throughput.median),
        range(summary.throughput),
        number(summary.whole.median),
        peak.map(|peak| number(peak.max)).unwrap_or_default(),
        repeated.unwrap_or_default(),
        lag.map(|lag| number(lag.max)).unwrap_or_default(),
    ]
}

fn latency_row(summary: &LatencySummary<'_>) -> Vec<String> {
    vec![
        summary.title.clone(),
        number(summary.p50_ms.median),
        number(summary.p99_ms.median),
        range(summary.p99_ms),
        number(summary.max_ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::{table::tests::check_lines, tests::conditions};

    #[test]
    fn the_table_tells_figures_and_outcomes() {
        check_lines(
            &draw(&complete()),
            &[
                "bare consumer, 6 partitions 250,000 250,000",
                "processor, 24 partitions 100,000 80,000 500 0 0.10",
                "processor, 1,000 per second 8.00 15.00 40.00",
                "1,000 urgent per second 8.00 15.00 40.00",
                "processor, 6 partitions 20.0 (5) 4.0 (1) 2.0 (0) 1.0 (0)",
                "processor, 6 partitions ÷ bare consumer ≥ 0.3 0.40 met",
                "processor, 6 partitions, messages/s, aim ≥ 200,000 100,000 MISSED",
            ],
        );
    }

    #[test]
    fn a_report_of_nothing_says_that_nothing_was_measured() {
        let text = draw(&Report::new(conditions(), 2_000_000, 300_000));
        assert!(text.contains("not measured") && !text.contains("met\n"), "{text}");
    }
}
