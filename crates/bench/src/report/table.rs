//! The report as people read it in a terminal. Pure.

use std::fmt::Write;

use super::{Outcome, PhaseSummary, Report, Target, targets::Bound};
use crate::{
    number::number,
    processes::CpuSeconds,
    reads::{Compared, FEW},
    statistics::Spread,
};

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
        text += &columns(
            &["CPU seconds (µs per message)", "sms-api", "PostgreSQL", "Kafka", "load generator", "others"],
            &summaries.iter().map(cpu_row).collect::<Vec<_>>(),
        );
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
    text + &columns(
        &["target", "bound", "figure", "", ""],
        &report.targets().iter().map(target_row).collect::<Vec<_>>(),
    )
}

fn conditions(report: &Report) -> String {
    let conditions = &report.conditions;
    let setting = |name: &str| conditions.postgres.get(name).map_or("?", String::as_str);
    format!(
        "{} s in all, rounds: {}, on {} CPUs shared by load generator, sms-api, PostgreSQL {} (fsync {}) and Kafka;\n\
         medians (least–greatest); load average before the start {}\n",
        conditions.seconds,
        conditions.rounds,
        conditions.cpus,
        setting("server_version"),
        setting("fsync"),
        conditions.load_average.map(|average| format!("{average:.2}")).join(" "),
    )
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

fn cpu_row(summary: &PhaseSummary<'_>) -> Vec<String> {
    let (all, each) = (summary.cpu_seconds, summary.cpu_microseconds_per_message);
    let cell = |part: fn(CpuSeconds) -> f64| format!("{:.1} ({:.0})", part(all), part(each));
    vec![
        summary.title.clone(),
        cell(|cpu| cpu.sms_api),
        cell(|cpu| cpu.postgres),
        cell(|cpu| cpu.kafka),
        cell(|cpu| cpu.load_generator),
        cell(|cpu| cpu.others),
    ]
}

fn read_row(compared: &Compared) -> Vec<String> {
    let Compared { read, few, many, .. } = compared;
    let figures = [few.p50_ms, many.p50_ms, few.p99_ms, many.p99_ms].map(number);
    std::iter::once(read.title().to_owned()).chain(figures).collect()
}

fn target_row(target: &Target) -> Vec<String> {
    let bound = match target.bound {
        Bound::AtLeast(bound) => format!("≥ {bound}"),
        Bound::AtMost(bound) => format!("≤ {bound}"),
        Bound::Below(bound) => format!("< {bound}"),
    };
    let outcome = match target.outcome {
        Outcome::Met => "met",
        Outcome::Missed => "MISSED",
        Outcome::NotMeasured => "not measured",
    };
    let (median, spread) = target.figure.map(|figure| (number(figure.median), range(figure))).unwrap_or_default();
    vec![target.what.clone(), bound, median, spread, outcome.to_owned()]
}

/// Nothing where there is but one figure.
fn range(spread: Spread) -> String {
    let (min, max) = (number(spread.min), number(spread.max));
    if min == max { String::new() } else { format!("({min}–{max})") }
}

/// The first column to the left, all others to the right, each as wide as it must be.
fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<&Vec<String>> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let mut drawn = String::new();
        for (index, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if index == 0 { write!(drawn, "{cell:<width$}") } else { write!(drawn, "  {cell:>width$}") };
        }
        text.push_str(drawn.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{complete, conditions},
        *,
    };

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "100".to_owned()]];
        assert_eq!(columns(&["", "x"], &rows), "        x\na       1\nlong  100\n");
    }

    #[test]
    fn the_table_tells_figures_and_outcomes() {
        let text = draw(&complete());
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        for expected in [
            "single POSTs, 256 connections 1,500 4.00 9.00 20.00 0",
            "single POSTs, 256 connections 2.0 (1000) 3.0 (1500) 1.0 (500) 0.5 (250) 0.2 (100)",
            "memory of sms-api: 50 MB at most, 40 MB at the end",
            "GET /v1/messages/ID 0.20 0.30 0.50 1.50",
            "single POSTs, 256 connections ÷ A ≥ 2.5 3.00 met",
            "p99 of GET /v1/messages/ID at 10,000,000 ÷ at 10,000 messages ≤ 2 3.00 MISSED",
        ] {
            assert!(lines.iter().any(|line| line == expected), "{expected:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_report_of_nothing_says_that_nothing_was_measured() {
        let text = draw(&Report::new(conditions()));
        assert!(text.contains("not measured") && !text.contains("met\n"), "{text}");
    }
}
