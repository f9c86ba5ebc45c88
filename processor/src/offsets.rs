//! What of one partition may be committed: the end of the contiguous prefix of finished records, and which records
//! behind it are finished as well.
//!
//! Records finish in any order, and Kafka keeps one number per partition, so the committed position never
//! passes a record that is unfinished. Contiguity is over the offsets that were handed out: compaction and
//! transactions leave gaps between them. Pure: knows neither Kafka nor a clock.

mod done;

use std::{collections::VecDeque, mem};

use jiff::Timestamp;

use self::done::Done;

/// The records of one partition from the first unfinished one on, in the order they were handed out.
#[derive(Debug, Default)]
pub struct Offsets {
    window: VecDeque<HandedOut>,
    /// The position behind the last record of the finished prefix.
    position: Option<i64>,
    /// Whether there is something that no commit has told of.
    is_due: bool,
    /// Where an earlier owner was, until the first record shows whether its word counts.
    resumed_at: Option<i64>,
    /// What an earlier owner has finished of what comes.
    done_before: Done,
    /// How often the log went back.
    turn: u32,
    /// How many in the window are finished.
    finished: usize,
}

#[derive(Debug)]
struct HandedOut {
    offset: i64,
    turn: u32,
    put_at: Option<Timestamp>,
    finished: bool,
}

/// How far a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The first offset that is not finished; `None` while nothing is known of the partition.
    pub position: Option<i64>,
    /// How many records behind it are finished.
    pub finished_beyond: usize,
    /// When the record at the position was put there.
    pub oldest: Option<Timestamp>,
}

/// Where a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The first offset that is not finished.
    pub position: i64,
    /// Those behind it that are, for the commit's metadata.
    pub done: String,
}

/// What to do with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Work on it, and tell when it is finished.
    Work {
        /// To be told then.
        turn: u32,
    },
    /// Nothing: an earlier owner of the partition has finished it.
    DoneBefore,
}

impl Offsets {
    /// Goes on where an earlier owner of the partition was.
    pub fn resume(Commit { position, done }: &Commit) -> Self {
        Self { resumed_at: Some(*position), done_before: done::decode(*position, done), ..Self::default() }
    }

    /// Remembers a record. Offsets only grow, except where the log itself went back: its topic was made anew, or a broker
    /// lost the end of it.
    pub fn hand_out(&mut self, offset: i64, put_at: Option<Timestamp>) -> Next {
        let last = self.window.back().map(|last| last.offset).or(self.position.map(|position| position - 1));
        if last.is_some_and(|last| offset <= last) {
            self.go_back(offset);
        }
        if self.resumed_at.take().is_some_and(|position| offset < position) {
            // Not what was read before: the topic was made anew, or somebody set the group back on purpose.
            self.done_before.offsets.clear();
        }
        while self.done_before.offsets.front().is_some_and(|done| *done < offset) {
            self.done_before.offsets.pop_front();
        }
        // What was put there later is another record, which has got the offset of one that the log lost.
        let is_done = self.done_before.offsets.pop_front_if(|done| *done == offset).is_some()
            && milliseconds(put_at) <= self.done_before.latest;
        self.window.push_back(HandedOut { offset, turn: self.turn, put_at, finished: is_done });
        self.is_due |= is_done;
        self.finished += usize::from(is_done);
        self.advance();
        if is_done { Next::DoneBefore } else { Next::Work { turn: self.turn } }
    }

    /// Forgets what the log has no more. What is in work of that is real work on records that do not exist, so it goes
    /// on, but its offsets mean nothing now; what lies before is still there and still has to be finished.
    fn go_back(&mut self, offset: i64) {
        self.turn += 1;
        self.window.truncate(self.window.partition_point(|record| record.offset < offset));
        self.finished = self.window.iter().filter(|record| record.finished).count();
        self.done_before.offsets.clear();
        self.position = self.position.filter(|position| *position <= offset);
    }

    /// Marks a record as finished; one that was never handed out, or that the log has no more, changes nothing.
    pub fn finish(&mut self, offset: i64, turn: u32) {
        let Some(index) = self.index(offset) else { return };
        let record = &mut self.window[index];
        if record.turn == turn && !mem::replace(&mut record.finished, true) {
            self.is_due = true;
            self.finished += 1;
            self.advance();
        }
    }

    /// Where a record is in the window. Nearly always offsets have no gaps, and then its distance from the first tells.
    fn index(&self, offset: i64) -> Option<usize> {
        let first = self.window.front()?.offset;
        let guess = usize::try_from(offset.checked_sub(first)?).ok()?;
        match self.window.get(guess) {
            Some(record) if record.offset == offset => Some(guess),
            Some(_) | None => self.window.binary_search_by_key(&offset, |record| record.offset).ok(),
        }
    }

    fn advance(&mut self) {
        while let Some(first) = self.window.pop_front_if(|first| first.finished) {
            self.position = Some(first.offset + 1);
            self.finished -= 1;
        }
    }

    /// What to commit, once: afterwards `None` until something has been finished or a commit has failed.
    pub fn take_commit(&mut self) -> Option<Commit> {
        if !mem::take(&mut self.is_due) {
            return None;
        }
        let position = self.progress().position?;
        let finished = || self.window.iter().filter(|record| record.finished);
        let latest = finished().map(|record| milliseconds(record.put_at)).max().unwrap_or_default();
        // What is still to come and known to be done is not forgotten by the way.
        let to_come = &self.done_before;
        let latest = if to_come.offsets.is_empty() { latest } else { latest.max(to_come.latest) };
        let offsets = finished().map(|record| record.offset).chain(to_come.offsets.iter().copied());
        let done = done::encode(position, offsets, latest);
        if self.position.is_none() && done.is_empty() {
            return None;
        }
        Some(Commit { position, done })
    }

    /// The last commit did not reach Kafka, so it is due again.
    pub fn commit_failed(&mut self) {
        self.is_due = true;
    }

    /// How far the partition is.
    pub fn progress(&self) -> Progress {
        let first = self.window.front();
        Progress {
            position: self.position.or(first.map(|first| first.offset)).or(self.resumed_at),
            // Also what is still to be read again: it is no backlog.
            finished_beyond: self.finished + self.done_before.offsets.len(),
            oldest: first.and_then(|first| first.put_at),
        }
    }

    /// How many records are remembered: the unfinished ones, and the finished ones behind them.
    pub fn remembered(&self) -> usize {
        self.window.len()
    }
}

/// A record that does not tell its time is as old as can be.
fn milliseconds(put_at: Option<Timestamp>) -> i64 {
    put_at.map_or(0, Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Next = Next::Work { turn: 0 };

    fn handed_out(offsets: &[i64]) -> Offsets {
        let mut tracked = Offsets::default();
        for &offset in offsets {
            assert_eq!(tracked.hand_out(offset, None), WORK);
        }
        tracked
    }

    /// A commit in words: the position, and the offsets behind it that are done.
    fn told(commit: Option<Commit>) -> Option<(i64, Vec<i64>)> {
        commit.map(|Commit { position, done }| (position, done::decode(position, &done).offsets.into()))
    }

    type Expected<'a> = Option<(i64, &'a [i64])>;

    /// `finished` in their order, each with the commit right after it.
    #[track_caller]
    fn check(offsets: &[i64], finished: &[(i64, Expected<'_>)]) {
        let mut tracked = handed_out(offsets);
        for &(offset, expected) in finished {
            tracked.finish(offset, 0);
            let expected = expected.map(|(position, done)| (position, done.to_vec()));
            assert_eq!(told(tracked.take_commit()), expected, "after {offset} of {finished:?}");
        }
    }

    #[test]
    fn records_finished_in_order_are_committed_one_by_one() {
        check(&[0, 1, 2], &[(0, Some((1, &[]))), (1, Some((2, &[]))), (2, Some((3, &[])))]);
    }

    #[test]
    fn nothing_is_committed_past_an_unfinished_record_but_what_is_finished_behind_it_is_told() {
        check(
            &[5, 6, 7, 8],
            &[(6, Some((5, &[6]))), (8, Some((5, &[6, 8]))), (5, Some((7, &[8]))), (7, Some((9, &[])))],
        );
    }

    #[test]
    fn gaps_between_offsets_hold_nothing_up() {
        check(
            &[3, 10, 11, 40],
            &[(10, Some((3, &[10]))), (3, Some((11, &[]))), (40, Some((11, &[40]))), (11, Some((41, &[])))],
        );
    }

    #[test]
    fn a_record_never_handed_out_or_finished_twice_changes_nothing() {
        check(&[3, 10], &[(4, None), (3, Some((4, &[]))), (3, None), (10, Some((11, &[]))), (99, None)]);
    }

    #[test]
    fn a_failed_commit_is_due_again() {
        let mut tracked = handed_out(&[0]);
        tracked.finish(0, 0);
        assert_eq!(told(tracked.take_commit()), Some((1, vec![])));
        tracked.commit_failed();
        assert_eq!(told(tracked.take_commit()), Some((1, vec![])));
        assert_eq!(tracked.take_commit(), None);
    }

    #[test]
    fn a_log_that_lost_its_end_is_followed_and_what_it_still_has_must_be_finished() {
        let mut tracked = handed_out(&[7, 8, 9]);
        assert_eq!(tracked.hand_out(9, None), Next::Work { turn: 1 });
        assert_eq!(tracked.hand_out(10, None), Next::Work { turn: 1 });
        tracked.finish(9, 0);
        tracked.finish(10, 1);
        assert_eq!(told(tracked.take_commit()), Some((7, vec![10])), "the other 9 is not finished");
        tracked.finish(7, 0);
        tracked.finish(9, 1);
        assert_eq!(told(tracked.take_commit()), Some((8, vec![9, 10])));
        tracked.finish(8, 0);
        assert_eq!(told(tracked.take_commit()), Some((11, vec![])));
    }

    #[test]
    fn a_log_that_was_made_anew_is_followed_from_its_start() {
        let mut tracked = handed_out(&[7]);
        tracked.finish(7, 0);
        assert_eq!(tracked.hand_out(0, None), Next::Work { turn: 1 });
        tracked.finish(0, 1);
        assert_eq!(told(tracked.take_commit()), Some((1, vec![])));
    }

    fn resumed(position: i64, done: &[i64]) -> Offsets {
        Offsets::resume(&Commit { position, done: done::encode(position, done.iter().copied(), 0) })
    }

    #[test]
    fn what_an_earlier_owner_has_finished_is_not_done_again() {
        let mut tracked = resumed(5, &[6, 8, 20]);
        let next: Vec<_> = (5..=9).map(|offset| tracked.hand_out(offset, None)).collect();
        assert_eq!(next, [WORK, Next::DoneBefore, WORK, Next::DoneBefore, WORK]);
        assert_eq!(told(tracked.take_commit()), Some((5, vec![6, 8, 20])), "also what is still to come");
        tracked.finish(5, 0);
        tracked.finish(7, 0);
        assert_eq!(told(tracked.take_commit()), Some((9, vec![20])));
    }

    #[test]
    fn what_an_earlier_owner_has_finished_is_no_backlog_before_it_is_read_again() {
        let mut tracked = resumed(5, &[6, 8, 20]);
        let check = |tracked: &Offsets, finished_beyond| {
            assert_eq!(tracked.progress(), Progress { position: Some(5), finished_beyond, oldest: None });
        };
        check(&tracked, 3);
        for offset in 5..=8 {
            tracked.hand_out(offset, None);
            check(&tracked, 3);
        }
        tracked.finish(7, 0);
        check(&tracked, 4);
    }

    #[test]
    fn the_word_of_an_earlier_owner_does_not_count_where_the_log_is_another_one() {
        let mut tracked = resumed(5, &[6, 8]);
        for offset in 0..10 {
            assert_eq!(tracked.hand_out(offset, None), WORK);
        }
    }

    #[test]
    fn a_later_record_with_an_offset_that_the_log_had_lost_is_not_taken_for_the_finished_one() {
        let second = |second| Some(Timestamp::from_second(second).expect("a time"));
        let mut tracked = Offsets::default();
        for offset in 5..8 {
            assert_eq!(tracked.hand_out(offset, second(offset)), WORK);
        }
        tracked.finish(6, 0);
        tracked.finish(7, 0);
        let commit = tracked.take_commit().expect("something is finished");
        let mut next_owner = Offsets::resume(&commit);
        let next =
            [(5, second(5)), (6, second(6)), (7, second(60))].map(|(offset, at)| next_owner.hand_out(offset, at));
        assert_eq!(next, [WORK, Next::DoneBefore, WORK]);
    }

    /// Any completion order over any gaps, against the definition: the position is the one behind the longest finished
    /// prefix, and what an owner after any of the commits does again is what was not finished.
    #[test]
    fn committed_is_always_the_contiguous_prefix() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut next = random.i64(0..1000);
            let offsets: Vec<i64> = (0..random.usize(1..100))
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
                tracked.finish(offset, 0);
                committed = tracked.take_commit().or(committed);
                let commit = committed.as_ref().expect("something is finished");
                let finished = &order[..=count];
                let prefix = offsets.iter().take_while(|offset| finished.contains(offset)).last();
                assert_eq!(commit.position, prefix.map_or(offsets[0], |last| last + 1), "seed {seed}");
                let mut next_owner = Offsets::resume(commit);
                for &offset in offsets.iter().filter(|offset| **offset >= commit.position) {
                    let expected = if finished.contains(&offset) { Next::DoneBefore } else { WORK };
                    assert_eq!(next_owner.hand_out(offset, None), expected, "seed {seed}");
                }
            }
            assert_eq!(tracked.remembered(), 0, "seed {seed}");
        }
    }
}
