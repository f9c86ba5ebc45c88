//! The world: partitions, pods, a group and a provider, second by second.

mod pods;
mod queue;
mod signals;

use fastrand::Rng;

use crate::{
    random::{count, normal},
    scenario::Scenario,
};
use pods::{Pod, State};
use queue::Queue;

/// The state of everything at one second.
#[derive(Debug)]
pub struct World<'a> {
    scenario: &'a Scenario,
    /// Of what comes, so that it is the same whatever is decided.
    traffic: Rng,
    /// Of how long pods take to start.
    random: Rng,
    /// The second that comes next.
    pub second: u32,
    shares: Vec<f64>,
    /// By how much this minute's rate differs.
    noise: f64,
    partitions: Vec<Partition>,
    pods: Vec<Pod>,
    /// How many replicas are asked for.
    pub replicas: u32,
    next_pod: u32,
    /// Pods that are members, by their place in `pods`, with their partitions.
    members: Vec<(usize, Vec<usize>)>,
    /// Until when the group stands still.
    pauses_until: u32,
    epoch: i64,
}

#[derive(Debug, Default)]
struct Partition {
    /// What is in Kafka and not taken.
    queue: Queue,
    /// What could not be written because the broker is away.
    unwritten: u64,
    /// Offset of the next record.
    end: u64,
    /// Records in work.
    in_work: u64,
    /// First offset that is not finished.
    position: u64,
    is_away: bool,
}

impl<'a> World<'a> {
    /// At second 0, with its first replicas ready.
    pub fn new(scenario: &'a Scenario, seed: u64) -> World<'a> {
        let mut world = World {
            scenario,
            traffic: Rng::with_seed(seed),
            random: Rng::with_seed(seed ^ 0x5eed),
            second: 0,
            shares: scenario.shares(),
            noise: 0.0,
            partitions: (0..scenario.partitions).map(|_| Partition::default()).collect(),
            pods: Vec::new(),
            replicas: 0,
            next_pod: 0,
            members: Vec::new(),
            pauses_until: 0,
            epoch: 0,
        };
        world.scale(scenario.replicas);
        for pod in &mut world.pods {
            pod.state = State::Ready;
        }
        world.assign();
        world.pauses_until = 0;
        world
    }

    /// One second passes.
    pub fn pass(&mut self) {
        if self.move_pods() {
            self.assign();
        }
        self.receive();
        self.work();
    }

    fn move_brokers(&mut self) {
        for (number, partition) in (0_u32..).zip(&mut self.partitions) {
            partition.is_away =
                self.scenario.broker_outages.iter().any(|outage| {
                    (outage.from..outage.to).contains(&self.second) && number.is_multiple_of(outage.one_in)
                });
        }
    }

    /// What comes in this second is written, and nothing else happens.
    pub fn receive(&mut self) {
        self.move_brokers();
        let scenario = self.scenario;
        if self.second.is_multiple_of(60) {
            self.noise = scenario.noise * normal(&mut self.traffic);
        }
        let rate = scenario.rate_at(f64::from(self.second)) * (1.0 + self.noise).max(0.0);
        let burst: u64 =
            scenario.bursts.iter().filter(|(second, _)| *second == self.second).map(|(_, records)| records).sum();
        for (partition, share) in self.partitions.iter_mut().zip(&self.shares) {
            partition.unwritten += count(&mut self.traffic, rate * share) + (burst as f64 * share) as u64;
            if !partition.is_away {
                let records = std::mem::take(&mut partition.unwritten);
                partition.queue.push(self.second, records);
                partition.end += records;
            }
        }
        self.second += 1;
    }

    /// Every member does what it can of what waits in its partitions.
    fn work(&mut self) {
        for partition in &mut self.partitions {
            partition.in_work = 0;
        }
        let (latency, failing) = (self.scenario.latency_at(self.second), self.scenario.failing_at(self.second));
        let (capacity, slots) =
            (self.scenario.capacity_at(self.second), f64::from(self.scenario.settings.max_in_flight));
        if self.second >= self.pauses_until {
            let mut taken: Vec<Vec<u64>> = Vec::with_capacity(self.members.len());
            let mut throttled = Vec::with_capacity(self.members.len());
            for (_, own) in &self.members {
                let share = own.len() as f64 / self.partitions.len() as f64;
                let paced = self.scenario.settings.rate_limit.map_or(f64::INFINITY, |limit| limit * share);
                throttled.push(paced < capacity);
                taken.push(self.divide(own, capacity.min(paced)));
            }
            let all: u64 = taken.iter().flatten().sum();
            let limit = self.scenario.provider_limit_at(self.second).unwrap_or(f64::INFINITY);
            let part = if all as f64 > limit { limit / all as f64 } else { 1.0 };
            for (((pod, own), taken), is_paced) in self.members.iter().zip(&taken).zip(throttled) {
                let (mut done, mut left) = (0, 0);
                for (&number, &records) in own.iter().zip(taken) {
                    let partition = &mut self.partitions[number];
                    let records = (records as f64 * part) as u64;
                    partition.queue.take(records);
                    partition.in_work = (records as f64 * latency) as u64;
                    done += records;
                    left += partition.queue.len();
                }
                // Where the provider or the CPU is what is short, records wait for it in slots until all are taken.
                let is_full = part < 1.0 || (!is_paced && done as f64 >= 0.99 * capacity);
                let busy = if is_full && left > 0 { slots } else { (done as f64 * latency).min(slots) };
                let pod = &mut self.pods[*pod];
                pod.processed += done;
                pod.failed += (done as f64 * failing) as u64;
                pod.busy_seconds += busy;
                pod.in_flight = busy as u32;
                pod.throttled_seconds += f64::from(u8::from(is_paced && left > 0));
                pod.use_cpu(done as f64 / self.scenario.cpu_capacity);
            }
        } else {
            for (pod, _) in &self.members {
                self.pods[*pod].use_cpu(0.0);
                self.pods[*pod].in_flight = 0;
            }
        }
        for partition in &mut self.partitions {
            let done = partition.end.saturating_sub(partition.queue.len()).saturating_sub(partition.in_work);
            partition.position = partition.position.max(done);
        }
    }

    /// How many records of each of these partitions are taken when `capacity` can be: equal parts, and what one does not
    /// need goes to the others.
    fn divide(&self, own: &[usize], capacity: f64) -> Vec<u64> {
        let most = |number: &usize| {
            let partition = &self.partitions[*number];
            let stuck =
                self.scenario.stuck.iter().filter(|stuck| {
                    stuck.partition as usize == *number && (stuck.from..stuck.to).contains(&self.second)
                });
            let can = stuck.map(|stuck| stuck.per_second).fold(f64::INFINITY, f64::min);
            if partition.is_away { 0 } else { (partition.queue.len() as f64).min(can) as u64 }
        };
        let most: Vec<u64> = own.iter().map(most).collect();
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by_key(|index| most[*index]);
        let (mut left, mut taken) = (capacity as u64, vec![0; own.len()]);
        for (place, index) in order.into_iter().enumerate() {
            let part = left / (own.len() - place) as u64;
            taken[index] = most[index].min(part);
            left -= taken[index];
        }
        taken
    }

    /// The age of the oldest record that waits, in seconds; of those partitions only that a policy can help.
    pub fn oldest(&self, can_be_helped: &[bool]) -> u32 {
        let partitions = self.partitions.iter().zip(can_be_helped).filter(|(_, can)| **can);
        let first = partitions.filter_map(|(partition, _)| partition.queue.first()).min();
        first.map_or(0, |first| self.second.saturating_sub(first))
    }

    /// Records in Kafka that nobody has taken.
    pub fn waiting(&self) -> u64 {
        self.partitions.iter().map(|partition| partition.queue.len()).sum()
    }

    /// What is not finished of each partition; none of one whose broker is away.
    pub fn lags(&self) -> Vec<Option<u64>> {
        let lag = |partition: &Partition| (!partition.is_away).then(|| partition.end - partition.position);
        self.partitions.iter().map(lag).collect()
    }

    /// How many records have been written to each partition.
    pub fn ends(&self) -> impl Iterator<Item = u64> {
        self.partitions.iter().map(|partition| partition.end)
    }

    /// End and position of each partition, together.
    pub fn sums(&self) -> (u64, u64) {
        self.partitions
            .iter()
            .fold((0, 0), |(end, position), partition| (end + partition.end, position + partition.position))
    }
}
