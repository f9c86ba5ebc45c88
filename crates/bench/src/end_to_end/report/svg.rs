//! The report as a picture: latency beside its bound, and the rates that held and that did not. Pure.

use super::{
    Report,
    targets::{LEAST_RATE, P99_BELOW},
};
use crate::{
    end_to_end::{
        measurement::Probe,
        phase::{BATCH, RATE},
    },
    number::number,
    report::svg::{Bar, Picture, Row, latency_row},
};

/// The content of `end-to-end.svg`.
pub fn draw(report: &Report) -> String {
    let latency = report.latency().map(|found| {
        let title = format!("single POSTs, {} per second", number(RATE.into()));
        latency_row(title, found.p50_ms.median, found.p99_ms.median, vec![(P99_BELOW, "100 ms")])
    });
    let rates: Vec<Row> = report.probes.iter().map(|probe| rate_row(probe, report.seconds)).collect();
    let mut picture = Picture::new("How fast messages are accepted, sent and final");
    picture.section("Latency in ms: p50 within p99, from accepted to final", latency.as_slice());
    picture.section("Messages per second, and whether the backlog stayed flat", &rates);
    picture.caption(&caption(report));
    picture.finish()
}

/// The bound stands only where the rate had to hold for so long.
fn rate_row(probe: &Probe, seconds: u32) -> Row {
    let bar = if probe.is_held() { Bar::Product } else { Bar::Reference };
    Row {
        title: format!("{} s: {}", probe.seconds, probe.outcome.title()),
        bars: vec![(bar, probe.rate.into())],
        spread: None,
        figure: number(probe.rate.into()),
        bounds: if probe.seconds >= seconds { vec![(LEAST_RATE, "10,000")] } else { Vec::new() },
    }
}

fn caption(report: &Report) -> String {
    format!(
        "Latency: median of {} rounds. Rates: POSTs of {BATCH} messages. {}",
        report.conditions.rounds,
        report.conditions.caption("everything together"),
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
    fn a_complete_report_shows_latency_and_every_rate() {
        let svg = draw(&complete());
        check_well_formed(&svg);
        assert_eq!((count(&svg, "half"), count(&svg, "product"), count(&svg, "reference")), (1, 3, 2));
        assert_eq!(count(&svg, "bound"), 3);
    }

    #[test]
    fn a_report_of_nothing_is_still_a_picture() {
        check_well_formed(&draw(&Report::new(conditions(), 60)));
    }
}
