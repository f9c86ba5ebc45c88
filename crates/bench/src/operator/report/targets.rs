//! What was asked of the operator. To add a target: one entry in [`judge`].

use super::Report;
use crate::{
    report::targets::{Bound, Target},
    statistics::Spread,
};

/// Memory in MB.
pub const MEMORY_BELOW: f64 = 200.0;
/// Topics of a pipeline.
const TOPICS: u32 = 4;
/// Of how many topics a describe is to tell at least.
const TOPICS_PER_DESCRIBE: u32 = 100;

/// How many describes a look at all pipelines may take.
pub fn describes_at_most(pipelines: u32) -> f64 {
    f64::from((pipelines * TOPICS).div_ceil(TOPICS_PER_DESCRIBE))
}

/// Compares what was found with what was asked for.
pub fn judge(report: &Report) -> Vec<Target> {
    let one = |figure: f64| Spread::of([figure]);
    let steady = &report.steady;
    let writes = format!("requests that write in {} min", steady.minutes);
    vec![
        Target::of(&writes, Bound::AtMost(0.0), one(steady.counts.all_writes())),
        Target::of("memory of the operator at most, MB", Bound::Below(MEMORY_BELOW), one(steady.memory.peak_mb)),
        Target::of(
            "DescribeTopics per look at all pipelines",
            Bound::AtMost(describes_at_most(report.pipelines)),
            one(report.describes()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{super::tests::complete, *};
    use crate::report::targets::{Outcome, tests::check};

    #[test]
    fn writes_memory_and_describes_are_judged() {
        let report = complete();
        check(&judge(&report), "requests that write", Some(3.0), Outcome::Missed);
        check(&judge(&report), "memory of the operator", Some(150.0), Outcome::Met);
        check(&judge(&report), "DescribeTopics", Some(4.0), Outcome::Missed);
        assert_eq!((describes_at_most(50), describes_at_most(1000)), (2.0, 40.0));
    }
}
