//! The report as people read it in a terminal. Pure.

use std::{collections::BTreeMap, fmt::Write};

use super::Report;
use crate::{
    number::number,
    operator::measurement::Counts,
    processes::Memory,
    report::table::{self, columns},
};

/// All of it, several tables under each other.
pub fn draw(report: &Report) -> String {
    let (convergence, steady) = (&report.convergence, &report.steady);
    let measured = format!("{} pipelines of 4 topics with 1 partition each, ", report.pipelines);
    let mut text = measured + &table::conditions(&report.conditions, "operator, API server, etcd, Kafka and stand-in");
    let (half, all) = (number(convergence.half_seconds), number(convergence.seconds));
    let _ = write!(text, "\nready: half after {half} s, all after {all} s; ");
    let _ = writeln!(text, "{} of them at the end", steady.ready);
    let (cpu, minutes) = (number(steady.cpu_seconds), steady.minutes);
    let _ = writeln!(text, "CPU time of the operator in {minutes} min: {cpu} s\n");
    let head = ["", "reconciles", "failed", "p50 ms", "p99 ms", "reads", "writes", "for Leases", "MB", "MB at most"];
    text += &columns(
        &head,
        &[
            row("until all were ready", &convergence.reconciles, convergence.memory),
            row(&format!("{minutes} min without a change"), &steady.counts, steady.memory),
        ],
    );
    for (title, counts) in [
        ("calls to Kafka meanwhile", &steady.counts.kafka_calls),
        ("reads meanwhile", &steady.counts.reads),
        ("writes meanwhile", &steady.counts.writes),
    ] {
        let _ = writeln!(text, "\n{title}: {}", list(counts));
    }
    text += "\n";
    text + &table::targets(&report.targets())
}

fn list(counts: &BTreeMap<String, f64>) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let each = counts.iter().map(|(name, count)| format!("{name} {count:.0}"));
    each.collect::<Vec<_>>().join(", ")
}

fn row(title: &str, counts: &Counts, memory: Memory) -> Vec<String> {
    let whole = |count: f64| format!("{count:.0}");
    vec![
        title.to_owned(),
        whole(counts.reconciles),
        whole(counts.failed),
        number(counts.reconcile_ms(0.5)),
        number(counts.reconcile_ms(0.99)),
        whole(counts.all_reads()),
        whole(counts.all_writes()),
        whole(counts.lease_requests),
        whole(memory.resident_mb),
        whole(memory.peak_mb),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::table::tests::check_lines;

    #[test]
    fn the_table_tells_figures_and_targets() {
        check_lines(
            &draw(&complete()),
            &[
                "ready: half after 30.00 s, all after 60.00 s; 50 of them at the end",
                "10 min without a change 100 10 10.00 100 4 3 5 100 150",
                "calls to Kafka meanwhile: DescribeTopics 8",
                "writes meanwhile: APPLY services 3",
                "memory of the operator at most, MB < 200 150 met",
            ],
        );
    }
}
