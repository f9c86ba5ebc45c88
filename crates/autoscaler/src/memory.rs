//! What the rule remembers from one decision to the next.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    capacity::Capacity,
    effect::{Step, Transition, Useless},
    lasting::Lasting,
    measure::PodSums,
    partitions::PartitionMemory,
    window::Window,
};

/// What the rule remembers. An operator that starts anew begins with the default, and so scales nothing in before
/// `scale_down_after` has passed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// How far each partition was, by topic and number.
    pub(crate) partitions: BTreeMap<String, BTreeMap<i32, PartitionMemory>>,
    /// When each topic was last looked at.
    pub(crate) looked_at: BTreeMap<String, Timestamp>,
    /// The input rate of the last look alone, in records per second.
    pub(crate) last_input: Option<f64>,
    /// What each pod had done.
    pub(crate) pods: BTreeMap<String, PodSums>,
    /// What a replica can do.
    pub(crate) capacity: Option<Capacity>,
    /// What was recommended.
    pub(crate) window: Window,
    /// What the input alone would have been enough for.
    pub(crate) input_window: Window,
    /// Since when something has been waited for.
    pub(crate) held_since: Option<Timestamp>,
    /// The count that there would be if what is told were done; none while it is done.
    pub(crate) told: Option<u32>,
    /// What was found lately.
    pub(crate) lasting: Lasting,
    /// How many looks in a row the group has been at rest.
    pub(crate) calm_looks: u32,
    /// The last step, until the next.
    pub(crate) step: Option<Step>,
    /// What is seen of the pause while a step is under way.
    pub(crate) transition: Option<Transition>,
    /// For how long a step stops the group, in seconds; none before the first.
    pub(crate) pause_seconds: Option<f64>,
    /// How long a step up takes until it helps, in seconds; none before the first.
    pub(crate) step_seconds: Option<f64>,
    /// The last step that did not help, while that counts.
    pub(crate) useless: Option<Useless>,
    /// What the provider takes at most, as measured while it does, in records per second.
    pub(crate) provider_limit: Option<f64>,
}

impl Memory {
    /// Makes nothing later than now. After a clock was set back, what lies in the future would otherwise keep the rule from
    /// looking, falling back and forgetting until that time comes again.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        let earlier = |at: &mut Timestamp| *at = now.min(*at);
        self.looked_at.values_mut().for_each(earlier);
        let partitions = self.partitions.values_mut().flat_map(BTreeMap::values_mut);
        partitions.filter_map(|partition| partition.still_since.as_mut()).for_each(earlier);
        self.held_since.iter_mut().for_each(earlier);
        self.window.set_back(now);
        self.input_window.set_back(now);
        if let Some(step) = &mut self.step {
            earlier(&mut step.at);
            step.settled_at.iter_mut().for_each(earlier);
        }
        if let Some(useless) = &mut self.useless {
            earlier(&mut useless.at);
        }
        if let Some(capacity) = &mut self.capacity {
            capacity.set_back(now);
        }
    }

    /// How many partitions it remembers, which is what it grows with.
    pub(crate) fn size(&self) -> usize {
        self.partitions.values().map(BTreeMap::len).sum()
    }
}
