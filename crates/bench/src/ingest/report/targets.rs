//! What was asked of sms-api. To add a target: one entry in [`judge`].

use super::Report;
use crate::{
    ingest::{
        measurement::Measurement,
        phase::Phase,
        reads::{Compared, FEW},
    },
    number::number,
    report::targets::{Bound, Target},
    statistics::Spread,
};

/// Compares what was found with what was asked for.
pub fn judge(report: &Report) -> Vec<Target> {
    let throughput = |phase| report.figures(phase, Measurement::throughput);
    let times = |phase, reference| Spread::of_ratios(&throughput(phase), &throughput(reference));
    let p99 = |phase| Spread::of(report.figures(phase, |round| round.latency.p99_ms));
    let peak = report.sms_api_memory.and_then(|memory| Spread::of([memory.peak_mb]));
    let batch = || times(Phase::Batch, Phase::ReferenceB);
    let mut targets = vec![
        Target::of(
            "single POSTs, 256 connections ÷ A",
            Bound::AtLeast(2.5),
            times(Phase::Single256, Phase::ReferenceA),
        ),
        Target::of(
            "single POSTs, 256 connections ÷ B",
            Bound::AtLeast(0.5),
            times(Phase::Single256, Phase::ReferenceB),
        ),
        Target::of("batch POSTs ÷ B", Bound::AtLeast(0.6), batch()),
        Target::of("batch POSTs ÷ B, aim", Bound::AtLeast(0.8), batch()),
        Target::of("p99 at 1,000 per second, ms", Bound::Below(10.0), p99(Phase::Constant)),
        Target::of("p99 at 64 connections, ms", Bound::Below(25.0), p99(Phase::Single64)),
        Target::of("peak memory of sms-api, MB", Bound::Below(150.0), peak),
    ];
    for Compared { read, rows, few, many } in &report.reads {
        for (name, few, many) in [("p50", few.p50_ms, many.p50_ms), ("p99", few.p99_ms, many.p99_ms)] {
            let [large, small] = [*rows, FEW].map(|count| number(count.into()));
            let what = format!("{name} of {} at {large} ÷ at {small} messages", read.title());
            targets.push(Target::of(&what, Bound::AtMost(2.0), Spread::of([many / few])));
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::{
        targets::{Outcome, tests::check},
        tests::conditions,
    };

    #[test]
    fn ratios_are_those_of_throughputs() {
        let targets = judge(&complete());
        check(&targets, "single POSTs, 256 connections ÷ A", Some(3.0), Outcome::Met);
        check(&targets, "batch POSTs ÷ B", Some(1.0), Outcome::Met);
    }

    #[test]
    fn latency_and_memory_have_upper_bounds() {
        let targets = judge(&complete());
        check(&targets, "p99 at 1,000 per second", Some(9.0), Outcome::Met);
        check(&targets, "peak memory", Some(50.0), Outcome::Met);
    }

    #[test]
    fn reads_of_a_large_table_may_take_twice_as_long() {
        let targets = judge(&complete());
        check(&targets, "p50 of GET /v1/messages/ID", Some(1.5), Outcome::Met);
        check(&targets, "p99 of GET /v1/messages/ID", Some(3.0), Outcome::Missed);
    }

    #[test]
    fn what_was_left_out_is_neither_met_nor_missed() {
        check(&judge(&Report::new(conditions(), 30)), "batch POSTs ÷ B", None, Outcome::NotMeasured);
    }
}
