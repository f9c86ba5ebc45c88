//! Which offset of one partition may be committed: the end of the contiguous prefix of finished records.
//!
//! Records finish in any order, and Kafka keeps one number per partition, so the committed position never
//! passes a record that is unfinished. Contiguity is over the offsets that were handed out: compaction and
//! transactions leave gaps between them. Pure: knows neither Kafka nor a clock.

use std::collections::VecDeque;

/// The records of one partition from the first unfinished one on, in the order they were handed out.
#[derive(Debug, Default)]
pub struct Offsets {
    window: VecDeque<HandedOut>,
    /// The position behind the last record of the finished prefix.
    position: Option<i64>,
    /// The last position that a commit was asked for.
    requested: Option<i64>,
}

#[derive(Debug)]
struct HandedOut {
    offset: i64,
    finished: bool,
}

/// A record was handed out that is not behind the one before it.
#[derive(Debug, PartialEq, Eq)]
pub struct WentBack;

impl Offsets {
    /// Remembers a record that is now in work; offsets only grow.
    pub fn hand_out(&mut self, offset: i64) -> Result<(), WentBack> {
        let last = self.window.back().map(|last| last.offset).or(self.position.map(|position| position - 1));
        if last.is_some_and(|last| offset <= last) {
            return Err(WentBack);
        }
        self.window.push_back(HandedOut { offset, finished: false });
        Ok(())
    }

    /// Marks a record as finished; one that was never handed out changes nothing.
    pub fn finish(&mut self, offset: i64) {
        let Ok(index) = self.window.binary_search_by_key(&offset, |record| record.offset) else { return };
        self.window[index].finished = true;
        while self.window.front().is_some_and(|first| first.finished) {
            self.position = self.window.pop_front().map(|first| first.offset + 1);
        }
    }

    /// The position to commit, once: afterwards `None` until the prefix has grown or a commit has failed.
    pub fn take_commit(&mut self) -> Option<i64> {
        if self.position == self.requested {
            return None;
        }
        self.requested = self.position;
        self.position
    }

    /// The last commit did not reach Kafka, so it is due again.
    pub fn commit_failed(&mut self) {
        self.requested = None;
    }

    /// How many records are remembered: the unfinished ones, and the finished ones behind them.
    pub fn remembered(&self) -> usize {
        self.window.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_out(offsets: &[i64]) -> Offsets {
        let mut tracked = Offsets::default();
        for &offset in offsets {
            tracked.hand_out(offset).expect("offsets grow");
        }
        tracked
    }

    /// `finished` in their order, each with the position to commit right after it.
    #[track_caller]
    fn check(offsets: &[i64], finished: &[(i64, Option<i64>)]) {
        let mut tracked = handed_out(offsets);
        for &(offset, expected) in finished {
            tracked.finish(offset);
            assert_eq!(tracked.take_commit(), expected, "after {offset} of {finished:?}");
        }
    }

    #[test]
    fn records_finished_in_order_are_committed_one_by_one() {
        check(&[0, 1, 2], &[(0, Some(1)), (1, Some(2)), (2, Some(3))]);
    }

    #[test]
    fn nothing_is_committed_past_an_unfinished_record() {
        check(&[5, 6, 7, 8], &[(6, None), (8, None), (5, Some(7)), (7, Some(9))]);
    }

    #[test]
    fn gaps_between_offsets_hold_nothing_up() {
        check(&[3, 10, 11, 40], &[(10, None), (3, Some(11)), (40, None), (11, Some(41))]);
    }

    #[test]
    fn a_record_never_handed_out_or_finished_twice_changes_nothing() {
        check(&[3, 10], &[(4, None), (3, Some(4)), (3, None), (10, Some(11)), (99, None)]);
    }

    #[test]
    fn a_failed_commit_is_due_again() {
        let mut tracked = handed_out(&[0]);
        tracked.finish(0);
        assert_eq!(tracked.take_commit(), Some(1));
        tracked.commit_failed();
        assert_eq!(tracked.take_commit(), Some(1));
        assert_eq!(tracked.take_commit(), None);
    }

    #[test]
    fn an_offset_that_goes_back_is_refused() {
        let mut tracked = handed_out(&[7]);
        assert_eq!(tracked.hand_out(7), Err(WentBack));
        tracked.finish(7);
        assert_eq!(tracked.hand_out(7), Err(WentBack));
        assert_eq!(tracked.hand_out(8), Ok(()));
    }

    /// Any completion order over any gaps, against the definition: the position is the one behind the
    /// longest finished prefix.
    #[test]
    fn committed_is_always_the_contiguous_prefix() {
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut next = random.i64(0..1000);
            let offsets: Vec<i64> = (0..random.usize(1..200))
                .map(|_| {
                    next += if random.u8(0..4) == 0 { random.i64(1..50) } else { 1 };
                    next
                })
                .collect();
            let mut order = offsets.clone();
            random.shuffle(&mut order);
            let mut tracked = handed_out(&offsets);
            let mut committed = None;
            for (count, &offset) in order.iter().enumerate() {
                tracked.finish(offset);
                committed = tracked.take_commit().or(committed);
                let prefix = offsets.iter().take_while(|offset| order[..=count].contains(offset)).last();
                assert_eq!(committed, prefix.map(|last| last + 1), "seed {seed}");
            }
            assert_eq!(tracked.remembered(), 0, "seed {seed}");
        }
    }
}
