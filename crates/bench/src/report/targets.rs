//! What was asked of the product, and whether it is so. Pure.

use serde::Serialize;

use crate::statistics::Spread;

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

impl Target {
    /// Judges a figure.
    pub fn of(what: &str, bound: Bound, figure: Option<Spread>) -> Target {
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
pub mod tests {
    use super::*;

    /// What the target whose name starts with `what` says of `targets`, with the median to three digits.
    #[track_caller]
    pub fn check(targets: &[Target], what: &str, median: Option<f64>, outcome: Outcome) {
        let target = targets.iter().find(|target| target.what.starts_with(what)).expect("the target exists");
        let figure = target.figure.map(|figure| (figure.median * 1000.0).round() / 1000.0);
        assert_eq!((figure, target.outcome), (median, outcome), "{what}");
    }

    #[test]
    fn bounds_are_kept_as_their_names_say() {
        assert!(Bound::AtLeast(2.0).is_kept_by(2.0) && !Bound::AtLeast(2.0).is_kept_by(1.9));
        assert!(Bound::AtMost(2.0).is_kept_by(2.0) && !Bound::AtMost(2.0).is_kept_by(2.1));
        assert!(Bound::Below(2.0).is_kept_by(1.9) && !Bound::Below(2.0).is_kept_by(2.0));
    }

    #[test]
    fn the_median_decides_and_what_was_not_measured_is_neither_met_nor_missed() {
        let spread = Spread::of([1.0, 3.0, 9.0]);
        let outcome = |bound, figure| Target::of("it", bound, figure).outcome;
        assert_eq!(outcome(Bound::AtLeast(2.0), spread), Outcome::Met);
        assert_eq!(outcome(Bound::Below(2.0), spread), Outcome::Missed);
        assert_eq!(outcome(Bound::AtLeast(2.0), None), Outcome::NotMeasured);
    }
}
