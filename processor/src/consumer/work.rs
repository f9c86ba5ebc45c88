//! The records in work, by partition and assignment.
//!
//! A partition can be taken away and given back while records of the first assignment are still in work, so
//! every assignment has a generation, and what belongs to an older one no longer counts. Pure but for the
//! tokens that tell abandoned work to stop.

use std::collections::{BTreeMap, BTreeSet};

use tokio_util::sync::CancellationToken;

use super::lanes::Partition;
use crate::offsets::{Commit, Next, Offsets, WentBack};

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

/// What became of a record that was taken.
#[derive(Debug)]
pub enum Handed {
    /// It is to be worked on.
    Out {
        /// Its place in the bookkeeping.
        place: Place,
        /// Cancelled when its partition goes to somebody else.
        abandoned: CancellationToken,
    },
    /// An earlier owner of its partition has finished it.
    DoneBefore,
    /// Its partition is not ours.
    NotOurs,
}

impl Work {
    /// A partition is ours from now on; `committed` is where an earlier owner was, if there was one and that is known.
    pub fn assign(&mut self, partition: Partition, committed: Option<&Commit>) {
        let generation = self.next_generation();
        let offsets = committed.map(Offsets::resume).unwrap_or_default();
        let assigned = Assigned { generation, offsets, running: 0, abandoned: CancellationToken::new() };
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

    /// Takes a record.
    pub fn hand_out(&mut self, partition: Partition, offset: i64) -> Handed {
        let next_generation = self.generations + 1;
        let Some(assigned) = self.partitions.get_mut(&partition) else { return Handed::NotOurs };
        let next = assigned.offsets.hand_out(offset).or_else(|WentBack| {
            // The log itself went back: the topic was made anew, or a broker lost its end. What is in work is
            // real work on records that no longer exist, so it goes on, but its offsets mean nothing now.
            self.generations = next_generation;
            assigned.generation = next_generation;
            assigned.offsets = Offsets::default();
            assigned.running = 0;
            assigned.offsets.hand_out(offset)
        });
        match next {
            Ok(Next::Work) => Handed::Out {
                place: Place { partition, generation: assigned.generation, offset },
                abandoned: assigned.abandoned.clone(),
            },
            // Nothing is before the first record.
            Ok(Next::DoneBefore) | Err(WentBack) => Handed::DoneBefore,
        }
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

    /// Where those of `partitions` stand that are due for a commit.
    pub fn take_commits(&mut self, partitions: &[Partition]) -> Vec<(Partition, Commit)> {
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

    /// The partitions of which at least so many records are remembered.
    pub fn remembering(&self, at_least: impl Fn(&Partition) -> usize) -> BTreeSet<Partition> {
        let partitions = self.partitions.iter();
        let much = partitions.filter(|(partition, assigned)| assigned.offsets.remembered() >= at_least(partition));
        much.map(|(partition, _)| *partition).collect()
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
            work.assign(partition, None);
        }
        work
    }

    fn hand_out(work: &mut Work, partition: Partition, offset: i64) -> (Place, CancellationToken) {
        let Handed::Out { place, abandoned } = work.hand_out(partition, offset) else { panic!("it is not to be done") };
        work.start(place);
        (place, abandoned)
    }

    fn positions(work: &mut Work, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let commits = work.take_commits(partitions);
        commits.into_iter().map(|(partition, commit)| (partition, commit.position)).collect()
    }

    #[test]
    fn partitions_are_committed_each_for_itself() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places =
            [(FIRST, 5), (FIRST, 6), (SECOND, 70)].map(|(partition, offset)| hand_out(&mut work, partition, offset).0);
        work.end(places[1], true);
        work.end(places[2], true);
        assert_eq!(positions(&mut work, &[FIRST, SECOND]), [(FIRST, 5), (SECOND, 71)]);
        work.end(places[0], true);
        assert_eq!(positions(&mut work, &[FIRST, SECOND]), [(FIRST, 7)]);
        work.commit_failed(FIRST);
        assert_eq!(positions(&mut work, &[FIRST, SECOND]), [(FIRST, 7)]);
    }

    #[test]
    fn partitions_of_the_same_number_in_two_lanes_are_two() {
        let mut work = assigned(&[FIRST, FIRST_HIGH]);
        let (normal, _) = hand_out(&mut work, FIRST, 5);
        let (high, _) = hand_out(&mut work, FIRST_HIGH, 5);
        work.end(high, true);
        assert_eq!(positions(&mut work, &[FIRST, FIRST_HIGH]), [(FIRST_HIGH, 6)]);
        work.release(FIRST_HIGH);
        work.end(normal, true);
        assert_eq!(positions(&mut work, &[FIRST, FIRST_HIGH]), [(FIRST, 6)]);
    }

    #[test]
    fn a_partition_remembers_what_lies_behind_its_first_unfinished_record() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places = [5, 6, 7].map(|offset| hand_out(&mut work, FIRST, offset).0);
        work.end(places[1], true);
        work.end(places[2], true);
        assert_eq!(work.remembering(|_| 3), BTreeSet::from([FIRST]));
        work.end(places[0], true);
        assert_eq!(work.remembering(|_| 1), BTreeSet::new());
    }

    #[test]
    fn a_record_of_a_partition_that_is_not_ours_is_not_taken() {
        assert!(matches!(assigned(&[FIRST]).hand_out(SECOND, 0), Handed::NotOurs));
    }

    #[test]
    fn what_finishes_after_its_partition_was_taken_away_counts_no_more() {
        let mut work = assigned(&[FIRST]);
        let (place, abandoned) = hand_out(&mut work, FIRST, 5);
        work.release(FIRST);
        assert!(abandoned.is_cancelled());
        work.end(place, true);
        assert_eq!(positions(&mut work, &[FIRST]), []);
        work.assign(FIRST, None);
        hand_out(&mut work, FIRST, 5);
        work.end(place, true);
        assert_eq!(positions(&mut work, &[FIRST]), []);
    }

    #[test]
    fn a_task_counts_for_its_partition_until_it_ends_however_it_does() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places =
            [(FIRST, 5), (FIRST, 6), (SECOND, 70)].map(|(partition, offset)| hand_out(&mut work, partition, offset).0);
        assert!(matches!(work.hand_out(SECOND, 71), Handed::Out { .. }));
        assert_eq!(
            [work.running(&[FIRST]), work.running(&[SECOND]), work.running(&[FIRST, SECOND, FIRST_HIGH])],
            [2, 1, 3]
        );
        work.end(places[0], true);
        work.end(places[1], false);
        assert_eq!(work.running(&[FIRST]), 0);
        work.release(SECOND);
        work.assign(SECOND, None);
        work.end(places[2], true);
        assert_eq!(work.running(&[SECOND]), 0);
    }

    #[test]
    fn a_log_that_went_back_is_followed_from_where_it_is_now() {
        let mut work = assigned(&[FIRST]);
        let (old, _) = hand_out(&mut work, FIRST, 100);
        let (new, _) = hand_out(&mut work, FIRST, 0);
        work.end(old, true);
        assert_eq!(positions(&mut work, &[FIRST]), []);
        work.end(new, true);
        assert_eq!(positions(&mut work, &[FIRST]), [(FIRST, 1)]);
    }
}
