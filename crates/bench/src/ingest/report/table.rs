//! The report as people read it in a terminal. Pure.

use std::fmt::Write;

use super::{PhaseSummary, Report};
use crate::{
    ingest::reads::{Compared, FEW},
    number::number,
    processes::Program,
    report::table::{self, columns, range},
};

const PROGRAMS: [Program; 5] =
    [Program::SmsApi, Program::Postgres, Program::Kafka, Program::LoadGenerator, Program::Others];

/// All of it, several tables under each other.
pub fn draw(report: &Report) -> String {
    let mut text = conditions(report);
    let summaries = report.summaries();
    if !summaries.is_empty() {
        text += "\n";
        text += &columns(
            &["", "messages/s", "", "p50 ms", "p99 ms", "", "max ms", "refused"],
            &summaries.iter().map(latency_row).collect::<Vec<_>>(),
        );
        text += "\n";
        let cpu =
            summaries.iter().map(|found| (&*found.title, &found.cpu_seconds, &found.cpu_microseconds_per_message));
        text += &table::cpu(&PROGRAMS, cpu);
    }
    if let Some(memory) = report.sms_api_memory {
        let (peak, now) = (memory.peak_mb, memory.resident_mb);
        let _ = write!(text, "\nmemory of sms-api: {peak:.0} MB at most, {now:.0} MB at the end\n");
    }
    if let Some(Compared { rows, .. }) = report.reads.first() {
        let [few, many] = [FEW, *rows].map(|count| number(count.into()));
        let head = [
            "one connection, ms".to_owned(),
            format!("p50 at {few}"),
            format!("p50 at {many}"),
            format!("p99 at {few}"),
            format!("p99 at {many}"),
        ];
        text += "\n";
        text += &columns(&head.each_ref().map(String::as_str), &report.reads.iter().map(read_row).collect::<Vec<_>>());
    }
    text += "\n";
    text + &table::targets(&report.targets())
}

fn conditions(report: &Report) -> String {
    let shared_by = format!("load generator, sms-api, {} and Kafka", report.conditions.postgres());
    let measured = format!("{} s in all, rounds: {}, ", report.seconds, report.conditions.rounds);
    measured + &table::conditions(&report.conditions, &shared_by)
}

fn latency_row(summary: &PhaseSummary<'_>) -> Vec<String> {
    vec![
        summary.title.clone(),
        number(summary.throughput.median),
        range(summary.throughput),
        number(summary.p50_ms.median),
        number(summary.p99_ms.median),
        range(summary.p99_ms),
        number(summary.max_ms),
        summary.refused.to_string(),
    ]
}

fn read_row(compared: &Compared) -> Vec<String> {
    let Compared { read, few, many, .. } = compared;
    let figures = [few.p50_ms, many.p50_ms, few.p99_ms, many.p99_ms].map(number);
    std::iter::once(read.title().to_owned()).chain(figures).collect()
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
                "single POSTs, 256 connections 1,500 4.00 9.00 20.00 0",
                "single POSTs, 256 connections 2.0 (1000) 3.0 (1500) 1.0 (500) 0.5 (250) 0.2 (100)",
                "memory of sms-api: 50 MB at most, 40 MB at the end",
                "GET /v1/messages/ID 0.20 0.30 0.50 1.50",
                "single POSTs, 256 connections ÷ A ≥ 2.5 3.00 met",
                "p99 of GET /v1/messages/ID at 10,000,000 ÷ at 10,000 messages ≤ 2 3.00 MISSED",
            ],
        );
    }

    #[test]
    fn a_report_of_nothing_says_that_nothing_was_measured() {
        let text = draw(&Report::new(conditions(), 30));
        assert!(text.contains("not measured") && !text.contains("met\n"), "{text}");
    }
}
