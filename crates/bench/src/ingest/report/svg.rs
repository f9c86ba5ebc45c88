//! The report as a picture: throughput beside the references and latency beside its bounds. Pure.

use super::{PhaseSummary, Report};
use crate::{
    ingest::phase::{Part, Phase},
    report::svg::{self, Bar, Picture, Row},
};

/// The content of `ingest.svg`.
pub fn draw(report: &Report) -> String {
    let summaries = report.summaries();
    let median = |phase| summaries.iter().find(|found| found.phase == phase).map(|found| found.throughput.median);
    let (a, b) = (median(Phase::ReferenceA), median(Phase::ReferenceB));
    let throughput = summaries.iter().filter(|found| found.phase.part() != Part::Constant);
    let throughput: Vec<Row> = throughput.map(|found| throughput_row(found, a, b)).collect();
    let latency = summaries.iter().filter(|found| matches!(found.phase.part(), Part::Constant | Part::Single));
    let latency: Vec<Row> = latency.map(latency_row).collect();

    let mut picture = Picture::new("How fast sms-api takes messages in");
    picture.section("Messages per second: durable, and in Kafka where they go there", &throughput);
    picture.section("Latency in ms: p50 within p99, from the time at which a request should be sent", &latency);
    picture.caption(&caption(report));
    picture.finish()
}

fn throughput_row(summary: &PhaseSummary<'_>, a: Option<f64>, b: Option<f64>) -> Row {
    let of = |reference: Option<f64>, times: f64, name| reference.map(|reference| (reference * times, name));
    let bounds = match summary.phase {
        Phase::Single256 => vec![of(a, 2.5, "2.5 × A"), of(b, 0.5, "0.5 × B")],
        Phase::Batch => vec![of(b, 0.6, "0.6 × B"), of(b, 0.8, "0.8 × B")],
        Phase::ReferenceA | Phase::ReferenceB | Phase::Single64 | Phase::Constant => Vec::new(),
    };
    let bar = if summary.phase.is_service() { Bar::Product } else { Bar::Reference };
    svg::throughput_row(summary.title.clone(), bar, summary.throughput, bounds.into_iter().flatten().collect())
}

fn latency_row(summary: &PhaseSummary<'_>) -> Row {
    let bounds = match summary.phase {
        Phase::Single64 => vec![(25.0, "25 ms")],
        Phase::Constant => vec![(10.0, "10 ms")],
        Phase::ReferenceA | Phase::ReferenceB | Phase::Single256 | Phase::Batch => Vec::new(),
    };
    svg::latency_row(summary.title.clone(), summary.p50_ms.median, summary.p99_ms.median, bounds)
}

fn caption(report: &Report) -> String {
    format!(
        "Medians; rounds: {}, {} s in all; whiskers: least and greatest. {}",
        report.conditions.rounds,
        report.seconds,
        report.conditions.caption("load generator, sms-api, PostgreSQL and Kafka"),
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
    fn a_complete_report_has_a_bar_for_each_phase_and_a_mark_for_each_bound() {
        let svg = draw(&complete());
        check_well_formed(&svg);
        assert_eq!((count(&svg, "reference"), count(&svg, "product"), count(&svg, "half")), (2, 3, 3));
        assert_eq!(count(&svg, "bound"), 6);
    }

    #[test]
    fn a_report_of_nothing_is_still_a_picture() {
        check_well_formed(&draw(&Report::new(conditions(), 30)));
    }
}
