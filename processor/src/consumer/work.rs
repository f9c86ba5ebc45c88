//! The records in work, by partition and assignment.
//!
//! A partition can be taken away and given back while records of the first assignment are still in work, so
//! every assignment has a generation, and what belongs to an older one no longer counts. Pure but for the
//! handles by which abandoned work is stopped.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use slab::Slab;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::lanes::Partition;
use crate::offsets::{Commit, Next, Offsets, Progress};

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
    /// The tasks that have not ended; none for one that is just being spawned.
    tasks: Slab<Option<AbortHandle>>,
    /// When it came, if nobody had committed a position in it before.
    first_read_at: Option<Timestamp>,
    /// Cancelled when it is about to be given away, so that nothing new begins.
    retired: Arc<CancellationToken>,
}

/// A record in work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    partition: Partition,
    generation: u64,
    offset: i64,
    /// Tells records apart that had the same offset one after the other.
    turn: u32,
}

/// A record in work, and its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    place: Place,
    task: usize,
}

/// What became of a record that was taken.
#[derive(Debug)]
pub enum Handed {
    /// It is to be worked on.
    Out {
        /// Its place in the bookkeeping.
        place: Place,
        /// Cancelled when its partition is about to go: what has been begun may end, and nothing new should begin.
        retired: Arc<CancellationToken>,
        /// Whether somebody may have worked on it before who left no trace in Kafka.
        is_doubtful: bool,
    },
    /// An earlier owner of its partition has finished it.
    DoneBefore,
    /// Its partition is not ours, or will not be much longer.
    NotOurs,
}

impl Work {
    /// A partition is ours from `now` on; `committed` is where an earlier owner was, if there was one and that is known.
    pub fn assign(&mut self, partition: Partition, committed: Option<&Commit>, now: Timestamp) {
        let generation = self.next_generation();
        let offsets = committed.map(Offsets::resume).unwrap_or_default();
        let assigned = Assigned {
            generation,
            offsets,
            tasks: Slab::new(),
            first_read_at: committed.is_none().then_some(now),
            retired: Arc::default(),
        };
        if let Some(before) = self.partitions.insert(partition, assigned) {
            before.abandon();
        }
    }

    /// Partitions are about to be given away: what runs may end, and nothing new begins.
    pub fn retire(&self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(assigned) = self.partitions.get(partition) {
                assigned.retired.cancel();
            }
        }
    }

    /// A partition is no longer ours; its records in work are abandoned.
    pub fn release(&mut self, partition: Partition) {
        if let Some(assigned) = self.partitions.remove(&partition) {
            assigned.abandon();
        }
    }

    /// Stops all work; what is finished can still be committed.
    pub fn abandon(&self) {
        for assigned in self.partitions.values() {
            assigned.abandon();
        }
    }

    /// Takes a record.
    pub fn hand_out(&mut self, partition: Partition, offset: i64, put_at: Option<Timestamp>) -> Handed {
        let assigned = self.partitions.get_mut(&partition).filter(|assigned| !assigned.retired.is_cancelled());
        let Some(assigned) = assigned else { return Handed::NotOurs };
        match assigned.offsets.hand_out(offset, put_at) {
            Next::Work { turn } => Handed::Out {
                place: Place { partition, generation: assigned.generation, offset, turn },
                retired: Arc::clone(&assigned.retired),
                is_doubtful: assigned.first_read_at.is_some_and(|first| put_at.is_none_or(|put_at| put_at < first)),
            },
            Next::DoneBefore => Handed::DoneBefore,
        }
    }

    /// The task of a record begins, if the record still is to be worked on.
    pub fn start(&mut self, place: Place) -> Option<Running> {
        let assigned = self.current(place).filter(|assigned| !assigned.retired.is_cancelled())?;
        Some(Running { place, task: assigned.tasks.insert(None) })
    }

    /// This is the task that has begun; it is stopped when its partition has gone.
    pub fn attach(&mut self, Running { place, task }: Running, handle: AbortHandle) {
        match self.current(place) {
            // It may have ended already.
            Some(assigned) => drop(assigned.tasks.get_mut(task).map(|attached| attached.insert(handle))),
            None => handle.abort(),
        }
    }

    /// The task of a record has ended, and the record is `finished` or not; one of an earlier assignment changes nothing.
    pub fn end(&mut self, Running { place, task }: Running, finished: bool) {
        if let Some(assigned) = self.current(place) {
            assigned.tasks.try_remove(task);
            if finished {
                assigned.offsets.finish(place.offset, place.turn);
            }
        }
    }

    /// How many tasks work on records of `partitions`.
    pub fn running(&self, partitions: &[Partition]) -> usize {
        partitions
            .iter()
            .filter_map(|partition| self.partitions.get(partition))
            .map(|assigned| assigned.tasks.len())
            .sum()
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

    /// How far each partition is.
    pub fn progress(&self) -> impl Iterator<Item = (Partition, Progress)> {
        self.partitions.iter().map(|(partition, assigned)| (*partition, assigned.offsets.progress()))
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

impl Assigned {
    fn abandon(&self) {
        for (_, handle) in &self.tasks {
            if let Some(handle) = handle {
                handle.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;
    use crate::consumer::lanes::Lane;

    const FIRST: Partition = Partition { lane: Lane::Normal, number: 0 };
    const SECOND: Partition = Partition { lane: Lane::Normal, number: 1 };
    /// The first one of another lane: only the number is the same.
    const FIRST_HIGH: Partition = Partition { lane: Lane::High, number: 0 };

    fn assigned(partitions: &[Partition]) -> Work {
        let mut work = Work::default();
        for &partition in partitions {
            work.assign(partition, None, Timestamp::UNIX_EPOCH);
        }
        work
    }

    fn hand_out(work: &mut Work, partition: Partition, offset: i64) -> Running {
        let Handed::Out { place, .. } = work.hand_out(partition, offset, None) else { panic!("it is not to be done") };
        work.start(place).expect("nothing is about to go")
    }

    /// A task that ends only when it is stopped.
    fn endless(work: &mut Work, running: Running) -> JoinHandle<()> {
        let task = tokio::spawn(std::future::pending());
        work.attach(running, task.abort_handle());
        task
    }

    async fn check_stopped(task: JoinHandle<()>) {
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
    }

    fn positions(work: &mut Work, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let commits = work.take_commits(partitions);
        commits.into_iter().map(|(partition, commit)| (partition, commit.position)).collect()
    }

    #[test]
    fn partitions_are_committed_each_for_itself() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places =
            [(FIRST, 5), (FIRST, 6), (SECOND, 70)].map(|(partition, offset)| hand_out(&mut work, partition, offset));
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
        let normal = hand_out(&mut work, FIRST, 5);
        let high = hand_out(&mut work, FIRST_HIGH, 5);
        work.end(high, true);
        assert_eq!(positions(&mut work, &[FIRST, FIRST_HIGH]), [(FIRST_HIGH, 6)]);
        work.release(FIRST_HIGH);
        work.end(normal, true);
        assert_eq!(positions(&mut work, &[FIRST, FIRST_HIGH]), [(FIRST, 6)]);
    }

    #[test]
    fn a_partition_remembers_what_lies_behind_its_first_unfinished_record() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places = [5, 6, 7].map(|offset| hand_out(&mut work, FIRST, offset));
        work.end(places[1], true);
        work.end(places[2], true);
        assert_eq!(work.remembering(|_| 3), BTreeSet::from([FIRST]));
        work.end(places[0], true);
        assert_eq!(work.remembering(|_| 1), BTreeSet::new());
    }

    #[test]
    fn a_record_of_a_partition_that_is_not_ours_is_not_taken() {
        assert!(matches!(assigned(&[FIRST]).hand_out(SECOND, 0, None), Handed::NotOurs));
    }

    #[tokio::test]
    async fn when_a_partition_is_taken_away_its_tasks_are_stopped_and_others_go_on() {
        let mut work = assigned(&[FIRST, SECOND]);
        let (first, second) = (hand_out(&mut work, FIRST, 5), hand_out(&mut work, SECOND, 5));
        let just_spawned = hand_out(&mut work, FIRST, 6);
        let (task, other) = (endless(&mut work, first), endless(&mut work, second));
        work.release(FIRST);
        check_stopped(task).await;
        check_stopped(endless(&mut work, just_spawned)).await;
        assert!(!other.is_finished());
        work.abandon();
        check_stopped(other).await;
    }

    #[test]
    fn what_finishes_after_its_partition_was_taken_away_counts_no_more() {
        let mut work = assigned(&[FIRST]);
        let place = hand_out(&mut work, FIRST, 5);
        work.release(FIRST);
        work.end(place, true);
        assert_eq!(positions(&mut work, &[FIRST]), []);
        work.assign(FIRST, None, Timestamp::UNIX_EPOCH);
        hand_out(&mut work, FIRST, 5);
        work.end(place, true);
        assert_eq!(positions(&mut work, &[FIRST]), []);
    }

    #[test]
    fn a_task_counts_for_its_partition_until_it_ends_however_it_does() {
        let mut work = assigned(&[FIRST, SECOND]);
        let places =
            [(FIRST, 5), (FIRST, 6), (SECOND, 70)].map(|(partition, offset)| hand_out(&mut work, partition, offset));
        assert!(matches!(work.hand_out(SECOND, 71, None), Handed::Out { .. }));
        assert_eq!(
            [work.running(&[FIRST]), work.running(&[SECOND]), work.running(&[FIRST, SECOND, FIRST_HIGH])],
            [2, 1, 3]
        );
        work.end(places[0], true);
        work.end(places[1], false);
        assert_eq!(work.running(&[FIRST]), 0);
        work.release(SECOND);
        work.assign(SECOND, None, Timestamp::UNIX_EPOCH);
        work.end(places[2], true);
        assert_eq!(work.running(&[SECOND]), 0);
    }

    #[test]
    fn a_partition_that_is_about_to_go_begins_nothing_new_and_ends_what_runs() {
        let mut work = assigned(&[FIRST, SECOND]);
        let running = hand_out(&mut work, FIRST, 5);
        let Handed::Out { place: waiting, .. } = work.hand_out(FIRST, 6, None) else { panic!("it is not to be done") };
        work.retire(&[FIRST]);
        assert_eq!(work.start(waiting), None);
        assert!(matches!(work.hand_out(FIRST, 7, None), Handed::NotOurs));
        work.end(running, true);
        assert_eq!(positions(&mut work, &[FIRST]), [(FIRST, 6)]);
        hand_out(&mut work, SECOND, 1);
    }

    #[test]
    fn a_log_that_was_made_anew_is_followed_from_where_it_is_now() {
        let mut work = assigned(&[FIRST]);
        let old = hand_out(&mut work, FIRST, 100);
        let new = hand_out(&mut work, FIRST, 0);
        work.end(old, true);
        assert_eq!(positions(&mut work, &[FIRST]), []);
        work.end(new, true);
        assert_eq!(positions(&mut work, &[FIRST]), [(FIRST, 1)]);
    }
}
