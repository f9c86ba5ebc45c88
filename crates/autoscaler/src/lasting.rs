//! What is told is told for a while: load at the edge of a bound would otherwise be told and taken back at every look.
//!
//! Only of what is found anew in each look; a verdict, a measured limit and a degradation last by themselves. What is decided
//! does not depend on it.

use serde::{Deserialize, Serialize};

use crate::decision::{Bound, Finding};

/// In how many looks in a row something must not have been found to be told no longer.
const ABSENT_LOOKS: u32 = 6;

/// What was found lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lasting {
    /// With the number of looks since.
    findings: Vec<(Finding, u32)>,
    /// The count that was the maximum and not enough, with the number of looks since.
    maximum: Option<(u32, u32)>,
}

impl Lasting {
    /// Takes what was found in this look, and adds what was found lately.
    pub(crate) fn follow(&mut self, found: &mut Vec<Finding>) {
        let is_found = |old: &Finding| found.iter().any(|new| subject(new) == subject(old));
        self.findings.retain_mut(|(old, looks)| {
            *looks += 1;
            *looks < ABSENT_LOOKS && !is_found(old)
        });
        let old: Vec<_> = self.findings.iter().map(|(old, _)| old.clone()).collect();
        let new = found.iter().filter(|new| subject(new).is_some());
        self.findings.extend(new.map(|new| (new.clone(), 0)));
        found.extend(old);
    }

    /// What is told to hold this count: the maximum also when it has been just enough for a moment.
    pub(crate) fn bound(&mut self, count: u32, bound: Bound) -> Bound {
        self.maximum = match (self.maximum, bound) {
            (_, Bound::Maximum) => Some((count, 0)),
            (Some((at, looks)), Bound::Need) if at == count && looks + 1 < ABSENT_LOOKS => Some((at, looks + 1)),
            _ => None,
        };
        if self.maximum.is_some() { Bound::Maximum } else { bound }
    }
}

/// What a finding is about; none for those that last by themselves.
fn subject(finding: &Finding) -> Option<(&'static str, &str, i32)> {
    match finding {
        Finding::HotPartition { topic, partition, .. } => Some(("hot", topic, *partition)),
        Finding::PartitionStuck { topic, partition, .. } => Some(("stuck", topic, *partition)),
        Finding::ProviderFailing { .. } => Some(("failing", "", 0)),
        Finding::ProviderLimit { .. } | Finding::StepWithoutEffect { .. } | Finding::ThroughputDegraded { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hot(partition: i32, waiting: f64) -> Finding {
        Finding::HotPartition { topic: "a".to_owned(), partition, needs: 9.0, gets: 5.0, waiting }
    }

    fn told(lasting: &mut Lasting, mut found: Vec<Finding>) -> Vec<Finding> {
        lasting.follow(&mut found);
        found
    }

    #[test]
    fn a_finding_that_comes_and_goes_is_told_all_the_time_and_with_its_newest_numbers() {
        let mut lasting = Lasting::default();
        for look in 0..20 {
            let newest = hot(1, f64::from(look / 3 * 3));
            let found = if look % 3 == 0 { vec![newest.clone()] } else { Vec::new() };
            assert_eq!(told(&mut lasting, found), [newest], "look {look}");
        }
    }

    #[test]
    fn a_finding_is_told_no_longer_after_a_minute_without_it() {
        let mut lasting = Lasting::default();
        told(&mut lasting, vec![hot(1, 0.0), hot(2, 0.0)]);
        for look in 1..ABSENT_LOOKS {
            assert_eq!(told(&mut lasting, vec![hot(2, 0.0)]).len(), 2, "look {look}");
        }
        assert_eq!(told(&mut lasting, vec![hot(2, 0.0)]), [hot(2, 0.0)]);
    }

    #[test]
    fn what_lasts_by_itself_is_told_no_longer_than_that() {
        let mut lasting = Lasting::default();
        let useless = Finding::StepWithoutEffect { from: 2, to: 4, gained: 0.0, expected: 100.0 };
        assert_eq!(told(&mut lasting, vec![useless.clone()]), [useless]);
        assert_eq!(told(&mut lasting, Vec::new()), []);
    }

    #[test]
    fn load_at_the_edge_of_the_maximum_is_told_as_the_maximum_all_the_time() {
        let mut lasting = Lasting::default();
        assert_eq!(lasting.bound(12, Bound::Need), Bound::Need);
        for look in 0..20 {
            let bound = if look % 3 == 0 { Bound::Maximum } else { Bound::Need };
            assert_eq!(lasting.bound(12, bound), Bound::Maximum, "look {look}");
        }
        // Fewer are enough, or it has been enough for a minute.
        assert_eq!(lasting.clone().bound(6, Bound::Need), Bound::Need);
        let bounds: Vec<_> = (0..6).map(|_| lasting.bound(12, Bound::Need)).collect();
        assert_eq!(bounds[5], Bound::Need);
    }
}
