//! What the load report adds up. Pure: takes the time as an argument.

use std::time::{Duration, Instant};

use contract::{CpuLoad, LaneLoad, Load, PartitionLoad};
use jiff::Timestamp;

use super::{
    group::HowEnded,
    lanes::{Lane, Lanes, Partition},
};
use crate::offsets::Progress;

/// How often the report is renewed: it looks at every partition.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Sums since the process began.
#[derive(Debug)]
pub struct Meter {
    since: Timestamp,
    last: Instant,
    next_report: Instant,
    lanes: [Sums; Lane::ALL.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    processed: u64,
    failed: u64,
    busy_seconds: f64,
    throttled_seconds: f64,
}

/// What the lanes do at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// How many records of each are in work.
    pub running: [usize; Lane::ALL.len()],
    /// Which of them wait for nothing but the provider's limit.
    pub throttled: [bool; Lane::ALL.len()],
}

impl Meter {
    /// Nothing has been done yet.
    pub fn new(since: Timestamp, now: Instant) -> Self {
        Self { since, last: now, next_report: now, lanes: Default::default() }
    }

    /// This is what was done since the last time.
    pub fn advance(&mut self, now: Instant, doing: Doing) {
        let seconds = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        for (lane, sums) in self.lanes.iter_mut().enumerate() {
            sums.busy_seconds += seconds * f64::from(u32::try_from(doing.running[lane]).unwrap_or(u32::MAX));
            sums.throttled_seconds += if doing.throttled[lane] { seconds } else { 0.0 };
        }
    }

    /// Whether a report is due, which is so once per [`REPORT_INTERVAL`].
    pub fn is_report_due(&mut self, now: Instant) -> bool {
        let is_due = now >= self.next_report;
        if is_due {
            self.next_report = now + REPORT_INTERVAL;
        }
        is_due
    }

    /// The work on a record has ended.
    pub fn ended(&mut self, lane: Lane, how: HowEnded) {
        if let HowEnded::Finished { failed } = how {
            let sums = &mut self.lanes[lane as usize];
            sums.processed += 1;
            sums.failed += u64::from(failed);
        }
    }

    /// The report, as of `at`.
    pub fn report(
        &self,
        at: Timestamp,
        max_in_flight: usize,
        cpu: Option<CpuLoad>,
        lanes: &Lanes,
        running: [usize; Lane::ALL.len()],
        partitions: &[(Partition, Progress)],
    ) -> Load {
        let lane_load = |lane: Lane| {
            let sums = self.lanes[lane as usize];
            let own = || partitions.iter().filter(move |(partition, _)| partition.lane == lane);
            let oldest = own().filter_map(|(_, progress)| progress.oldest).min();
            LaneLoad {
                topic: lanes.topic(lane).to_string(),
                processed: sums.processed,
                failed: sums.failed,
                busy_seconds: sums.busy_seconds,
                in_flight: u32::try_from(running[lane as usize]).unwrap_or(u32::MAX),
                throttled_seconds: sums.throttled_seconds,
                oldest_unfinished_seconds: oldest.map(|oldest| at.duration_since(oldest).as_secs_f64().max(0.0)),
                partitions: own().map(|(partition, progress)| partition_load(*partition, *progress)).collect(),
            }
        };
        Load {
            at,
            since: self.since,
            max_in_flight: u32::try_from(max_in_flight).unwrap_or(u32::MAX),
            cpu,
            lanes: Lane::ALL.map(lane_load).into(),
        }
    }
}

fn partition_load(partition: Partition, progress: Progress) -> PartitionLoad {
    PartitionLoad {
        partition: partition.number,
        position: progress.position,
        finished_beyond: u64::try_from(progress.finished_beyond).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_grow_by_what_each_lane_does_for_how_long() {
        let (start, since) = (Instant::now(), Timestamp::UNIX_EPOCH);
        let mut meter = Meter::new(since, start);
        let doing = Doing { running: [0, 4, 1], throttled: [false, false, true] };
        meter.advance(start + Duration::from_secs(2), doing);
        meter.advance(start + Duration::from_secs(3), Doing { running: [1, 0, 0], ..Doing::default() });
        for how in [HowEnded::Finished { failed: false }, HowEnded::Finished { failed: true }, HowEnded::Abandoned] {
            meter.ended(Lane::Normal, how);
        }
        let lanes = Lanes { high: "high".into(), normal: "normal".into(), low: "low".into() };
        let put_at = |seconds| Timestamp::from_second(seconds).ok();
        let progress = |position, oldest| Progress { position, finished_beyond: 2, oldest };
        let partitions = [
            (Partition { lane: Lane::Normal, number: 0 }, progress(Some(7), put_at(95))),
            (Partition { lane: Lane::Normal, number: 3 }, progress(None, put_at(97))),
            (Partition { lane: Lane::Low, number: 0 }, progress(Some(1), None)),
        ];
        let load = meter.report(Timestamp::from_second(100).expect("a time"), 50, None, &lanes, [0, 4, 1], &partitions);

        assert_eq!((load.since, load.max_in_flight), (since, 50));
        let busy: Vec<_> = load.lanes.iter().map(|lane| lane.busy_seconds).collect();
        assert_eq!(busy, [1.0, 8.0, 2.0]);
        let throttled: Vec<_> = load.lanes.iter().map(|lane| lane.throttled_seconds).collect();
        assert_eq!(throttled, [0.0, 0.0, 2.0]);
        let normal = &load.lanes[1];
        assert_eq!((normal.topic.as_str(), normal.processed, normal.failed, normal.in_flight), ("normal", 2, 1, 4));
        assert_eq!(normal.oldest_unfinished_seconds, Some(5.0));
        assert_eq!(load.lanes[2].oldest_unfinished_seconds, None);
        let first = PartitionLoad { partition: 0, position: Some(7), finished_beyond: 2 };
        assert_eq!(normal.partitions, [first, PartitionLoad { partition: 3, position: None, finished_beyond: 2 }]);
    }
}
