//! Which lane the next free slot goes to. Pure.
//!
//! What waits in a more urgent lane goes first, and from ten slots on a lane that is flooded leaves some free for those
//! more urgent: otherwise an urgent message would wait until the provider has answered one that is not. Every lane that
//! has something to do has a few slots at least, in turn where there are too few, so none waits for ever.

use super::lanes::Lane;

/// From how many bytes of values in work on none is started, whatever its lane. They are shared as slots are: a flood of
/// large records leaves room for those more urgent.
const BYTES: usize = 64 << 20;

/// The slots of one processor.
#[derive(Debug)]
pub struct Slots {
    records: Shared,
    bytes: Shared,
    /// When each lane had its last start, counted in starts.
    last_start: [u64; Lane::ALL.len()],
    starts: u64,
}

/// Something that all lanes use.
#[derive(Debug)]
struct Shared {
    total: usize,
    used: [usize; Lane::ALL.len()],
}

impl Slots {
    /// So many, all free.
    pub fn new(total: usize) -> Self {
        Self { records: Shared::new(total), bytes: Shared::new(BYTES), last_start: Default::default(), starts: 0 }
    }

    /// The lane to start a record of, of those that have one; `None` when it has to wait.
    pub fn choose(&self, has_waiting: impl Fn(Lane) -> bool) -> Option<Lane> {
        if self.records.is_used_up() || (self.running() > 0 && self.bytes.is_used_up()) {
            return None;
        }
        let waiting = || Lane::ALL.into_iter().filter(|&lane| has_waiting(lane));
        let due = waiting().filter(|&lane| self.records.owes(lane) && self.bytes.owes(lane));
        due.min_by_key(|&lane| self.last_start[lane as usize])
            .or_else(|| waiting().find(|&lane| self.records.has_room(lane) && self.bytes.has_room(lane)))
    }

    /// A record of the lane is in work now.
    pub fn start(&mut self, lane: Lane, bytes: usize) {
        self.starts += 1;
        self.last_start[lane as usize] = self.starts;
        self.records.used[lane as usize] += 1;
        self.bytes.used[lane as usize] += bytes;
    }

    /// A record that was started is no longer in work.
    pub fn end(&mut self, lane: Lane, bytes: usize) {
        self.records.used[lane as usize] -= 1;
        self.bytes.used[lane as usize] -= bytes;
    }

    /// How many records are in work.
    pub fn running(&self) -> usize {
        self.records.used()
    }

    /// How many records of each lane are in work.
    pub fn running_in_lanes(&self) -> [usize; Lane::ALL.len()] {
        self.records.used
    }
}

impl Shared {
    fn new(total: usize) -> Self {
        Self { total, used: Default::default() }
    }

    fn used(&self) -> usize {
        self.used.iter().sum()
    }

    fn is_used_up(&self) -> bool {
        self.used() >= self.total
    }

    /// Whether a lane has less than it has whatever the others do.
    fn owes(&self, lane: Lane) -> bool {
        let least = match lane {
            Lane::High | Lane::Normal => self.total.div_ceil(10),
            Lane::Low => self.total.div_ceil(20),
        };
        self.used[lane as usize] < least
    }

    /// Whether a lane may have more than that: it leaves some to more urgent ones.
    fn has_room(&self, lane: Lane) -> bool {
        let left_free = match lane {
            Lane::High => 0,
            Lane::Normal => self.total / 10,
            Lane::Low => self.total / 10 * 3,
        };
        self.used() < self.total - left_free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts records of lanes that never run out until no more can be started.
    fn flood(slots: &mut Slots, lanes: &[Lane]) {
        while let Some(lane) = slots.choose(|lane| lanes.contains(&lane)) {
            slots.start(lane, 0);
        }
    }

    #[track_caller]
    fn check(total: usize, lanes: &[Lane], expected: [usize; 3]) {
        let mut slots = Slots::new(total);
        flood(&mut slots, lanes);
        assert_eq!(slots.running_in_lanes(), expected, "{lanes:?}");
    }

    #[test]
    fn a_flooded_lane_leaves_slots_to_those_more_urgent() {
        check(100, &[Lane::Low], [0, 0, 70]);
        check(100, &[Lane::Normal], [0, 90, 0]);
        check(100, &[Lane::High], [100, 0, 0]);
    }

    #[test]
    fn under_a_flood_of_all_lanes_each_has_its_share() {
        check(100, &Lane::ALL, [85, 10, 5]);
    }

    #[test]
    fn an_urgent_record_starts_at_once_in_a_flood_of_the_others() {
        let mut slots = Slots::new(100);
        flood(&mut slots, &[Lane::Normal, Lane::Low]);
        for _ in 0..10 {
            assert_eq!(slots.choose(|lane| lane != Lane::Normal), Some(Lane::High));
            slots.start(Lane::High, 0);
        }
    }

    #[test]
    fn with_one_slot_no_lane_waits_for_ever() {
        let mut slots = Slots::new(1);
        let mut started = Vec::new();
        for _ in 0..6 {
            let lane = slots.choose(|_| true).expect("the slot is free");
            slots.start(lane, 0);
            assert_eq!(slots.choose(|_| true), None);
            slots.end(lane, 0);
            started.push(lane);
        }
        assert_eq!(started, [Lane::ALL, Lane::ALL].concat());
    }

    #[test]
    fn under_an_endless_flood_of_urgent_records_the_others_go_on() {
        let mut slots = Slots::new(20);
        flood(&mut slots, &[Lane::High]);
        slots.end(Lane::High, 0);
        assert_eq!(slots.choose(|_| true), Some(Lane::Normal));
        slots.start(Lane::Normal, 0);
        slots.end(Lane::High, 0);
        assert_eq!(slots.choose(|lane| lane != Lane::Normal), Some(Lane::Low));
    }

    #[test]
    fn large_records_bound_how_many_are_in_work() {
        let mut slots = Slots::new(100);
        slots.start(Lane::Normal, 2 * BYTES);
        assert_eq!(slots.choose(|_| true), None);
        slots.end(Lane::Normal, 2 * BYTES);
        assert_eq!(slots.choose(|_| true), Some(Lane::High));
        slots.start(Lane::High, BYTES - 1);
        assert_eq!(slots.choose(|lane| lane == Lane::Normal), Some(Lane::Normal));
    }

    #[test]
    fn a_flood_of_large_records_leaves_room_to_those_more_urgent() {
        let mut slots = Slots::new(1000);
        while let Some(lane) = slots.choose(|lane| lane == Lane::Low) {
            slots.start(lane, 1 << 20);
        }
        assert_eq!(slots.running_in_lanes(), [0, 0, 45]);
        while let Some(lane) = slots.choose(|lane| lane == Lane::Normal) {
            slots.start(lane, 1 << 20);
        }
        assert_eq!(slots.choose(|lane| lane == Lane::High), Some(Lane::High));
    }
}
