//! What was asked of the product as a whole. To add a target: one entry in [`judge`].

use super::Report;
use crate::{
    report::targets::{Bound, Target},
    statistics::Spread,
};

/// From acceptance to final, in milliseconds.
pub const P99_BELOW: f64 = 100.0;
/// Messages per second.
pub const LEAST_RATE: f64 = 10_000.0;

/// Compares what was found with what was asked for. Where rates were tried and none held for long enough, the highest
/// one is 0.
pub fn judge(report: &Report) -> Vec<Target> {
    let highest = report.highest().map_or(0.0, |probe| f64::from(probe.rate));
    let rate = (!report.probes.is_empty()).then_some(highest);
    let what = format!("messages/s for {} s, backlog flat", report.seconds);
    let p99 = report.latency().map(|summary| summary.p99_ms);
    vec![
        Target::of("p99 from accepted to final at 1,000 per second, ms", Bound::Below(P99_BELOW), p99),
        Target::of(&what, Bound::AtLeast(LEAST_RATE), Spread::of(rate)),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::{
        targets::{Outcome, tests::check},
        tests::conditions,
    };

    #[test]
    fn latency_and_the_highest_rate_are_judged() {
        let mut report = complete();
        check(&judge(&report), "p99 from accepted to final", Some(60.0), Outcome::Met);
        check(&judge(&report), "messages/s for 60 s", Some(10_000.0), Outcome::Met);
        report.probes.pop();
        check(&judge(&report), "messages/s for 60 s", Some(0.0), Outcome::Missed);
    }

    #[test]
    fn what_was_left_out_is_neither_met_nor_missed() {
        let targets = judge(&Report::new(conditions(), 60));
        assert!(targets.iter().all(|target| target.outcome == Outcome::NotMeasured), "{targets:?}");
    }
}
