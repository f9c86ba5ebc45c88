//! Figures out of many measurements. Pure.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in microseconds; longer ones count as this one.
const LONGEST: u64 = 120_000_000;

/// One figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one; between the two in the middle where their number is even.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// `None` when there is nothing.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Spread { median, min, max })
    }

    /// The ratios of what the same rounds measured.
    pub fn of_ratios(figures: &[f64], references: &[f64]) -> Option<Spread> {
        Spread::of(figures.iter().zip(references).map(|(figure, reference)| figure / reference))
    }
}

/// How long answers took.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// In microseconds, to three digits.
    histogram: Histogram<u64>,
}

/// The figures of [`Latencies`] that are told, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the JSON tells the unit of every figure")]
pub struct LatencyFigures {
    /// Half of the answers took longer.
    pub p50_ms: f64,
    /// One in a hundred took longer.
    pub p99_ms: f64,
    /// None took longer.
    pub max_ms: f64,
}

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        Latencies { histogram: Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are usable") }
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(LONGEST).max(1));
    }

    /// The figures so far; all 0 without any latency.
    pub fn figures(&self) -> LatencyFigures {
        let milliseconds = |microseconds: u64| microseconds as f64 / 1000.0;
        LatencyFigures {
            p50_ms: milliseconds(self.histogram.value_at_quantile(0.5)),
            p99_ms: milliseconds(self.histogram.value_at_quantile(0.99)),
            max_ms: milliseconds(self.histogram.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[f64], expected: Option<(f64, f64, f64)>) {
        let spread = Spread::of(values.iter().copied());
        assert_eq!(spread.map(|Spread { median, min, max }| (median, min, max)), expected);
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        check(&[3.0, 100.0, 1.0], Some((3.0, 1.0, 100.0)));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        check(&[4.0, 1.0, 2.0, 100.0], Some((3.0, 1.0, 100.0)));
    }

    #[test]
    fn one_round_is_its_own_spread_and_none_has_no_figure() {
        check(&[7.0], Some((7.0, 7.0, 7.0)));
        check(&[], None);
    }

    #[test]
    fn ratios_compare_what_the_same_round_measured() {
        let ratios = Spread::of_ratios(&[30.0, 10.0, 50.0], &[10.0, 10.0, 20.0]);
        assert_eq!(ratios, Some(Spread { median: 2.5, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of_ratios(&[30.0], &[]), None);
    }

    #[test]
    fn one_slow_answer_in_a_hundred_is_the_maximum_and_not_the_99th_percentile() {
        let mut latencies = Latencies::new();
        (0..99).for_each(|_| latencies.record(Duration::from_millis(2)));
        latencies.record(Duration::from_millis(300));
        let figures = latencies.figures();
        assert!((1.99..2.01).contains(&figures.p50_ms) && (1.99..2.01).contains(&figures.p99_ms), "{figures:?}");
        assert!((299.0..301.0).contains(&figures.max_ms), "{figures:?}");
    }

    #[test]
    fn a_latency_beyond_every_bound_is_still_counted() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_hours(1));
        latencies.record(Duration::ZERO);
        assert!(latencies.figures().max_ms >= 120_000.0);
    }
}
