//! What one replica does each second with all its slots taken: learnt from what it does and how busy that keeps it.
//!
//! Throughput divided by use, as in DS2 (Kalavri et al., OSDI 2018) and Flink's autoscaler: also a replica with little to do
//! tells what it could do. Where it cannot use all of its slots although every partition waits, something else is used up,
//! CPU time mostly, and what it does then is all that it can.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    decision::Finding,
    measure::{FULL, PodRates, UNTHROTTLED},
    settings::Settings,
};

/// How much the first guess counts, in seconds of a replica with all slots taken: little, because it is a guess.
const GUESS_SECONDS: f64 = 2.0;
/// Over how many seconds of looks experience is forgotten.
const FORGET_SECONDS: f64 = 120.0;
/// The least use from which anything can be learnt; below, a few slow records are all there is.
const LEAST_BUSY: f64 = 0.05;
/// Which part of what ends may fail for it to count as work: what fails at once says nothing about what can be sent.
const MOST_FAILED: f64 = 0.5;
/// By which part per second the ceiling is lifted again: what used up the CPU may have gone.
const LIFT_PER_SECOND: f64 = 0.01 / 60.0;
/// Over how many seconds the usual capacity is learnt.
const USUAL_SECONDS: f64 = 3600.0;
/// The same while it is degraded, so that what lasts for days becomes the usual.
const USUAL_SECONDS_DEGRADED: f64 = 24.0 * 3600.0;
/// For how many seconds something must have been learnt before it is called usual.
const USUAL_AFTER_SECONDS: f64 = 600.0;
/// Below which part of the usual it is degraded, and for how many seconds it must have been so to be told.
const DEGRADED: f64 = 0.7;
const DEGRADED_SECONDS: f64 = 600.0;

/// What is known of a replica's capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Records done, with older ones counting less.
    done: f64,
    /// Seconds of a replica with all slots taken that this took.
    busy: f64,
    /// What it can do where something other than slots is used up, in records per second.
    ceiling: Option<f64>,
    /// What it usually is, in records per second.
    usual: Option<f64>,
    /// For how many seconds it has been learnt.
    learnt_seconds: f64,
    degraded_since: Option<Timestamp>,
}

impl Capacity {
    /// Before anything is known.
    pub(crate) fn guess(settings: &Settings) -> Capacity {
        Capacity {
            done: settings.first_guess * GUESS_SECONDS,
            busy: GUESS_SECONDS,
            ceiling: None,
            usual: None,
            learnt_seconds: 0.0,
            degraded_since: None,
        }
    }

    /// Records per second of one replica with all its slots taken.
    pub fn per_replica(&self) -> f64 {
        let learnt = self.done / self.busy;
        self.ceiling.map_or(learnt, |ceiling| learnt.min(ceiling)).max(f64::MIN_POSITIVE)
    }

    /// Whether a replica does far less than it used to.
    pub(crate) fn is_below_usual(&self) -> bool {
        self.usual.is_some_and(|usual| self.per_replica() < DEGRADED * usual)
    }

    /// Takes what the pods did since the last look.
    pub(crate) fn learn(&mut self, now: Timestamp, pods: &[PodRates]) {
        let seconds = pods.iter().map(|pod| pod.seconds).fold(0.0, f64::max);
        let useful = |pod: &&PodRates| pod.processed > 0.0 && pod.failed <= MOST_FAILED * pod.processed;
        let (mut done, mut busy, mut most, mut ceilings, mut saturated) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for pod in pods.iter().filter(useful) {
            // Where one partition only waits, it may be waiting for itself, so that says nothing about the pod.
            let is_used_up = pod.waited_everywhere && pod.has_several && pod.throttled < UNTHROTTLED;
            let used = if is_used_up { 1.0 } else { pod.busy };
            if used < LEAST_BUSY {
                continue;
            }
            if is_used_up && pod.busy < FULL {
                (ceilings, saturated) = (ceilings + pod.processed, saturated + 1.0);
            }
            most = f64::max(most, pod.processed);
            done += pod.processed * pod.seconds;
            busy += used * pod.seconds;
        }
        if let Some(ceiling) = &mut self.ceiling {
            *ceiling *= 1.0 + LIFT_PER_SECOND * seconds;
        }
        if busy <= 0.0 {
            return;
        }
        let kept = FORGET_SECONDS / (FORGET_SECONDS + seconds);
        (self.done, self.busy) = (self.done * kept + done, self.busy * kept + busy);
        if saturated > 0.0 {
            let seen = ceilings / saturated;
            self.ceiling = Some(self.ceiling.map_or(seen, |ceiling| ceiling + (seen - ceiling) / 2.0));
        }
        // What one has done, one can do.
        self.ceiling = self.ceiling.map(|ceiling| ceiling.max(most));
        self.learnt_seconds += seconds;
        self.compare(now, seconds);
    }

    /// Makes nothing later than now.
    pub(crate) fn set_back(&mut self, now: Timestamp) {
        self.degraded_since = self.degraded_since.map(|since| since.min(now));
    }

    fn compare(&mut self, now: Timestamp, seconds: f64) {
        if self.learnt_seconds < USUAL_AFTER_SECONDS {
            return;
        }
        let current = self.per_replica();
        let usual = *self.usual.get_or_insert(current);
        let is_degraded = current < DEGRADED * usual;
        let within = if is_degraded { USUAL_SECONDS_DEGRADED } else { USUAL_SECONDS };
        self.usual = Some(usual + (current - usual) * seconds / (within + seconds));
        self.degraded_since = is_degraded.then(|| self.degraded_since.unwrap_or(now));
    }

    /// That it has been degraded for long enough to tell.
    pub(crate) fn finding(&self, now: Timestamp) -> Option<Finding> {
        let (since, usual) = (self.degraded_since?, self.usual?);
        let is_long_enough = now.duration_since(since).as_secs_f64() >= DEGRADED_SECONDS;
        is_long_enough.then(|| Finding::ThroughputDegraded { usual, now: self.per_replica(), since })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn settings(first_guess: f64) -> Settings {
        Settings { first_guess, ..Settings::new(1, 6, Duration::from_mins(1)) }
    }

    fn pod(processed: f64, busy: f64) -> PodRates {
        PodRates {
            seconds: 10.0,
            processed,
            failed: 0.1 * processed,
            busy,
            throttled: 0.0,
            waits_everywhere: false,
            waited_everywhere: false,
            has_several: true,
        }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// What is known after `looks` like this, ten seconds apart.
    fn learnt(first_guess: f64, pod: &PodRates, looks: i64) -> Capacity {
        let mut capacity = Capacity::guess(&settings(first_guess));
        for look in 0..looks {
            capacity.learn(second(10 * look), std::slice::from_ref(pod));
        }
        capacity
    }

    #[track_caller]
    fn check_corrected(first_guess: f64, busy: f64) {
        let capacity = learnt(first_guess, &pod(1000.0 * busy, busy), 30).per_replica();
        assert!((capacity - 1000.0).abs() <= 100.0, "{capacity} after five minutes at {busy}, from {first_guess}");
    }

    #[test]
    fn a_wrong_first_guess_is_within_a_tenth_after_five_minutes_also_where_there_is_little_to_do() {
        for busy in [0.05, 0.1, 0.3, 1.0] {
            check_corrected(400.0, busy);
            check_corrected(2000.0, busy);
        }
    }

    #[test]
    fn idle_replicas_teach_nothing() {
        let capacity = learnt(400.0, &pod(10.0, 0.04), 1000).per_replica();
        assert!((capacity - 400.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_replica_does_while_everything_waits_is_all_that_it_can_however_few_slots_that_takes() {
        let mut capacity = learnt(1000.0, &pod(800.0, 0.1), 60);
        assert!(capacity.per_replica() > 7000.0);
        let saturated = PodRates { waited_everywhere: true, ..pod(3000.0, 0.4) };
        for look in 60..70 {
            capacity.learn(second(10 * look), std::slice::from_ref(&saturated));
        }
        assert!((capacity.per_replica() - 3000.0).abs() < 100.0, "{capacity:?}");
        // It is not forgotten when there is little to do again.
        for look in 70..100 {
            capacity.learn(second(10 * look), &[pod(800.0, 0.1)]);
        }
        assert!(capacity.per_replica() < 3300.0, "{capacity:?}");
    }

    #[test]
    fn what_a_replica_has_done_is_not_beyond_what_it_can_do() {
        let mut capacity = learnt(1000.0, &PodRates { waited_everywhere: true, ..pod(300.0, 0.4) }, 1);
        assert!(capacity.per_replica() < 310.0, "{capacity:?}");
        capacity.learn(second(10), &[pod(700.0, 0.7)]);
        assert!(capacity.per_replica() > 600.0, "{capacity:?}");
    }

    #[test]
    fn what_only_fails_teaches_nothing() {
        let failing = PodRates { failed: 9000.0, ..pod(10_000.0, 0.5) };
        assert!((learnt(1000.0, &failing, 30).per_replica() - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn a_replica_that_does_a_third_less_than_usual_is_told_after_ten_minutes() {
        let mut capacity = learnt(1000.0, &pod(500.0, 0.5), 360);
        let slow = pod(300.0, 0.5);
        let mut told = None;
        for look in 360..480 {
            capacity.learn(second(10 * look), std::slice::from_ref(&slow));
            if told.is_none() && capacity.finding(second(10 * look)).is_some() {
                told = Some(10 * (look - 360));
            }
        }
        let told = told.expect("it is told");
        assert!((600..1000).contains(&told), "after {told} s");
    }

    #[test]
    fn less_to_do_is_nothing_degraded() {
        let mut capacity = learnt(1000.0, &pod(900.0, 0.9), 360);
        for look in 360..720 {
            capacity.learn(second(10 * look), &[pod(100.0, 0.1)]);
            assert_eq!(capacity.finding(second(10 * look)), None);
        }
    }
}
