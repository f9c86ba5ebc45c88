//! One partition from look to look: rates, records that nobody can consume, and whether it waits for itself.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Over how many seconds rates are smoothed: three looks, so that noise is halved and a change is seen within a minute.
const SMOOTH_SECONDS: f64 = 30.0;
/// For how long a remainder must have stood still, with a processor that has read past it, before it counts as nothing:
/// transaction markers and what compaction removed leave offsets that nobody can consume.
const REMAINDER_SECONDS: f64 = 60.0;
/// In how many looks in a row a partition must have waited beside free slots to count as stuck.
const STUCK_LOOKS: u32 = 2;

/// What is remembered of a partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionMemory {
    /// Offset that the next record gets, without records that wait for their time.
    pub end: i64,
    /// First offset that is not finished.
    pub position: i64,
    /// Records that are not finished.
    pub unfinished: u64,
    /// Records that wait: those of them that are not in work.
    pub waiting: f64,
    /// Records that come, per second, smoothed; none before the second look.
    pub input: Option<f64>,
    /// Records that are finished, per second, smoothed; none before the second look.
    pub done: Option<f64>,
    /// Of how many seconds the rates tell, up to those over which they are smoothed.
    pub known_seconds: f64,
    /// Offsets before the end that nobody can consume.
    pub remainder: u64,
    /// Since when nothing has moved though its processor has read all there is.
    pub still_since: Option<Timestamp>,
    /// In how many looks in a row it has waited beside free slots.
    pub stuck_looks: u32,
}

/// Where a partition is now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub end: i64,
    pub position: i64,
    /// Offsets from the position to the end whose records are not finished.
    pub open: u64,
    /// Whether its processor says that it has read all there is and nothing is in work.
    pub read_up: bool,
}

impl PartitionMemory {
    /// Takes what is seen `seconds` after `before`.
    pub(crate) fn follow(
        before: Option<&PartitionMemory>,
        place: Place,
        now: Timestamp,
        seconds: f64,
    ) -> PartitionMemory {
        let stood = before.filter(|before| before.end == place.end && before.position == place.position);
        let still_since =
            stood.filter(|_| place.read_up && place.open > 0).map(|before| before.still_since.unwrap_or(now));
        let is_remainder =
            still_since.is_some_and(|since| now.duration_since(since).as_secs_f64() >= REMAINDER_SECONDS);
        let remainder = if is_remainder { place.open } else { stood.map_or(0, |before| before.remainder) };
        let unfinished = place.open.saturating_sub(remainder);
        // An end that goes back belongs to another topic of the same name: what was known says nothing.
        let before = before.filter(|before| before.end <= place.end);
        let (mut input, mut done) = before.map_or((None, None), |before| (before.input, before.done));
        if let Some(before) = before.filter(|_| seconds > 0.0) {
            let came = (place.end - before.end) as f64 / seconds;
            let grew = (unfinished as f64 - before.unfinished as f64) / seconds;
            input = Some(mean(input, came, seconds, before.known_seconds));
            done = Some(mean(done, (came - grew).max(0.0), seconds, before.known_seconds));
        }
        PartitionMemory {
            end: place.end,
            position: place.position,
            unfinished,
            waiting: unfinished as f64,
            input,
            done,
            known_seconds: before.map_or(0.0, |before| (before.known_seconds + seconds).min(SMOOTH_SECONDS)),
            remainder,
            still_since,
            stuck_looks: before.map_or(0, |before| before.stuck_looks),
        }
    }

    /// Only this part of what came since `before`, `seconds` ago, tells of the input; the rest is backlog and nothing else.
    pub(crate) fn temper(&mut self, before: &PartitionMemory, part: f64, seconds: f64) {
        let came = (self.end - before.end).max(0) as f64 / seconds;
        if before.input.is_some() {
            self.input = Some(mean(before.input, came * part, seconds, before.known_seconds));
        }
    }

    /// Whether more wait than come and go in two seconds: no mere fluctuation.
    pub(crate) fn waits(&self) -> bool {
        self.waiting > 10.0 + 2.0 * self.done.unwrap_or(0.0).max(0.1 * self.input.unwrap_or(0.0))
    }

    /// Whether it waits for itself. That ends only when nothing waits or its processor has no slots free.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck_looks >= STUCK_LOOKS
    }
}

/// The average that a new value, which stands for `seconds`, makes of an old one. A fraction instead of an exponential: it
/// gives the same bits on every machine.
pub(crate) fn smoothed(old: f64, new: f64, seconds: f64) -> f64 {
    old + (new - old) * seconds / (seconds + SMOOTH_SECONDS)
}

/// The same of an old value that stands for fewer seconds than values are smoothed over, as after a start: what came within
/// the first looks would otherwise count for half a minute, and a burst for minutes.
fn mean(old: Option<f64>, new: f64, seconds: f64, known_seconds: f64) -> f64 {
    old.map_or(new, |old| old + (new - old) * seconds / (seconds + known_seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(before: Option<&PartitionMemory>, end: i64, position: i64, read_up: bool, second: i64) -> PartitionMemory {
        let open = u64::try_from(end - position).expect("position is before the end");
        let place = Place { end, position, open, read_up };
        PartitionMemory::follow(before, place, Timestamp::from_second(second).expect("a time"), 10.0)
    }

    #[test]
    fn rates_are_what_comes_and_what_is_finished() {
        let first = look(None, 1000, 0, false, 0);
        assert_eq!((first.input, first.done), (None, None));
        let second = look(Some(&first), 1100, 50, false, 10);
        assert_eq!((second.input, second.done), (Some(10.0), Some(5.0)));
    }

    #[test]
    fn a_burst_in_the_first_look_counts_as_no_more_than_its_part_of_what_is_known() {
        let first = look(None, 0, 0, false, 0);
        let burst = look(Some(&first), 600, 0, false, 10);
        assert_eq!(burst.input, Some(60.0));
        let silence = look(Some(&burst), 600, 600, false, 20);
        assert_eq!(silence.input, Some(30.0));
        assert_eq!(look(Some(&silence), 600, 600, false, 30).input, Some(20.0));
    }

    #[test]
    fn what_comes_all_at_once_is_input_only_in_part() {
        let first = look(Some(&look(None, 1000, 0, false, 0)), 1100, 0, false, 10);
        let mut burst = look(Some(&first), 101_100, 0, false, 20);
        burst.temper(&first, 0.003, 10.0);
        assert_eq!((burst.unfinished, burst.input), (101_100, Some(20.0)));
    }

    #[test]
    fn a_topic_that_was_made_anew_has_no_rate_yet() {
        let old = look(Some(&look(None, 1000, 0, false, 0)), 1100, 0, false, 10);
        let new = look(Some(&old), 5, 0, false, 20);
        assert_eq!((new.input, new.done, new.unfinished), (None, None, 5));
    }

    #[test]
    fn what_stands_still_before_a_processor_that_has_read_it_all_is_no_backlog_after_a_minute() {
        let mut partition = look(None, 100, 99, true, 0);
        for second in [10, 20, 30, 40, 50, 60] {
            partition = look(Some(&partition), 100, 99, true, second);
            assert_eq!(partition.unfinished, 1, "after {second} s");
        }
        partition = look(Some(&partition), 100, 99, true, 70);
        assert_eq!(partition.unfinished, 0);
        // It stays nothing when the processors are gone, and a record that comes is one.
        partition = look(Some(&partition), 100, 99, false, 80);
        assert_eq!(partition.unfinished, 0);
        partition = look(Some(&partition), 101, 99, false, 90);
        assert_eq!(partition.unfinished, 2);
    }

    #[test]
    fn what_stands_still_before_a_processor_that_has_not_read_it_is_a_backlog_for_ever() {
        let mut partition = look(None, 100, 40, false, 0);
        for second in 1..100 {
            partition = look(Some(&partition), 100, 40, false, second * 10);
        }
        assert_eq!(partition.unfinished, 60);
    }
}
