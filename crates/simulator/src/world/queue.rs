//! Records in the order in which they came, without the records: how many in each second.

use std::collections::VecDeque;

/// What waits in a partition.
#[derive(Debug, Default)]
pub struct Queue {
    seconds: VecDeque<(u32, u64)>,
    records: u64,
}

impl Queue {
    /// So many came in this second.
    pub fn push(&mut self, second: u32, records: u64) {
        if records > 0 {
            self.seconds.push_back((second, records));
            self.records += records;
        }
    }

    /// Takes the oldest ones.
    pub fn take(&mut self, records: u64) {
        let mut left = records.min(self.records);
        self.records -= left;
        while let Some((_, first)) = self.seconds.front_mut() {
            if *first > left {
                *first -= left;
                return;
            }
            left -= *first;
            self.seconds.pop_front();
        }
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.records
    }

    /// When the oldest came.
    pub fn first(&self) -> Option<u32> {
        self.seconds.front().map(|(second, _)| *second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut queue = Queue::default();
        for (second, records) in [(1, 5), (2, 0), (3, 4)] {
            queue.push(second, records);
        }
        queue.take(3);
        assert_eq!((queue.len(), queue.first()), (6, Some(1)));
        queue.take(2);
        assert_eq!((queue.len(), queue.first()), (4, Some(3)));
        queue.take(100);
        assert_eq!((queue.len(), queue.first()), (0, None));
    }
}
