//! The report as a picture. Pure.

use super::{
    Report,
    targets::{MEMORY_BELOW, describes_at_most},
};
use crate::{
    number::number,
    report::svg::{Bar, Picture, Row, latency_row},
};

/// The content of `operator.svg`.
pub fn draw(report: &Report) -> String {
    let (convergence, steady) = (&report.convergence, &report.steady);
    let mut picture = Picture::new("What many pipelines cost the operator");
    picture.section(
        "Seconds from the operator's start",
        &[row("half of them are ready", convergence.half_seconds, None), row("all are", convergence.seconds, None)],
    );
    let reconciles = format!("{} min without a change", steady.minutes);
    let (p50, p99) = (steady.counts.reconcile_ms(0.5), steady.counts.reconcile_ms(0.99));
    picture.section("Reconcile in ms: p50 within p99", &[latency_row(reconciles, p50, p99, Vec::new())]);
    picture.section(
        "Memory of the operator in MB",
        &[
            row("at most", steady.memory.peak_mb, Some((MEMORY_BELOW, "200"))),
            row("at the end", steady.memory.resident_mb, None),
        ],
    );
    let describes =
        row("DescribeTopics", report.describes(), Some((describes_at_most(report.pipelines), "topics ÷ 100")));
    picture.section("Calls to Kafka per look at all pipelines", &[describes]);
    let (reads, writes) = (steady.counts.all_reads(), steady.counts.all_writes());
    let title = format!("Requests to the API server in {} min without a change", steady.minutes);
    picture.section(&title, &[row("reads", reads, None), row("writes", writes, None)]);
    picture.caption(&caption(report));
    picture.finish()
}

fn row(title: &str, value: f64, bound: Option<(f64, &'static str)>) -> Row {
    Row {
        title: title.to_owned(),
        bars: vec![(Bar::Product, value)],
        spread: None,
        figure: number(value),
        bounds: bound.into_iter().collect(),
    }
}

fn caption(report: &Report) -> String {
    format!(
        "{} pipelines of 4 topics with 1 partition each. {}",
        report.pipelines,
        report.conditions.caption("everything together"),
    )
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::svg::tests::{check_well_formed, count};

    #[test]
    fn a_report_shows_its_figures_beside_their_bounds() {
        let svg = draw(&complete());
        check_well_formed(&svg);
        assert_eq!((count(&svg, "product"), count(&svg, "half"), count(&svg, "bound")), (7, 1, 2));
    }
}
