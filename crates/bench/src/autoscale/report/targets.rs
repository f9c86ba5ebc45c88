//! What was asked of the product, and whether it is so. Pure.

use super::Report;
use crate::{
    autoscale::fleet::DRAIN_WITHIN,
    report::targets::{Bound, Target},
    statistics::Spread,
};

/// For how many seconds after the start processors may still come and go: the first capacity is a guess.
const LEARNING: f64 = 30.0;
/// From how many messages on something counts as a backlog: less than what comes in a second.
const BACKLOG: f64 = 100.0;

/// Judges everything that was found.
pub(super) fn judge(report: &Report) -> Vec<Target> {
    let one = |figure: Option<f64>| figure.and_then(|figure| Spread::of([figure]));
    let constant = report.phase("constant");
    let settled =
        || constant.map(|phase| report.during(phase).filter(move |sample| sample.seconds > phase.from + LEARNING));
    let steps = settled().map(|samples| samples.filter(|sample| sample.desired != sample.asked_for).count() as f64);
    let rebalances = settled().map(|samples| {
        let mut epochs: Vec<_> = samples.filter_map(|sample| sample.epoch).collect();
        epochs.dedup();
        epochs.len().saturating_sub(1) as f64
    });
    let last = report.samples.last().map(|sample| f64::from(sample.desired));
    vec![
        Target::of("steps while the load is constant", Bound::AtMost(0.0), one(steps)),
        Target::of("rebalances while the load is constant", Bound::AtMost(0.0), one(rebalances)),
        Target::of(
            "seconds from the last processor's start to the end of the burst's backlog",
            Bound::AtMost(DRAIN_WITHIN.into()),
            one(drained(report)),
        ),
        Target::of("processors at the end of the silence", Bound::AtMost(1.0), one(last)),
        Target::of(
            "accepted messages that are not final",
            Bound::AtMost(0.0),
            one(report.left.map(|left| left as f64)),
        ),
    ]
}

/// From when all processors were ready that the burst needed until its backlog was gone.
fn drained(report: &Report) -> Option<f64> {
    let samples: Vec<_> = report.during(report.phase("burst")?).collect();
    let most = samples.iter().map(|sample| sample.desired).max()?;
    let ready = samples.iter().find(|sample| sample.ready.is_some_and(|ready| ready >= most))?.seconds;
    let began = samples.iter().position(|sample| sample.waiting.is_some_and(|waiting| waiting > BACKLOG))?;
    let gone = samples[began..].iter().find(|sample| sample.waiting.is_some_and(|waiting| waiting <= BACKLOG))?;
    Some((gone.seconds - ready).max(0.0))
}
