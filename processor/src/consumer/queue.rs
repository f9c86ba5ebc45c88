//! Records that have been taken and have no slot yet: lane by lane, and those for one recipient one after the other. Pure.
//!
//! Of one recipient's records in a partition at most one is in work, and the others wait behind it, so they are sent in
//! the order in which they were accepted. Records for others overtake them.

mod lane;

use std::{
    collections::{BTreeSet, VecDeque, hash_map},
    hash::{Hash, Hasher},
};

use rustc_hash::FxHashMap;

use self::lane::LaneQueue;
use super::lanes::{Lane, Partition};

/// How many records may wait for one recipient: a burst to one number must not fill the lane.
const WAITING_FOR_ONE: usize = 100;

/// Whose records run one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient {
    /// Where they come from. Kafka keeps no order between partitions, and so we do not.
    pub partition: Partition,
    /// Hash of the record's key. Two recipients with the same one wait for each other, which costs nothing but time.
    pub key: u64,
}

/// By the key alone, which is the hash of a keyed function already.
impl Hash for Recipient {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key);
    }
}

/// A record that waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<T> {
    /// Where it comes from.
    pub partition: Partition,
    /// Behind whose records it waits; `None` when it need not.
    pub recipient: Option<Recipient>,
    /// The size of its value.
    pub bytes: usize,
    /// Everything else.
    pub item: T,
}

/// The records that wait.
#[derive(Debug)]
pub struct Queue<T> {
    lanes: [LaneQueue<T>; Lane::ALL.len()],
    /// Recipients with a record that is ready or in work, and what waits behind it.
    behind: FxHashMap<Recipient, VecDeque<Entry<T>>>,
    /// Recipients with so many waiting records that their partition is held back.
    crowded: BTreeSet<Recipient>,
    /// How often that has changed.
    crowd_changes: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let lanes = Lane::ALL.map(|_| LaneQueue::default());
        Self { lanes, behind: FxHashMap::default(), crowded: BTreeSet::new(), crowd_changes: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds a record; those of one partition in their order.
    pub fn put(&mut self, entry: Entry<T>) {
        let lane = entry.partition.lane as usize;
        self.lanes[lane].count(&entry);
        self.line_up(entry);
        self.lanes[lane].note_full();
    }

    fn line_up(&mut self, entry: Entry<T>) {
        let lane = &mut self.lanes[entry.partition.lane as usize];
        let Some(recipient) = entry.recipient else { return lane.push(entry) };
        let behind = match self.behind.entry(recipient) {
            hash_map::Entry::Occupied(behind) => behind.into_mut(),
            hash_map::Entry::Vacant(nobody) => {
                nobody.insert(VecDeque::new());
                return lane.push(entry);
            }
        };
        behind.push_back(entry);
        if behind.len() >= WAITING_FOR_ONE && self.crowded.insert(recipient) {
            self.crowd_changes += 1;
        }
    }

    /// Whether a record of the lane can be started.
    pub fn has_ready(&self, lane: Lane) -> bool {
        self.lanes[lane as usize].has_ready()
    }

    /// The next record of the lane, for work. The end of that work is to be told to [`Self::end`].
    pub fn take(&mut self, lane: Lane) -> Option<Entry<T>> {
        self.lanes[lane as usize].take()
    }

    /// The work on a record of the recipient has ended, so its next one can be started when those that are ready have
    /// been: with few slots a recipient with many records would otherwise keep all others waiting.
    pub fn end(&mut self, recipient: Recipient) {
        let hash_map::Entry::Occupied(mut occupied) = self.behind.entry(recipient) else { return };
        let behind = occupied.get_mut();
        match behind.pop_front() {
            Some(next) => {
                if behind.len() <= WAITING_FOR_ONE / 2 && self.crowded.remove(&recipient) {
                    self.crowd_changes += 1;
                }
                self.lanes[recipient.partition.lane as usize].push(next);
            }
            None => drop(occupied.remove()),
        }
    }

    /// The partitions that have brought enough: of a lane that is full, those that have their share of it, or half of that if
    /// they were among `before`.
    pub fn enough(&self, before: &BTreeSet<Partition>) -> BTreeSet<Partition> {
        let lanes = Lane::ALL.into_iter().zip(&self.lanes);
        lanes.flat_map(|(lane, queue)| queue.enough(lane, before)).collect()
    }

    /// Whether the partition has brought enough records for one recipient.
    pub fn is_crowded(&self, partition: Partition) -> bool {
        let all = Recipient { partition, key: 0 }..=Recipient { partition, key: u64::MAX };
        self.crowded.range(all).next().is_some()
    }

    /// Forgets partitions of which nothing waits: they may belong to somebody else by now.
    pub fn forget_empty(&mut self) {
        self.lanes.iter_mut().for_each(LaneQueue::forget_empty);
    }

    /// A number that differs once [`Self::is_crowded`] may.
    pub fn crowd_changes(&self) -> u64 {
        self.crowd_changes
    }
}

#[cfg(test)]
mod tests {
    use super::{
        lane::{READY, WAITING_BYTES},
        *,
    };

    const FIRST: Partition = Partition { lane: Lane::Normal, number: 0 };
    const SECOND: Partition = Partition { lane: Lane::Normal, number: 1 };
    const LOW: Partition = Partition { lane: Lane::Low, number: 0 };

    fn entry(partition: Partition, key: Option<u64>, item: usize) -> Entry<usize> {
        Entry { partition, recipient: key.map(|key| Recipient { partition, key }), bytes: 100, item }
    }

    fn queue(entries: impl IntoIterator<Item = Entry<usize>>) -> Queue<usize> {
        let mut queue = Queue::default();
        entries.into_iter().for_each(|entry| queue.put(entry));
        queue
    }

    fn enough(queue: &Queue<usize>) -> Vec<Partition> {
        queue.enough(&BTreeSet::new()).into_iter().collect()
    }

    /// Everything that can be started now.
    fn take_all(queue: &mut Queue<usize>, lane: Lane) -> Vec<usize> {
        std::iter::from_fn(|| queue.take(lane)).map(|entry| entry.item).collect()
    }

    #[test]
    fn records_of_one_recipient_run_one_after_the_other_and_others_overtake() {
        let keys = [1, 1, 2, 1, 3].map(Some);
        let mut queue = queue(keys.into_iter().enumerate().map(|(number, key)| entry(FIRST, key, number)));
        assert_eq!(take_all(&mut queue, Lane::Normal), [0, 2, 4]);
        queue.end(Recipient { partition: FIRST, key: 1 });
        assert_eq!(take_all(&mut queue, Lane::Normal), [1]);
        queue.end(Recipient { partition: FIRST, key: 2 });
        assert!(take_all(&mut queue, Lane::Normal).is_empty());
        queue.end(Recipient { partition: FIRST, key: 1 });
        assert_eq!(take_all(&mut queue, Lane::Normal), [3]);
        queue.end(Recipient { partition: FIRST, key: 1 });
        queue.end(Recipient { partition: FIRST, key: 3 });
        assert!(queue.behind.is_empty());
    }

    #[test]
    fn records_without_a_recipient_and_in_other_partitions_wait_for_nobody() {
        let mut queue = queue([entry(FIRST, None, 0), entry(FIRST, None, 1), entry(FIRST, Some(1), 2)]);
        queue.put(entry(SECOND, Some(1), 3));
        assert_eq!(take_all(&mut queue, Lane::Normal), [0, 3, 1, 2]);
    }

    #[test]
    fn partitions_take_turns_however_much_one_has_brought() {
        let mut queue = queue((0..READY).map(|number| entry(FIRST, None, number)));
        for number in READY..READY + 3 {
            queue.put(entry(SECOND, None, number));
        }
        let started: Vec<_> = take_all(&mut queue, Lane::Normal).into_iter().take(8).collect();
        assert_eq!(started, [0, READY, 1, READY + 1, 2, READY + 2, 3, 4]);
    }

    #[test]
    fn of_a_full_lane_each_partition_may_bring_its_share_however_much_another_has_brought() {
        let mut queue = queue((0..READY).map(|number| entry(FIRST, None, number)));
        let mut before = queue.enough(&BTreeSet::new());
        assert_eq!(before, BTreeSet::from([FIRST]));
        let mut brought = 0;
        while !before.contains(&SECOND) {
            queue.put(entry(SECOND, None, READY + brought));
            brought += 1;
            before = queue.enough(&before);
        }
        assert_eq!(brought, READY / 2);
        // Once it was held back it goes on only after half of its share is gone.
        for _ in 0..READY / 4 {
            assert!(queue.enough(&before).contains(&SECOND));
            assert_eq!(queue.take(Lane::Normal).map(|entry| entry.partition), Some(FIRST));
            assert_eq!(queue.take(Lane::Normal).map(|entry| entry.partition), Some(SECOND));
        }
        queue.take(Lane::Normal);
        queue.take(Lane::Normal);
        assert_eq!(queue.enough(&before), BTreeSet::from([FIRST]));
    }

    #[test]
    fn a_lane_is_full_by_itself_until_half_of_it_has_gone() {
        let mut queue = queue((0..READY).map(|number| entry(FIRST, None, number)));
        queue.put(entry(LOW, None, 0));
        let before = queue.enough(&BTreeSet::new());
        assert_eq!(before, BTreeSet::from([FIRST]));
        for _ in 0..READY / 2 {
            assert_eq!(queue.enough(&before), before);
            queue.take(Lane::Normal);
        }
        queue.take(Lane::Normal);
        assert!(queue.enough(&before).is_empty());
    }

    #[test]
    fn what_waits_behind_others_does_not_keep_ready_ones_from_coming() {
        let bursts = (0..READY).map(|number| entry(FIRST, Some(u64::try_from(number % 25).expect("small")), number));
        let queue = queue(bursts);
        assert!(enough(&queue).is_empty());
    }

    #[test]
    fn a_recipient_with_many_records_lets_others_have_the_only_slot() {
        let mut queue = queue([entry(FIRST, Some(1), 0), entry(FIRST, Some(1), 1), entry(SECOND, Some(2), 2)]);
        assert_eq!(queue.take(Lane::Normal).map(|entry| entry.item), Some(0));
        queue.end(Recipient { partition: FIRST, key: 1 });
        assert_eq!(take_all(&mut queue, Lane::Normal), [2, 1]);
    }

    #[test]
    fn large_records_fill_a_lane_too() {
        let mut queue = queue([Entry { bytes: WAITING_BYTES, ..entry(FIRST, None, 0) }]);
        assert_eq!(enough(&queue), [FIRST]);
        queue.take(Lane::Normal);
        assert!(enough(&queue).is_empty());
    }

    #[test]
    fn a_burst_to_one_recipient_holds_back_its_partition_and_no_other() {
        let mut queue = queue((0..=WAITING_FOR_ONE).map(|number| entry(FIRST, Some(7), number)));
        assert!(queue.is_crowded(FIRST) && !queue.is_crowded(SECOND) && enough(&queue).is_empty());
        let mut started = take_all(&mut queue, Lane::Normal);
        while queue.is_crowded(FIRST) {
            queue.end(Recipient { partition: FIRST, key: 7 });
            started.extend(take_all(&mut queue, Lane::Normal));
        }
        assert_eq!(started, (0..=WAITING_FOR_ONE / 2).collect::<Vec<_>>());
    }

    /// Any order of arrivals and ends: every record is started once, those of a recipient in their order, and never two
    /// at a time.
    #[test]
    fn whatever_ends_when_each_recipient_s_records_keep_their_order() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut queue = Queue::default();
            let (mut put, mut running, mut started) = (0, Vec::new(), Vec::new());
            while started.len() < 200 || !running.is_empty() {
                match random.u8(0..3) {
                    0 if put < 200 => {
                        queue.put(entry(FIRST, Some(random.u64(0..5)), put));
                        put += 1;
                    }
                    1 => {
                        if let Some(next) = queue.take(Lane::Normal) {
                            let recipient = next.recipient.expect("each has one");
                            assert!(!running.contains(&recipient), "seed {seed}");
                            running.push(recipient);
                            started.push((recipient, next.item));
                        }
                    }
                    _ if !running.is_empty() => queue.end(running.swap_remove(random.usize(..running.len()))),
                    _ => {}
                }
            }
            for key in 0..5 {
                let of_one = started.iter().filter(|(recipient, _)| recipient.key == key).map(|(_, number)| number);
                assert!(of_one.is_sorted(), "seed {seed}");
            }
            assert!(queue.behind.is_empty() && queue.crowded.is_empty(), "seed {seed}");
        }
    }
}
