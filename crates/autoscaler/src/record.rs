//! Decisions with what they were made from, so that each can be made again.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{decision::Decision, memory::Memory, rule::decide, settings::Settings, signals::Signals};

/// How many decisions are kept.
const KEPT: usize = 500;
/// What a decision weighs without its inputs, counted in partitions of inputs, of which one takes about 320 bytes.
const DECISION_WEIGHT: usize = 4;

/// A decision and all that it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// What the user asked for.
    pub settings: Settings,
    /// What was known.
    pub signals: Signals,
    /// What was remembered before.
    pub memory: Memory,
    /// What was decided.
    pub decision: Decision,
}

/// Makes the decision again, from what it was made from.
pub fn replay(recorded: &Recorded) -> Decision {
    decide(&recorded.settings, &recorded.signals, &recorded.memory).0
}

/// The last 500 decisions. Where they would take too much memory, inputs of older ones go first, and then these themselves.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    kept: VecDeque<(Decision, Option<Box<Recorded>>)>,
    /// How many of the oldest have lost their inputs.
    without_inputs: usize,
    weight: usize,
}

impl Decisions {
    /// What all decisions of a process may weigh together: about 64 MB.
    pub const BUDGET: usize = 200_000;

    /// Keeps one more, and forgets older ones when there are too many or when they weigh more than `budget`. The last one
    /// stays whole, however large it is.
    pub fn push(&mut self, recorded: Recorded, budget: usize) {
        self.weight += DECISION_WEIGHT + recorded.memory.size();
        self.kept.push_back((recorded.decision.clone(), Some(Box::new(recorded))));
        while self.weight > budget && self.without_inputs + 1 < self.kept.len() {
            let forgotten = self.kept[self.without_inputs].1.take();
            self.weight -= forgotten.map_or(0, |recorded| recorded.memory.size());
            self.without_inputs += 1;
        }
        while self.kept.len() > KEPT || (self.weight > budget && self.kept.len() > 1) {
            let forgotten = self.kept.pop_front().and_then(|(_, recorded)| recorded);
            self.weight -= DECISION_WEIGHT + forgotten.map_or(0, |recorded| recorded.memory.size());
            self.without_inputs = self.without_inputs.saturating_sub(1);
        }
    }

    /// The last one.
    pub fn last(&self) -> Option<&Decision> {
        self.kept.back().map(|(decision, _)| decision)
    }

    /// All of them, the oldest first; with their inputs where those are still there.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Decision, Option<&Recorded>)> {
        self.kept.iter().map(|(decision, recorded)| (decision, recorded.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::signals::{Lane, PartitionOffsets, Signal};

    /// A decision at this second, from the memory of so many partitions.
    fn recorded(second: i64, partitions: i32) -> Recorded {
        let at = Timestamp::from_second(second).expect("a time");
        let settings = Settings::new(1, 6, Duration::from_mins(1));
        let offsets = |partition| PartitionOffsets {
            partition,
            earliest: 0,
            committed: Some(0),
            end: 0,
            finished_beyond: 0,
            delayed: 0,
        };
        let unknown = || "not asked".to_owned();
        let signals = Signals {
            at,
            replicas: 1,
            hold_until: None,
            pods: Signal::Unknown { why: unknown() },
            group: Signal::Unknown { why: unknown() },
            lanes: vec![Lane {
                topic: "a".to_owned(),
                partitions: Signal::Known { at, value: (0..partitions).map(offsets).collect() },
            }],
            processors: Vec::new(),
        };
        let (_, memory) = decide(&settings, &signals, &Memory::default());
        let decision = decide(&settings, &signals, &memory).0;
        Recorded { settings, signals, memory, decision }
    }

    #[test]
    fn the_last_500_decisions_are_kept_with_their_inputs() {
        let mut decisions = Decisions::default();
        for second in 0..700 {
            decisions.push(recorded(second, 6), Decisions::BUDGET);
        }
        let seconds: Vec<_> = decisions.iter().map(|(decision, _)| decision.at.as_second()).collect();
        assert_eq!(seconds, (200..700).collect::<Vec<_>>());
        assert_eq!(decisions.last().map(|decision| decision.at.as_second()), Some(699));
        assert!(decisions.iter().all(|(decision, recorded)| recorded.map(replay).as_ref() == Some(decision)));
    }

    #[test]
    fn older_inputs_go_where_they_would_take_too_much_memory() {
        let mut decisions = Decisions::default();
        for second in 0..30 {
            decisions.push(recorded(second, 30_000), Decisions::BUDGET);
        }
        let with_inputs: Vec<_> = decisions.iter().map(|(_, recorded)| recorded.is_some()).collect();
        assert_eq!(with_inputs.len(), 30);
        assert_eq!(with_inputs.iter().position(|is_there| *is_there), Some(24));
    }

    #[test]
    fn with_little_memory_few_decisions_are_kept_and_the_last_one_whole() {
        let mut decisions = Decisions::default();
        for second in 0..30 {
            decisions.push(recorded(second, 100), 112);
        }
        let kept: Vec<_> = decisions.iter().map(|(decision, _)| decision.at.as_second()).collect();
        assert_eq!(kept, [27, 28, 29]);
        let with_inputs = decisions.iter().filter(|(_, recorded)| recorded.is_some()).count();
        assert_eq!(with_inputs, 1);
    }
}
