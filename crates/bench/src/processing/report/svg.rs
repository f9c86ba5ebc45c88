//! The report as a picture: throughput beside the bare consumer and latency beside its bound. Pure.

use super::{
    LatencySummary, Report, ThroughputSummary,
    targets::{FLOOD_P99_BELOW, LEAST, LEAST_SHARE, P99_BELOW},
};
use crate::{
    number::number,
    processing::phase::{FLOOD, Part, Phase},
    report::svg::{self, Bar, Picture, Row, latency_row},
};

/// The content of `processing.svg`.
pub fn draw(report: &Report) -> String {
    let summaries = report.throughput();
    let median = |phase| summaries.iter().find(|found| found.phase == phase).map(|found| found.throughput.median);
    let bare = |phase| match phase {
        Phase::Processor6 => median(Phase::Bare6),
        Phase::Processor24 => median(Phase::Bare24),
        Phase::Bare6 | Phase::Bare24 | Phase::Latency | Phase::Flood => None,
    };
    let throughput: Vec<Row> = summaries.iter().map(|found| throughput_row(found, bare(found.phase))).collect();
    let latencies = report.latency();
    let latency = |phase, bound| -> Vec<Row> {
        let found = latencies.iter().filter(|found| found.phase == phase);
        let row = |found: &LatencySummary<'_>| {
            latency_row(found.title.clone(), found.p50_ms.median, found.p99_ms.median, vec![bound])
        };
        found.map(row).collect()
    };

    let mut picture = Picture::new("How fast the processor takes messages to the provider and reports them");
    picture.section("Messages per second: read, or sent in 1–3 s and reported", &throughput);
    picture.section(
        "Latency in ms: p50 within p99, from producing a record to the arrival of its report",
        &latency(Phase::Latency, (P99_BELOW, "20 ms")),
    );
    picture.section(
        &format!(
            "The same beside {} messages of low priority, without the provider's own second",
            number(FLOOD.into())
        ),
        &latency(Phase::Flood, (FLOOD_P99_BELOW, "1 s")),
    );
    picture.caption(&caption(report));
    picture.finish()
}

fn throughput_row(summary: &ThroughputSummary<'_>, bare: Option<f64>) -> Row {
    let share = bare.map(|bare| (bare * LEAST_SHARE, "0.3 × bare"));
    let (bar, least) = match summary.phase.part() {
        Part::Bare => (Bar::Reference, None),
        Part::Throughput | Part::Latency | Part::Flood => (Bar::Product, Some((LEAST, "100 k"))),
    };
    let bounds = least.into_iter().chain(share).collect();
    svg::throughput_row(summary.title.clone(), bar, summary.throughput, bounds)
}

fn caption(report: &Report) -> String {
    format!(
        "Medians; rounds: {}, {} records each; whiskers: least and greatest. {}",
        report.conditions.rounds,
        number(report.records.into()),
        report.conditions.caption("load generator, processor and Kafka"),
    )
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::{
        svg::tests::{check_well_formed, count},
        tests::conditions,
    };

    #[test]
    fn a_complete_report_has_a_bar_for_each_reader_and_a_mark_for_each_bound() {
        let svg = draw(&complete());
        check_well_formed(&svg);
        assert_eq!((count(&svg, "reference"), count(&svg, "product"), count(&svg, "half")), (2, 2, 2));
        assert_eq!(count(&svg, "bound"), 6);
    }

    #[test]
    fn a_report_of_nothing_is_still_a_picture() {
        check_well_formed(&draw(&Report::new(conditions(), 2_000_000, 300_000)));
    }
}
