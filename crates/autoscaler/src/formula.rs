//! The count that the need asks for, and what holds it there.

use crate::{
    decision::{Bound, Finding},
    memory::Memory,
    need::{Demand, Given},
    provider::Provider,
    settings::Settings,
};

/// What the count is made of.
pub(crate) struct Formula<'a> {
    pub settings: &'a Settings,
    pub demand: &'a Demand,
    pub provider: &'a Provider,
    pub memory: &'a Memory,
    pub given: Given,
    pub range: (u32, u32),
    pub current: u32,
}

impl Formula<'_> {
    /// The count for `room` times what is needed, and what holds it there.
    pub fn count(&self, room: f64) -> (u32, Bound) {
        let (fewest, most) = self.range;
        let smallest = |scale| self.demand.smallest(fewest, most, self.given.capacity, scale);
        let whole = || self.demand.aligned(most, fewest);
        let need = self.demand.total() * room;
        let scale = match self.provider.limit {
            Some(limit) if need > limit => room * limit / need,
            Some(_) | None => room,
        };
        let found = smallest(scale);
        let count = found.unwrap_or_else(whole);
        for (stop, bound) in [
            (self.memory.useless.as_ref().map(|useless| useless.from), Bound::Ineffective),
            (self.provider.failing.map(|_| self.current), Bound::ProviderFailing),
        ] {
            if let Some(stop) = stop.map(|stop| stop.max(fewest)).filter(|stop| *stop < count) {
                return (self.demand.aligned(stop, fewest), bound);
            }
        }
        let is_hot = || self.demand.findings.iter().any(|finding| matches!(finding, Finding::HotPartition { .. }));
        let bound = if scale < room && smallest(room).unwrap_or_else(whole) > count {
            Bound::ProviderLimit
        } else if found.is_none() {
            if most < self.settings.max_replicas { Bound::Partitions } else { Bound::Maximum }
        } else if is_hot() {
            Bound::HotPartition
        } else if count > 1 && count == fewest && self.demand.fullest_share(count - 1, scale) <= self.given.capacity {
            Bound::Minimum
        } else {
            Bound::Need
        };
        (count, bound)
    }
}
