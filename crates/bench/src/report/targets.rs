//! What was asked of the product. To add a target: one entry in [`judge`].

use serde::Serialize;

use super::Report;
use crate::{
    measurement::Measurement,
    number::number,
    phase::Phase,
    reads::{Compared, FEW},
    statistics::Spread,
};

/// One thing that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What is compared, for people.
    pub what: String,
    /// On which side of what the median must be.
    pub bound: Bound,
    /// What was found; none when it was not measured.
    pub figure: Option<Spread>,
    /// What the median says.
    pub outcome: Outcome,
}

/// What a figure must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

/// What became of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The median keeps the bound.
    Met,
    /// It does not.
    Missed,
    /// The parts that it needs were left out.
    NotMeasured,
}

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

impl Target {
    fn of(what: &str, bound: Bound, figure: Option<Spread>) -> Target {
        let outcome = match figure {
            None => Outcome::NotMeasured,
            Some(Spread { median, .. }) if bound.is_kept_by(median) => Outcome::Met,
            Some(_) => Outcome::Missed,
        };
        Target { what: what.to_owned(), bound, figure, outcome }
    }
}

impl Bound {
    fn is_kept_by(self, figure: f64) -> bool {
        match self {
            Bound::AtLeast(bound) => figure >= bound,
            Bound::AtMost(bound) => figure <= bound,
            Bound::Below(bound) => figure < bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{complete, conditions},
        *,
    };

    #[track_caller]
    fn check(report: &Report, what: &str, median: Option<f64>, outcome: Outcome) {
        let targets = judge(report);
        let target = targets.iter().find(|target| target.what.starts_with(what)).expect("the target exists");
        let figure = target.figure.map(|figure| (figure.median * 1000.0).round() / 1000.0);
        assert_eq!((figure, target.outcome), (median, outcome), "{what}");
    }

    #[test]
    fn ratios_are_those_of_throughputs() {
        check(&complete(), "single POSTs, 256 connections ÷ A", Some(3.0), Outcome::Met);
        check(&complete(), "batch POSTs ÷ B", Some(1.0), Outcome::Met);
    }

    #[test]
    fn latency_and_memory_have_upper_bounds() {
        check(&complete(), "p99 at 1,000 per second", Some(9.0), Outcome::Met);
        check(&complete(), "peak memory", Some(50.0), Outcome::Met);
    }

    #[test]
    fn reads_of_a_large_table_may_take_twice_as_long() {
        check(&complete(), "p50 of GET /v1/messages/ID", Some(1.5), Outcome::Met);
        check(&complete(), "p99 of GET /v1/messages/ID", Some(3.0), Outcome::Missed);
    }

    #[test]
    fn what_was_left_out_is_neither_met_nor_missed() {
        check(&Report::new(conditions()), "batch POSTs ÷ B", None, Outcome::NotMeasured);
    }

    #[test]
    fn bounds_are_kept_as_their_names_say() {
        assert!(Bound::AtLeast(2.0).is_kept_by(2.0) && !Bound::AtLeast(2.0).is_kept_by(1.9));
        assert!(Bound::AtMost(2.0).is_kept_by(2.0) && !Bound::AtMost(2.0).is_kept_by(2.1));
        assert!(Bound::Below(2.0).is_kept_by(1.9) && !Bound::Below(2.0).is_kept_by(2.0));
    }
}
