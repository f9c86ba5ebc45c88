//! The records in work, by partition and assignment.
//!
//! A partition can be taken away and given back while records of the first assignment are still in work, so
//! every assignment has a generation, and what belongs to an older one no longer counts. Pure but for the
//! tokens that tell abandoned work to stop.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::lanes::Partition;
use crate::offsets::Offsets;

/// The partitions that are ours, with their records in work.
#[derive(Debug, Default)]
pub struct Work {
    partitions: BTreeMap<Partition, Assigned>,
    generations: u64,
}

#[derive(Debug)]
struct Assigned {
    generation: u64,
    offsets: Offsets,
    /// Records with a task that has not ended.
    running: usize,
    abandoned: CancellationToken,
}

/// A record in work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    partition: Partition,
    generation: u64,
    offset: i64,
}

impl Work {
    /// A partition is ours from now on.
    pub fn assign(&mut self, partition: Partition) {
        let generation = self.next_generation();
        let assigned =
            Assigned { generation, offsets: Offsets::default(), running: 0, abandoned: CancellationToken::new() };
        if let Some(before) = self.partitions.insert(partition, assigned) {
            before.abandoned.cancel();
        }
    }

    /// A partition is no longer ours; its records in work are abandoned.
    pub fn release(&mut self, partition: Partition) {
        if let Some(assigned) = self.partitions.remove(&partition) {
            assigned.abandoned.cancel();
        }
    }

    /// Tells all work to stop; what is finished can still be committed.
    pub fn abandon(&self) {
        for assigned in self.partitions.values() {
            assigned.abandoned.cancel();
        }
    }

    /// Takes a record into work; `None` when its partition is not ours.
    pub fn hand_out(&mut self, partition: Partition, offset: i64) -> Option<(Place, CancellationToken)> {
        let next_generation = self.generations + 1;
        let assigned = self.partitions.get_mut(&partition)?;
        if assigned.offsets.hand_out(offset).is_err() {
            // The log itself went back: the topic was made anew, or a broker lost its end. What is in work is
            // real work on records that no longer exist, so it goes on, but its offsets mean nothing now.
            self.generations = next_generation;
            assigned.generation = next_generation;
            assigned.offsets = Offsets::default();
            assigned.running = 0;
            assigned.offsets.hand_out(offset).ok()?;
        }
        Some((Place { partition, generation: assigned.generation, offset }, assigned.abandoned.clone()))
    }

    /// The task of a record begins.
    pub fn start(&mut self, place: Place) {
        if let Some(assigned) = self.current(place) {
            assigned.running += 1;
        }
    }

    /// The task of a record that was started has ended, and the record is `finished` or not; one of an earlier
    /// assignment changes nothing.
    pub fn end(&mut self, place: Place, finished: bool) {
        if let Some(assigned) = self.current(place) {
            assigned.running -= 1;
            if finished {
                assigned.offsets.finish(place.offset);
            }
        }
    }

    /// How many tasks work on records of `partitions`.
    pub fn running(&self, partitions: &[Partition]) -> usize {
        partitions.iter().filter_map(|partition| self.partitions.get(partition)).map(|assigned| assigned.running).sum()
    }

    fn current(&mut self, place: Place) -> Option<&mut Assigned> {
        self.partitions.get_mut(&place.partition).filter(|assigned| assigned.generation == place.generation)
    }

    /// The positions of `partitions` that are due for a commit.
    pub fn take_commits(&mut self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let due =
            |partition: &Partition| Some((*partition, self.partitions.get_mut(partition)?.offsets.take_commit()?));
        partitions.iter().filter_map(due).collect()
    }

    /// A commit for `partition` did not reach Kafka.
    pub fn commit_failed(&mut self, partition: Partition) {
        if let Some(assigned) = self.partitions.get_mut(&partition) {
            assigned.offsets.commit_failed();
        }
    }

    /// The partitions that are ours.
    pub fn partitions(&self) -> Vec<Partition> {
        self.partitions.keys().copied().collect()
    }

    /// How many records are remembered in all partitions.
    pub fn remembered(&self) -> usize {
        self.partitions.values().map(|assigned| assigned.offsets.remembered()).sum()
    }

    fn next_generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::lanes::Lane;

    const FIRST: Partition = Partition { lane: Lane::Normal, number: 0 };
    const SECOND: Partition = Partition { lane: Lane::Normal, number: 1 };
    /// The first one of another lane: only the number is the same.
    const FIRST_HIGH: Partition = Partition { lane: Lane::High, number: 0 };

    fn assigned(partitions: &[Partition]) -> Work {
        let mut work = Work::default();
        for &partition in partitions {
            work.assign(partition);
        }
        work
    }

    fn hand_out(work: &mut Work, partition: Partition, offset: i64) -> (Place, CancellationToken) {
        let handed_out = work.hand_out(partition, offset).expect("the partition is assigned");
        work.start(handed_out.0);
        handed_out
    }

    #[test]
    fn partitions_are_committed_each_for_itself() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places =
            [(FIRST, 5), (FIRST, 6), (SECOND, 70)].map(|(partition, offset)| hand_out(&mut work, partition, offset).0);
        work.end(places[1], true);
        work.end(places[2], true);
        assert_eq!(work.take_commits(&[FIRST, SECOND]), [(SECOND, 71)]);
        work.end(places[0], true);
        assert_eq!(work.take_commits(&[FIRST, SECOND]), [(FIRST, 7)]);
        work.commit_failed(FIRST);
        assert_eq!(work.take_commits(&[FIRST, SECOND]), [(FIRST, 7)]);
    }

    #[test]
    fn partitions_of_the_same_number_in_two_lanes_are_two() {
        let mut work = assigned(&[FIRST, FIRST_HIGH]);
        let (normal, _) = hand_out(&mut work, FIRST, 5);
        let (high, _) = hand_out(&mut work, FIRST_HIGH, 5);
        work.end(high, true);
        assert_eq!(work.take_commits(&[FIRST, FIRST_HIGH]), [(FIRST_HIGH, 6)]);
        work.release(FIRST_HIGH);
        work.end(normal, true);
        assert_eq!(work.take_commits(&[FIRST, FIRST_HIGH]), [(FIRST, 6)]);
    }

    #[test]
    fn a_record_of_a_partition_that_is_not_ours_is_not_taken() {
        assert!(assigned(&[FIRST]).hand_out(SECOND, 0).is_none());
    }

    #[test]
    fn what_finishes_after_its_partition_was_taken_away_counts_no_more() {
        let mut work = assigned(&[FIRST]);
        let (place, abandoned) = hand_out(&mut work, FIRST, 5);
        work.release(FIRST);
        assert!(abandoned.is_cancelled());
        work.end(place, true);
        assert_eq!(work.take_commits(&[FIRST]), []);
        work.assign(FIRST);
        hand_out(&mut work, FIRST, 5);
        work.end(place, true);
        assert_eq!(work.take_commits(&[FIRST]), []);
    }

    #[test]
    fn a_task_counts_for_its_partition_until_it_ends_however_it_does() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places =
            [(FIRST, 5), (FIRST, 6), (SECOND, 70)].map(|(partition, offset)| hand_out(&mut work, partition, offset).0);
        assert!(work.hand_out(SECOND, 71).is_some());
        assert_eq!(
            [work.running(&[FIRST]), work.running(&[SECOND]), work.running(&[FIRST, SECOND, FIRST_HIGH])],
            [2, 1, 3]
        );
        work.end(places[0], true);
        work.end(places[1], false);
        assert_eq!(work.running(&[FIRST]), 0);
        work.release(SECOND);
        work.assign(SECOND);
        work.end(places[2], true);
        assert_eq!(work.running(&[SECOND]), 0);
    }

    #[test]
    fn a_log_that_went_back_is_followed_from_where_it_is_now() {
        let mut work = assigned(&[FIRST]);
        let (old, _) = hand_out(&mut work, FIRST, 100);
        let (new, _) = hand_out(&mut work, FIRST, 0);
        work.end(old, true);
        assert_eq!(work.take_commits(&[FIRST]), []);
        work.end(new, true);
        assert_eq!(work.take_commits(&[FIRST]), [(FIRST, 1)]);
    }
}
