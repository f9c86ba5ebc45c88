//! The report as people read it in a terminal. Pure.

use std::fmt::Write;

use super::{LatencySummary, Report};
use crate::{
    end_to_end::{
        measurement::Probe,
        phase::{BATCH, RATE},
    },
    number::number,
    processes::Program,
    report::table::{self, columns, range},
};

const PROGRAMS: [Program; 6] =
    [Program::SmsApi, Program::Processor, Program::Postgres, Program::Kafka, Program::LoadGenerator, Program::Others];

/// All of it, several tables under each other.
pub fn draw(report: &Report) -> String {
    let mut text = conditions(report);
    let latency = report.latency();
    if let Some(latency) = &latency {
        text += "\n";
        let head = ["accepted to final", "p50 ms", "p99 ms", "", "max ms", "p99 ms of the answer"];
        text += &columns(&head, &[latency_row(latency)]);
    }
    if !report.probes.is_empty() {
        text += "\n";
        let title = format!("messages/s, in POSTs of {BATCH}");
        let head =
            [&*title, "for s", "backlog", "at most", "growth/s", "p99 ms of the answer", "last after s", "refused", ""];
        text += &columns(&head, &report.probes.iter().map(probe_row).collect::<Vec<_>>());
    }
    if latency.is_some() || !report.probes.is_empty() {
        text += "\n";
        let probes: Vec<_> = report
            .probes
            .iter()
            .map(|probe| (format!("{} per second", number(probe.rate.into())), probe.cpu_microseconds_per_message()))
            .collect();
        let probes =
            report.probes.iter().zip(&probes).map(|(probe, (title, each))| (&**title, &probe.cpu_seconds, each));
        let single = format!("{} single POSTs per second", number(RATE.into()));
        let latency = latency.iter().map(|found| (&*single, &found.cpu_seconds, &found.cpu_microseconds_per_message));
        text += &table::cpu(&PROGRAMS, latency.chain(probes));
    }
    for (program, memory) in &report.memory {
        let (name, peak, now) = (program.title(), memory.peak_mb, memory.resident_mb);
        let _ = write!(text, "\nmemory of {name}: {peak:.0} MB at most, {now:.0} MB at the end");
    }
    if !report.memory.is_empty() {
        text += "\n";
    }
    text += "\n";
    text + &table::targets(&report.targets())
}

fn conditions(report: &Report) -> String {
    let shared_by = format!("load generator, sms-api, {}, Kafka and processor", report.conditions.postgres());
    let measured = format!("provider without delay or failures, rounds of latency: {}, ", report.conditions.rounds);
    measured + &table::conditions(&report.conditions, &shared_by)
}

fn latency_row(summary: &LatencySummary<'_>) -> Vec<String> {
    vec![
        format!("{} single POSTs per second", number(RATE.into())),
        number(summary.p50_ms.median),
        number(summary.p99_ms.median),
        range(summary.p99_ms),
        number(summary.max_ms),
        number(summary.answer_p99_ms.median),
    ]
}

fn probe_row(probe: &Probe) -> Vec<String> {
    vec![
        number(probe.rate.into()),
        probe.seconds.to_string(),
        number(probe.backlog.average),
        number(probe.backlog.most as f64),
        number(probe.backlog.growth_per_second),
        number(probe.to_answer.p99_ms),
        number(probe.last_answer_after_seconds),
        probe.refused.to_string(),
        probe.outcome.title().to_owned(),
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
                "1,000 single POSTs per second 30.00 60.00 200 7.00",
                "11,000 60 800 1,500 2.00 90.00 0.05 0 backlog grew",
                "10,000 60 800 1,500 2.00 90.00 0.05 0 held",
                "10,000 per second 10.0 (17) 5.0 (8) 20.0 (33) 4.0 (7) 1.0 (2) 0.5 (1)",
                "memory of processor: 50 MB at most, 40 MB at the end",
                "messages/s for 60 s, backlog flat ≥ 10,000 10,000 met",
            ],
        );
    }

    #[test]
    fn a_report_of_nothing_says_that_nothing_was_measured() {
        let text = draw(&Report::new(conditions(), 60));
        assert!(text.contains("not measured") && !text.contains("met\n"), "{text}");
    }
}
