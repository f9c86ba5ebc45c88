//! What is needed, and the smallest count of replicas that can do it.

use crate::{decision::Finding, measure::Seen, settings::Settings};

/// Above how many times the average of the others a partition counts as hot: what all partitions need is no hot partition.
const HOT: f64 = 2.0;
/// Which part of their capacity replicas are planned to use for a backlog, which is to be gone in time though they may do a
/// little less than they did before.
pub(crate) const USE_FOR_BACKLOG: f64 = 0.9;
/// At which rate records come at least where it is asked how long they have waited, per second.
const SLOWEST: f64 = 0.01;
/// By which part of its capacity each further replica must help a hot partition that no count can help enough.
const USEFUL: f64 = 0.1;

/// How many of `partitions` the fullest of `replicas` reads: assignors give each member as many, or one more.
pub(crate) fn partitions_of_fullest(partitions: u32, replicas: u32) -> u32 {
    partitions.div_ceil(replicas.max(1))
}

/// The counts that make a difference, up to `most`: each is the smallest with its largest number of partitions per member.
/// Any count between them costs more and does no more.
pub fn steps(partitions: u32, most: u32) -> impl Iterator<Item = u32> {
    let fullest = move |replicas| partitions_of_fullest(partitions, replicas);
    (1..=most).filter(move |&replicas| replicas == 1 || fullest(replicas) < fullest(replicas - 1))
}

/// What the partitions of all topics need. Rates are records per second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demand {
    lanes: Vec<LaneDemand>,
    pub input: f64,
    pub done: f64,
    pub waiting: f64,
    pub of_backlog: f64,
    pub of_pause: f64,
    pub of_input: f64,
    /// How long the oldest record has waited, at the rate at which records come, in seconds: on average, or of a partition of
    /// which more wait than a few.
    pub longest_wait_seconds: f64,
    /// Partitions that no count of replicas can help.
    pub findings: Vec<Finding>,
}

#[derive(Clone, Debug, Default)]
struct LaneDemand {
    partitions: u32,
    /// Of those that replicas can help.
    need: f64,
    /// The hottest of them, without head room: its replica is the fullest one.
    hottest: Option<f64>,
    /// The average of the others.
    others: f64,
    /// Whether there are some that no count can help.
    beyond_help: bool,
}

#[derive(Clone, Debug)]
struct PartitionDemand<'a> {
    topic: &'a str,
    number: i32,
    waiting: f64,
    /// Without head room.
    bare: f64,
    of_backlog: f64,
    of_pause: f64,
    of_input: f64,
}

/// What is fixed while a demand is added up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// By what the smoothed input is multiplied to follow a jump at once.
    pub jump: f64,
    pub pause_seconds: f64,
    /// Of one replica, in records per second.
    pub capacity: f64,
    /// The most replicas that come into question.
    pub most: u32,
}

impl Demand {
    /// Adds up what all partitions need.
    pub fn of(settings: &Settings, seen: &Seen, given: Given) -> Demand {
        let within = settings.drain_within.as_secs_f64();
        let (mut demand, mut waiting) = (Demand::default(), 0.0);
        for (topic, partitions) in &seen.partitions {
            let mut lane = LaneDemand { partitions: partitions.len() as u32, ..LaneDemand::default() };
            let mut helped = Vec::new();
            for (&number, partition) in partitions {
                let input = partition.input.unwrap_or(0.0) * given.jump;
                let done = partition.done.unwrap_or(0.0);
                demand.input += input;
                demand.done += done;
                if partition.is_stuck() {
                    // It gets all that it can use, and that is all that it needs of its replica.
                    lane.need += done / settings.utilization;
                    demand.of_input += done;
                    let (topic, waiting) = (topic.clone(), partition.waiting);
                    demand.findings.push(Finding::PartitionStuck { topic, partition: number, done, waiting });
                    continue;
                }
                waiting += partition.waiting;
                // One record of a partition to which hardly any come says nothing.
                if partition.waits() {
                    let wait_seconds = partition.waiting / input.max(SLOWEST);
                    demand.longest_wait_seconds = demand.longest_wait_seconds.max(wait_seconds);
                }
                let of_backlog = partition.waiting / within;
                helped.push(PartitionDemand {
                    topic,
                    number,
                    waiting: partition.waiting,
                    bare: input + of_backlog,
                    of_backlog,
                    of_pause: input * given.pause_seconds / within,
                    of_input: input,
                });
            }
            helped.sort_by(|one, other| other.bare.total_cmp(&one.bare).then(one.number.cmp(&other.number)));
            lane.leave_out_hot(&mut helped, given, &mut demand.findings);
            for partition in &helped {
                demand.waiting += partition.waiting;
                demand.of_backlog += partition.of_backlog;
                demand.of_pause += partition.of_pause;
                demand.of_input += partition.of_input;
                lane.need += (partition.of_backlog + partition.of_pause) / USE_FOR_BACKLOG;
                lane.need += partition.of_input / settings.utilization;
            }
            demand.lanes.push(lane);
        }
        demand.longest_wait_seconds = demand.longest_wait_seconds.max(waiting / demand.input.max(SLOWEST));
        demand
    }

    /// All of it, of the partitions that replicas can help.
    pub fn total(&self) -> f64 {
        self.lanes.iter().map(|lane| lane.need).sum()
    }

    /// Which part of it the backlog needs.
    pub fn part_of_backlog(&self) -> f64 {
        let all = self.total();
        if all > 0.0 { (self.of_backlog / USE_FOR_BACKLOG / all).min(1.0) } else { 0.0 }
    }

    /// What the fullest of so many replicas has to do when everything is multiplied by `scale`.
    pub fn fullest_share(&self, replicas: u32, scale: f64) -> f64 {
        self.lanes.iter().map(|lane| lane.share(replicas) * scale).sum()
    }

    /// The smallest count from `fewest` to `most` that can do `scale` times what is needed; none when no count can.
    pub fn smallest(&self, fewest: u32, most: u32, capacity: f64, scale: f64) -> Option<u32> {
        let enough = (fewest..=most).find(|&replicas| {
            self.fullest_share(replicas, scale) <= capacity && self.suits_the_hottest(replicas, capacity, scale)
        })?;
        // What no count can help enough gets more as long as each further replica helps it.
        let helps = |from: u32, to: u32| {
            let gained = |lane: &LaneDemand| self.beside(lane, from, scale) - self.beside(lane, to, scale);
            let most = self.lanes.iter().filter(|lane| lane.beyond_help).map(gained).fold(0.0, f64::max);
            most >= USEFUL * capacity * f64::from(to - from)
        };
        Some((enough + 1..=most).fold(enough, |chosen, more| if helps(chosen, more) { more } else { chosen }))
    }

    /// The replica of the hottest partition can do what that needs beside its other partitions.
    fn suits_the_hottest(&self, replicas: u32, capacity: f64, scale: f64) -> bool {
        self.lanes.iter().all(|lane| {
            lane.hottest.is_none_or(|hottest| hottest * scale + self.beside(lane, replicas, scale) <= capacity)
        })
    }

    /// What the replica of the lane's hottest partition has to do beside that.
    fn beside(&self, lane: &LaneDemand, replicas: u32, scale: f64) -> f64 {
        let others = f64::from(partitions_of_fullest(lane.partitions, replicas) - 1) * lane.others;
        let lanes: f64 = self.lanes.iter().map(|lane| lane.share(replicas)).sum();
        (others + (lanes - lane.share(replicas))) * scale
    }

    /// The smallest count, not below `fewest`, that gives the fullest member no more partitions than `replicas` do.
    pub fn aligned(&self, replicas: u32, fewest: u32) -> u32 {
        let fullest = |count: u32| self.lanes.iter().map(move |lane| partitions_of_fullest(lane.partitions, count));
        (fewest.min(replicas)..=replicas).find(|&count| fullest(count).eq(fullest(replicas))).unwrap_or(replicas)
    }
}

impl LaneDemand {
    fn share(&self, replicas: u32) -> f64 {
        self.need * f64::from(partitions_of_fullest(self.partitions, replicas)) / f64::from(self.partitions.max(1))
    }

    /// Takes those partitions out that need more than a replica of their own; `partitions` begin with the hottest.
    fn leave_out_hot(&mut self, partitions: &mut Vec<PartitionDemand<'_>>, given: Given, findings: &mut Vec<Finding>) {
        let mut sum: f64 = partitions.iter().map(|partition| partition.bare).sum();
        let mut left_out = 0;
        let fewest_beside = f64::from(partitions_of_fullest(self.partitions, given.most).saturating_sub(1));
        while left_out + 1 < partitions.len() {
            let hottest = &partitions[left_out];
            let others = (sum - hottest.bare).max(0.0) / (partitions.len() - left_out - 1) as f64;
            self.others = others;
            self.hottest = None;
            if hottest.bare <= HOT * others {
                break;
            }
            let gets = (given.capacity - fewest_beside * others).max(0.0);
            if hottest.bare <= gets {
                self.hottest = Some(hottest.bare);
                break;
            }
            let (topic, partition, waiting) = (hottest.topic.to_owned(), hottest.number, hottest.waiting);
            findings.push(Finding::HotPartition { topic, partition, needs: hottest.bare, gets, waiting });
            self.beyond_help = true;
            sum -= hottest.bare;
            left_out += 1;
        }
        if left_out + 1 >= partitions.len() {
            self.hottest = None;
        }
        // Each takes the place of an ordinary one: the rest is spread as if it were one of them.
        let ordinary = partitions.split_off(left_out);
        *partitions = ordinary;
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;
    use crate::partitions::PartitionMemory;

    fn partition(input: f64, waiting: f64, stuck_looks: u32) -> PartitionMemory {
        PartitionMemory {
            end: 0,
            position: 0,
            unfinished: waiting as u64,
            waiting,
            input: Some(input),
            done: Some(input / 2.0),
            known_seconds: 30.0,
            remainder: 0,
            still_since: None,
            stuck_looks,
        }
    }

    fn demand(partitions: &[PartitionMemory], capacity: f64, most: u32) -> Demand {
        let numbered: BTreeMap<i32, _> = (0..).zip(partitions.iter().cloned()).collect();
        let seen = Seen { partitions: BTreeMap::from([("a".to_owned(), numbered)]), ..Seen::default() };
        let given = Given { jump: 1.0, pause_seconds: 3.0, capacity, most };
        let settings = Settings { utilization: 0.8, ..Settings::new(1, most, Duration::from_mins(2)) };
        Demand::of(&settings, &seen, given)
    }

    #[test]
    fn only_counts_that_relieve_the_fullest_member_are_steps() {
        assert_eq!(steps(12, 12).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 12]);
        assert_eq!(steps(7, 7).collect::<Vec<_>>(), [1, 2, 3, 4, 7]);
        assert_eq!(steps(12, 5).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn the_need_is_that_of_backlog_pause_and_input() {
        let demand = demand(&vec![partition(100.0, 6000.0, 0); 12], 1000.0, 12);
        assert!((demand.of_backlog - 600.0).abs() < 1e-9);
        assert!((demand.of_pause - 30.0).abs() < 1e-9);
        assert!((demand.of_input - 1200.0).abs() < 1e-9);
        assert!((demand.total() - 630.0 / 0.9 - 1200.0 / 0.8).abs() < 1e-9);
    }

    #[test]
    fn the_smallest_count_is_chosen_whose_fullest_replica_can_do_its_share() {
        let demand = demand(&vec![partition(100.0, 0.0, 0); 12], 513.0, 12);
        // 1,538 per second: 3 replicas have 513 each.
        assert_eq!(demand.smallest(1, 12, 513.0, 1.0), Some(3));
        // 5 are no better than 4, whose fullest has 3 of 12.
        assert_eq!(demand.smallest(1, 12, 300.0, 1.0), Some(6));
        assert_eq!(demand.smallest(5, 12, 2000.0, 1.0), Some(5));
        assert_eq!(demand.smallest(1, 12, 100.0, 1.0), None);
        assert_eq!((demand.aligned(5, 1), demand.aligned(11, 1), demand.aligned(12, 1)), (4, 6, 12));
        assert_eq!(demand.aligned(5, 5), 5);
    }

    #[test]
    fn no_count_is_ever_chosen_that_one_less_would_equal() {
        for partitions in 1..40 {
            let demand = demand(&vec![partition(100.0, 0.0, 0); partitions], 1.0, 40);
            for capacity in 1..200 {
                let Some(chosen) = demand.smallest(1, 40, f64::from(capacity) * 25.0, 1.0) else { continue };
                let fullest = |replicas| partitions_of_fullest(partitions as u32, replicas);
                assert!(chosen == 1 || fullest(chosen) < fullest(chosen - 1), "{chosen} for {partitions}");
            }
        }
    }

    #[test]
    fn a_partition_that_fits_on_a_replica_of_its_own_gets_one() {
        let mut partitions = vec![partition(50.0, 0.0, 0); 12];
        partitions[7] = partition(900.0, 0.0, 0);
        let demand = demand(&partitions, 1000.0, 12);
        assert_eq!(demand.findings, []);
        // 900 + 2 · 50 on one replica; by the sum alone 2 replicas would do.
        assert_eq!(demand.smallest(1, 12, 1000.0, 1.0), Some(4));
    }

    #[test]
    fn a_partition_that_no_replica_can_help_is_named_and_asks_for_no_more_than_helps() {
        let mut partitions = vec![partition(50.0, 0.0, 0); 12];
        partitions[7] = partition(1200.0, 240_000.0, 0);
        let demand = demand(&partitions, 1000.0, 12);
        let expected = Finding::HotPartition {
            topic: "a".to_owned(),
            partition: 7,
            needs: 3200.0,
            gets: 1000.0,
            waiting: 240_000.0,
        };
        assert_eq!(demand.findings, [expected]);
        // A third replica takes 2 others from it, a tenth of what it can do; a fourth would take one more, which is too little.
        assert_eq!(demand.smallest(1, 12, 1000.0, 1.0), Some(3));
    }

    #[test]
    fn a_partition_that_waits_for_itself_needs_what_it_uses() {
        let mut partitions = vec![partition(50.0, 0.0, 0); 12];
        partitions[2] = partition(50.0, 1e6, 2);
        let demand = demand(&partitions, 1000.0, 12);
        assert!((demand.of_backlog).abs() < 1e-9);
        assert!(matches!(demand.findings[..], [Finding::PartitionStuck { partition: 2, .. }]));
        assert_eq!(demand.smallest(1, 12, 1000.0, 1.0), Some(1));
    }

    #[test]
    fn a_backlog_everywhere_is_no_hot_partition() {
        let demand = demand(&vec![partition(100.0, 1e6, 0); 12], 1000.0, 12);
        assert_eq!(demand.findings, []);
        assert_eq!(demand.smallest(1, 12, 1000.0, 1.0), None);
    }
}
