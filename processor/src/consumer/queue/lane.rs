//! The records of one lane: its partitions take turns, and each has its share of what the lane holds. Pure.
//!
//! Of partitions that all have a backlog the client hands over one, always the same, as long as that is not paused, and the
//! others would wait until it is empty.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Entry;
use crate::consumer::lanes::{Lane, Partition};

/// From how many records that are ready for a slot on a lane is full: then only partitions that have not had their share may
/// bring more. They bridge the time from resuming a partition to its first record; without them every slot would stand idle for
/// that long.
pub(super) const READY: usize = 1000;
/// The same of all that wait, those behind others for their recipient included.
const WAITING: usize = 10 * READY;
/// The same of how large their values are together.
pub(super) const WAITING_BYTES: usize = 8 << 20;

/// What waits of one lane.
#[derive(Debug)]
pub(super) struct LaneQueue<T> {
    partitions: BTreeMap<i32, PartitionQueue<T>>,
    /// Partitions with a record that is ready, the next one first.
    turns: VecDeque<i32>,
    held: Held,
    is_full: bool,
}

#[derive(Debug)]
struct PartitionQueue<T> {
    ready: VecDeque<Entry<T>>,
    held: Held,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    ready: usize,
    waiting: usize,
    bytes: usize,
}

/// From what on a lane is full.
const MOST: Held = Held { ready: READY, waiting: WAITING, bytes: WAITING_BYTES };

impl Held {
    /// What one of so many partitions may hold in any case. Of records that is a quarter at least, so that what is fetched at
    /// once is not thrown away for a handful; of the size of their values it is not.
    fn share(partitions: usize) -> Held {
        let quarter = MOST.divided_by(partitions.clamp(1, 4));
        Held { bytes: MOST.bytes / partitions.max(1), ..quarter }
    }

    const fn divided_by(self, divisor: usize) -> Held {
        Held { ready: self.ready / divisor, waiting: self.waiting / divisor, bytes: self.bytes / divisor }
    }

    /// Whether that is at least so much of anything.
    fn reaches(self, most: Held) -> bool {
        self.ready >= most.ready || self.waiting >= most.waiting || self.bytes >= most.bytes
    }

    fn put(&mut self, bytes: usize) {
        self.waiting += 1;
        self.bytes += bytes;
    }

    fn take(&mut self, bytes: usize) {
        self.ready -= 1;
        self.waiting -= 1;
        self.bytes -= bytes;
    }
}

impl<T> LaneQueue<T> {
    fn partition(&mut self, number: i32) -> &mut PartitionQueue<T> {
        let empty = || PartitionQueue { ready: VecDeque::new(), held: Held::default() };
        self.partitions.entry(number).or_insert_with(empty)
    }

    /// A record waits, ready or behind others.
    pub fn count(&mut self, entry: &Entry<T>) {
        self.held.put(entry.bytes);
        self.partition(entry.partition.number).held.put(entry.bytes);
    }

    /// To be told after each record that came.
    pub fn note_full(&mut self) {
        self.is_full |= self.held.reaches(MOST);
    }

    /// Makes a record ready that was counted.
    pub fn push(&mut self, entry: Entry<T>) {
        let number = entry.partition.number;
        let partition = self.partition(number);
        let is_first = partition.ready.is_empty();
        partition.held.ready += 1;
        partition.ready.push_back(entry);
        self.held.ready += 1;
        if is_first {
            self.turns.push_back(number);
        }
    }

    /// Whether a record can be started.
    pub fn has_ready(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The next record, of the partition whose turn it is.
    pub fn take(&mut self) -> Option<Entry<T>> {
        let number = self.turns.pop_front()?;
        let partition = self.partitions.get_mut(&number)?;
        let entry = partition.ready.pop_front()?;
        if !partition.ready.is_empty() {
            self.turns.push_back(number);
        }
        partition.held.take(entry.bytes);
        self.held.take(entry.bytes);
        // Resuming at the very bound would pause again after one record.
        self.is_full &= self.held.reaches(MOST.divided_by(2));
        Some(entry)
    }

    /// Once the lane is full, those of its partitions that have their share of it, or half of that if they were among `before`.
    pub fn enough(&self, lane: Lane, before: &BTreeSet<Partition>) -> impl Iterator<Item = Partition> {
        let share = Held::share(self.partitions.len());
        let partitions = self.partitions.iter().filter(|_| self.is_full);
        partitions.map(move |(&number, own)| (Partition { lane, number }, own.held)).filter_map(
            move |(partition, held)| {
                let share = if before.contains(&partition) { share.divided_by(2) } else { share };
                held.reaches(share).then_some(partition)
            },
        )
    }

    /// Forgets partitions of which nothing waits.
    pub fn forget_empty(&mut self) {
        self.partitions.retain(|_, own| own.held.waiting > 0);
    }
}

impl<T> Default for LaneQueue<T> {
    fn default() -> Self {
        Self { partitions: BTreeMap::new(), turns: VecDeque::new(), held: Held::default(), is_full: false }
    }
}
