//! What the signals say: rates, backlog and use, from the difference to the look before.

use std::collections::BTreeMap;

use contract::{CpuLoad, Load, PartitionLoad};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    capacity::Capacity,
    memory::Memory,
    partitions::{PartitionMemory, Place},
    settings::Settings,
    signals::{PartitionOffsets, Signals},
};

/// The sums of a pod at one look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodSums {
    at: Timestamp,
    since: Timestamp,
    processed: u64,
    failed: u64,
    busy_seconds: f64,
    throttled_seconds: f64,
    cpu: Option<CpuLoad>,
}

/// What a pod did between two looks.
#[derive(Clone, Debug)]
pub(crate) struct PodRates {
    /// For how many seconds.
    pub seconds: f64,
    /// Records per second.
    pub processed: f64,
    /// Records per second that failed.
    pub failed: f64,
    /// Which part of its slots, or of its CPU time if that is more, it used.
    pub busy: f64,
    /// Which part of the time it waited for nothing but the provider's limit.
    pub throttled: f64,
    /// Whether every partition that it reads waits.
    pub waits_everywhere: bool,
    /// Whether each of them has waited since the look before, too: what came in the middle of a look says nothing about all of it.
    pub waited_everywhere: bool,
    /// Whether it reads more than one partition.
    pub has_several: bool,
}

/// What is seen of all topics.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// By topic and number.
    pub partitions: BTreeMap<String, BTreeMap<i32, PartitionMemory>>,
    /// Which pod reads it, by topic and number.
    pub owners: BTreeMap<String, BTreeMap<i32, String>>,
    pub looked_at: BTreeMap<String, Timestamp>,
    pub pods: BTreeMap<String, PodSums>,
    pub rates: BTreeMap<String, PodRates>,
    /// Records in work.
    pub in_flight: u64,
    /// Input of this look alone, in records per second.
    pub input_now: Option<f64>,
    /// For how many seconds it was looked.
    pub seconds: f64,
    /// What was finished in this look alone, in records per second.
    pub done_now: Option<f64>,
    /// Pods that should tell of themselves and do not.
    pub silent: Vec<String>,
}

impl Seen {
    /// Every partition.
    pub fn all(&self) -> impl Iterator<Item = &PartitionMemory> {
        self.partitions.values().flat_map(BTreeMap::values)
    }

    pub fn unfinished(&self) -> u64 {
        self.all().map(|partition| partition.unfinished).sum()
    }
}

/// Looks at the topics; an error says what is not known of them. `is_calm` says that the group was and is at rest: otherwise
/// records may wait for nothing but that.
pub(crate) fn look(settings: &Settings, signals: &Signals, memory: &Memory, is_calm: bool) -> Result<Seen, String> {
    if signals.lanes.is_empty() {
        return Err("which topics are read is unknown".to_owned());
    }
    let mut seen = Seen::default();
    let loads = loads(settings, signals, &mut seen.silent);
    let (mut input_now, mut done_now, mut is_rate_known) = (0.0, 0.0, true);
    for lane in &signals.lanes {
        let topic = &lane.topic;
        let offsets = lane.partitions.fresh(signals.at, settings.stale_after());
        let offsets = offsets.map_err(|problem| format!("how far topic {topic} is {problem}"))?;
        if offsets.is_empty() {
            return Err(format!("how far topic {topic} is is unknown: no partition was read"));
        }
        let at = lane.partitions.at().unwrap_or(signals.at);
        let seconds = memory.looked_at.get(topic).map_or(0.0, |last| at.duration_since(*last).as_secs_f64());
        seen.seconds = seen.seconds.max(seconds);
        let before = memory.partitions.get(topic);
        if before.is_some() && seconds <= 0.0 {
            // The same look again, or one of a clock that was set back: it tells nothing new.
            is_rate_known = false;
        }
        let mut followed = BTreeMap::new();
        for partition in offsets {
            let before = before.and_then(|before| before.get(&partition.partition));
            let (place, owner) = place(partition, topic, &loads);
            let after = PartitionMemory::follow(before, place, at, seconds);
            match before.filter(|before| seconds > 0.0 && before.end <= after.end) {
                Some(before) => {
                    let came = (after.end - before.end) as f64;
                    input_now += came / seconds;
                    done_now += (came - (after.unfinished as f64 - before.unfinished as f64)).max(0.0) / seconds;
                }
                None => is_rate_known = false,
            }
            if let Some(owner) = owner {
                seen.owners.entry(topic.clone()).or_default().insert(partition.partition, owner.to_owned());
            }
            followed.insert(partition.partition, after);
        }
        take_off_work(&mut followed, topic, &loads);
        seen.partitions.insert(topic.clone(), followed);
        seen.looked_at.insert(topic.clone(), at);
    }
    if is_rate_known {
        temper(&mut seen, memory, input_now);
    }
    seen.in_flight = loads.iter().flat_map(|(_, load)| &load.lanes).map(|lane| u64::from(lane.in_flight)).sum();
    seen.input_now = is_rate_known.then_some(input_now);
    seen.done_now = is_rate_known.then_some(done_now);
    for (pod, load) in &loads {
        let sums = sums(load);
        let rates = memory.pods.get(*pod).and_then(|before| rates(before, &sums, load, &seen, memory, is_calm));
        seen.rates.extend(rates.map(|rates| ((*pod).to_owned(), rates)));
        seen.pods.insert((*pod).to_owned(), sums);
    }
    if is_calm {
        find_stuck(&mut seen, memory);
    }
    Ok(seen)
}

/// From how many times the input before on what comes in one look is a burst, unless the next look brings as much.
const BURST: f64 = 3.0;

/// A burst is a backlog, which is to be worked off, and no rate that goes on: what is beyond counts for the input only when
/// the next look confirms it.
fn temper(seen: &mut Seen, memory: &Memory, input_now: f64) {
    let Some(last) = memory.last_input else { return };
    let before: f64 = memory.partitions.values().flat_map(BTreeMap::values).filter_map(|before| before.input).sum();
    let most = BURST * before.max(last);
    if input_now <= most {
        return;
    }
    for (topic, partitions) in &mut seen.partitions {
        let (Some(before), Some(last)) = (memory.partitions.get(topic), memory.looked_at.get(topic)) else { continue };
        let seconds = seen.looked_at.get(topic).map_or(0.0, |at| at.duration_since(*last).as_secs_f64());
        for (number, partition) in partitions.iter_mut().filter(|_| seconds > 0.0) {
            if let Some(before) = before.get(number) {
                partition.temper(before, most / input_now, seconds);
            }
        }
    }
}

fn loads<'a>(settings: &Settings, signals: &'a Signals, silent: &mut Vec<String>) -> Vec<(&'a str, &'a Load)> {
    let mut loads = Vec::new();
    for processor in &signals.processors {
        match processor.load.fresh(signals.at, settings.stale_after()) {
            Ok(load) => loads.push((processor.pod.as_str(), load)),
            Err(problem) => silent.push(format!("the load of pod {} {problem}", processor.pod)),
        }
    }
    loads
}

/// Where a partition is, and who reads it. The processor knows more than Kafka: it commits now and then.
fn place<'a>(offsets: &PartitionOffsets, topic: &str, loads: &[(&'a str, &Load)]) -> (Place, Option<&'a str>) {
    let committed = offsets.committed.unwrap_or(offsets.earliest).max(offsets.earliest);
    let (mut position, mut beyond, mut read_up, mut owner) = (committed, offsets.finished_beyond, false, None);
    for (pod, load) in loads {
        for lane in load.lanes.iter().filter(|lane| lane.topic == topic) {
            let Some(read) = lane.partitions.iter().find(|read| read.partition == offsets.partition) else { continue };
            owner = Some(*pod);
            // While a partition changes hands two may claim it: the one that is further has it.
            if let Some(at) = read.position.filter(|at| *at >= position) {
                (position, beyond) = (at, read.finished_beyond);
                read_up = lane.in_flight == 0 && lane.oldest_unfinished_seconds.is_none();
            }
        }
    }
    // What waits for its time comes when that has come.
    let end = offsets.end.saturating_sub_unsigned(offsets.delayed);
    let open = u64::try_from(end - position).unwrap_or(0).saturating_sub(beyond);
    (Place { end, position, open, read_up }, owner)
}

/// Records in work do not wait. Which partition they are of is not told, so each has its share.
fn take_off_work(partitions: &mut BTreeMap<i32, PartitionMemory>, topic: &str, loads: &[(&str, &Load)]) {
    for (_, load) in loads {
        for lane in load.lanes.iter().filter(|lane| lane.topic == topic && lane.in_flight > 0) {
            let own = || lane.partitions.iter().map(|read| read.partition);
            let unfinished: u64 =
                own().filter_map(|number| partitions.get(&number)).map(|partition| partition.unfinished).sum();
            if unfinished == 0 {
                continue;
            }
            let rest = (1.0 - f64::from(lane.in_flight) / unfinished as f64).max(0.0);
            for number in own().collect::<Vec<_>>() {
                if let Some(partition) = partitions.get_mut(&number) {
                    partition.waiting = partition.unfinished as f64 * rest;
                }
            }
        }
    }
}

fn sums(load: &Load) -> PodSums {
    let lanes = || load.lanes.iter();
    PodSums {
        at: load.at,
        since: load.since,
        processed: lanes().map(|lane| lane.processed).sum(),
        failed: lanes().map(|lane| lane.failed).sum(),
        busy_seconds: lanes().map(|lane| lane.busy_seconds).sum(),
        // Lanes wait for one limit at the same time.
        throttled_seconds: lanes().map(|lane| lane.throttled_seconds).fold(0.0, f64::max),
        cpu: load.cpu,
    }
}

/// What a processor uses of a CPU while it has nothing to do, which says nothing about what it can do.
const IDLE_CPUS: f64 = 0.02;

fn rates(
    before: &PodSums,
    after: &PodSums,
    load: &Load,
    seen: &Seen,
    memory: &Memory,
    is_calm: bool,
) -> Option<PodRates> {
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    // Another process of the same pod counts from zero.
    let goes_on = seconds > 0.0 && before.since == after.since && before.processed <= after.processed;
    if !goes_on || load.max_in_flight == 0 {
        return None;
    }
    let part = |before: f64, after: f64| ((after - before) / seconds).max(0.0);
    let slots = part(before.busy_seconds, after.busy_seconds) / f64::from(load.max_in_flight);
    let cpu = match (before.cpu, after.cpu) {
        (Some(before), Some(after)) if after.available > 0.0 => {
            let idle = IDLE_CPUS.min(after.available / 4.0);
            ((part(before.used_seconds, after.used_seconds) - idle) / (after.available - idle)).max(0.0)
        }
        _ => 0.0,
    };
    let own = load.lanes.iter().flat_map(|lane| {
        let place = |read: &PartitionLoad| {
            let before = memory.partitions.get(&lane.topic).and_then(|before| before.get(&read.partition));
            Some((before, seen.partitions.get(&lane.topic)?.get(&read.partition)?))
        };
        lane.partitions.iter().filter_map(place)
    });
    // A partition to which nothing comes says nothing about the pod.
    let active: Vec<_> = own.filter(|(_, now)| now.waiting > 0.0 || now.input > Some(0.0)).collect();
    let waits_everywhere = is_calm && !active.is_empty() && active.iter().all(|(_, now)| now.waits());
    Some(PodRates {
        seconds,
        processed: (after.processed - before.processed) as f64 / seconds,
        failed: after.failed.saturating_sub(before.failed) as f64 / seconds,
        busy: slots.max(cpu).clamp(0.0, 1.0),
        throttled: part(before.throttled_seconds, after.throttled_seconds).min(1.0),
        waits_everywhere,
        waited_everywhere: waits_everywhere
            && active.iter().all(|(before, _)| before.is_some_and(PartitionMemory::waits)),
        has_several: active.len() > 1,
    })
}

/// From which use on a processor has no slots free, but for fluctuation.
pub(crate) const FULL: f64 = 0.8;
/// Up to which part of the time a processor may wait for the provider's limit and still not be held by it.
pub(crate) const UNTHROTTLED: f64 = 0.1;

/// A partition that waits while its processor has slots free and others of it do not wait is waiting for itself.
fn find_stuck(seen: &mut Seen, memory: &Memory) {
    let usual = memory.capacity.as_ref().map(Capacity::per_replica);
    for (topic, partitions) in &mut seen.partitions {
        let owners = seen.owners.get(topic);
        for (number, partition) in partitions {
            if !partition.waits() {
                partition.stuck_looks = 0;
                continue;
            }
            let owner = owners.and_then(|owners| owners.get(number)).and_then(|owner| seen.rates.get(owner));
            let Some(owner) = owner else { continue };
            if owner.busy >= FULL {
                partition.stuck_looks = 0;
                continue;
            }
            // With one partition only, the processor itself may be what is slow: then it does not do nearly what it can.
            let is_alone = if owner.waits_everywhere && !owner.has_several {
                usual.is_some_and(|usual| owner.processed < usual / 2.0)
            } else {
                !owner.waits_everywhere
            };
            if owner.throttled < UNTHROTTLED && is_alone {
                partition.stuck_looks = partition.stuck_looks.saturating_add(1);
            }
        }
    }
}
