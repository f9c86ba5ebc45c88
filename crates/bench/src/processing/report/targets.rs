//! What was asked of the processor. To add a target: one entry in [`judge`].

use super::Report;
use crate::{
    processing::phase::Phase,
    report::targets::{Bound, Target},
    statistics::Spread,
};

/// Messages per second, with 6 partitions as with 24.
pub const LEAST: f64 = 100_000.0;
/// How fast it must be, compared with a bare consumer.
pub const LEAST_SHARE: f64 = 0.3;
/// Of the report's arrival at the constant rate, in milliseconds.
pub const P99_BELOW: f64 = 20.0;
/// The same for urgent messages beside a flood of others, in milliseconds.
pub const FLOOD_P99_BELOW: f64 = 1000.0;

/// Compares what was found with what was asked for.
pub fn judge(report: &Report) -> Vec<Target> {
    let mut targets = Vec::new();
    for (processor, bare) in [(Phase::Processor6, Phase::Bare6), (Phase::Processor24, Phase::Bare24)] {
        let (title, figures) = (processor.title(), report.per_second(processor));
        let throughput = || Spread::of(figures.iter().copied());
        let share = Spread::of_ratios(&figures, &report.per_second(bare));
        targets.extend([
            Target::of(&format!("{title}, messages/s"), Bound::AtLeast(LEAST), throughput()),
            Target::of(&format!("{title}, messages/s, aim"), Bound::AtLeast(2.0 * LEAST), throughput()),
            Target::of(&format!("{title} ÷ bare consumer"), Bound::AtLeast(LEAST_SHARE), share),
        ]);
    }
    let peaks = Spread::of(report.processors().map(|processor| processor.memory.peak_mb));
    // The worst of all rounds and phases, not the middle one.
    let peak = peaks.and_then(|peaks| Spread::of([peaks.max]));
    let repeated: Vec<_> = report.processors().map(|processor| processor.repeated as f64).collect();
    let repeated = (!repeated.is_empty()).then(|| repeated.iter().sum()).and_then(|sum: f64| Spread::of([sum]));
    let latency = report.latency();
    let p99 = |phase| latency.iter().find(|summary| summary.phase == phase).map(|summary| summary.p99_ms);
    targets.extend([
        Target::of("peak memory of the processor, MB", Bound::Below(600.0), peak),
        Target::of("messages reported twice", Bound::AtMost(0.0), repeated),
        Target::of("p99 from record to report at 1,000 per second, ms", Bound::Below(P99_BELOW), p99(Phase::Latency)),
        Target::of("p99 of urgent messages beside a flood, ms", Bound::Below(FLOOD_P99_BELOW), p99(Phase::Flood)),
    ]);
    targets
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::{
        processing::measurement::{Throughput, tests::processed},
        report::{
            targets::{Outcome, tests::check},
            tests::conditions,
        },
    };

    #[test]
    fn throughput_is_judged_alone_and_beside_the_bare_consumer() {
        let targets = judge(&complete());
        for partitions in [6, 24] {
            let title = format!("processor, {partitions} partitions");
            check(&targets, &format!("{title}, messages/s"), Some(100_000.0), Outcome::Met);
            check(&targets, &format!("{title}, messages/s, aim"), Some(100_000.0), Outcome::Missed);
            check(&targets, &format!("{title} ÷ bare consumer"), Some(0.4), Outcome::Met);
        }
        check(&targets, "p99 from record to report", Some(15.0), Outcome::Met);
        check(&targets, "p99 of urgent messages", Some(15.0), Outcome::Met);
    }

    #[test]
    fn one_round_with_too_much_memory_or_a_repeat_misses() {
        let mut report = complete();
        let mut round = processed();
        if let Some(processor) = &mut round.processor {
            processor.memory.peak_mb = 601.0;
            processor.repeated = 1;
        }
        check(&judge(&report), "peak memory", Some(500.0), Outcome::Met);
        check(&judge(&report), "messages reported twice", Some(0.0), Outcome::Met);
        report.add(Phase::Processor6, Throughput { ..round });
        check(&judge(&report), "peak memory", Some(601.0), Outcome::Missed);
        check(&judge(&report), "messages reported twice", Some(1.0), Outcome::Missed);
    }

    #[test]
    fn what_was_left_out_is_neither_met_nor_missed() {
        let targets = judge(&Report::new(conditions(), 2_000_000, 300_000));
        assert!(targets.iter().all(|target| target.outcome == Outcome::NotMeasured), "{targets:?}");
    }
}
