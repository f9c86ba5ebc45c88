//! The largest recommendation of the last while: how fast replicas are taken away.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The recommendations of a while, without those that a later and greater one has made meaningless.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Since when recommendations have come without a gap.
    since: Option<Timestamp>,
    /// Each is smaller than the one before it.
    largest: VecDeque<(Timestamp, u32)>,
}

impl Window {
    /// Adds a recommendation; `gap` is how far apart two of them may be.
    pub fn add(&mut self, now: Timestamp, recommended: u32, length: Duration, gap: Duration) {
        let last = self.largest.back().map(|(at, _)| *at);
        if last.is_none_or(|last| now.duration_since(last).as_secs_f64() > gap.as_secs_f64()) {
            self.forget();
        }
        self.since.get_or_insert(now);
        while self.largest.back().is_some_and(|(_, before)| *before <= recommended) {
            self.largest.pop_back();
        }
        self.largest.push_back((now, recommended));
        while self.largest.front().is_some_and(|(at, _)| now.duration_since(*at).as_secs_f64() > length.as_secs_f64()) {
            self.largest.pop_front();
        }
    }

    /// What was recommended no longer counts.
    pub fn forget(&mut self) {
        *self = Window::default();
    }

    /// Makes nothing later than now.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        self.since = self.since.map(|since| since.min(now));
        self.largest.iter_mut().for_each(|(at, _)| *at = now.min(*at));
    }

    /// The largest recommendation, if there have been some for all of `length`.
    pub fn largest(&self, now: Timestamp, length: Duration) -> Option<u32> {
        let covered = now.duration_since(self.since?).as_secs_f64() >= length.as_secs_f64();
        covered.then(|| self.largest.front().map(|(_, recommended)| *recommended)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_mins(1);
    const GAP: Duration = Duration::from_secs(30);

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn the_largest_of_the_whole_window_counts_and_nothing_before_it_is_full() {
        let mut window = Window::default();
        for (at, recommended) in [(0, 3), (10, 5), (20, 2), (30, 4), (50, 1)] {
            window.add(second(at), recommended, LENGTH, GAP);
            assert_eq!(window.largest(second(at), LENGTH), None);
        }
        window.add(second(60), 1, LENGTH, GAP);
        assert_eq!(window.largest(second(60), LENGTH), Some(5));
        window.add(second(71), 1, LENGTH, GAP);
        assert_eq!(window.largest(second(71), LENGTH), Some(4));
        window.add(second(91), 1, LENGTH, GAP);
        assert_eq!(window.largest(second(91), LENGTH), Some(1));
    }

    #[test]
    fn after_a_gap_it_begins_anew() {
        let mut window = Window::default();
        for at in [0, 30, 60, 91] {
            window.add(second(at), 1, LENGTH, GAP);
        }
        assert_eq!(window.largest(second(91), LENGTH), None);
    }

    #[test]
    fn it_holds_no_more_than_can_still_count() {
        let mut window = Window::default();
        for at in 0..1000 {
            window.add(second(at), u32::try_from(at % 7).expect("small"), LENGTH, GAP);
        }
        assert!(window.largest.len() <= 7, "{window:?}");
    }
}
