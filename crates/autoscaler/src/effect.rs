//! Whether a step did what it should: its pause is measured, and one that brought nothing stops those that would follow.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{decision::Finding, partitions::smoothed};

/// The pause that is assumed before one was measured, in seconds: what a group with the protocol of KIP-848 takes.
pub(crate) const USUAL_PAUSE_SECONDS: f64 = 3.0;
/// The longest pause that is believed, in seconds.
const LONGEST_PAUSE_SECONDS: f64 = 60.0;
/// For how long after a step came to rest its effect is watched before it is judged, in seconds.
const WATCH_SECONDS: f64 = 20.0;
/// By which part the input must have grown since a step for another to be taken before that is judged.
const GROWN: f64 = 1.1;
/// Which part of what a step should bring it must bring at least.
const LEAST_GAIN: f64 = 0.1;
/// By which part more must be done than when a step was found useless for that to count no longer.
const BETTER: f64 = 1.3;
/// How long a useless step stops others at most, in seconds: the provider may have more room by then.
const STOPS_SECONDS: f64 = 1800.0;

/// What counts for the next step of what steps have shown, after one more has shown `now`.
pub(crate) fn learnt_of_steps(before: f64, now: f64) -> f64 {
    before + (now - before) / 3.0
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// From so many replicas.
    pub from: u32,
    /// To so many.
    pub to: u32,
    /// The group's epoch before it, where the broker tells.
    pub epoch: Option<i64>,
    /// What came before it, in records per second.
    pub input_before: f64,
    /// What was done before it, in records per second.
    pub done_before: f64,
    /// What was to be done at most after it, in records per second.
    pub expected: f64,
    /// Whether all that could be done was done before it, because much waited.
    pub was_behind: bool,
    /// What was done until the new pods were ready, and for how many seconds, if much waited then.
    pub done_meanwhile: (f64, f64),
    /// When all pods were ready and the group had come to rest.
    pub settled_at: Option<Timestamp>,
    /// What was done since, and for how many seconds.
    pub done_after: (f64, f64),
    /// Whether it was judged.
    pub judged: bool,
}

/// What is missing while a step is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// What was done before, in records per second.
    before: f64,
    /// Records that were not done meanwhile.
    missing: f64,
}

/// A step that brought nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Useless {
    /// When that was seen.
    pub at: Timestamp,
    /// From so many replicas.
    pub from: u32,
    /// To so many.
    pub to: u32,
    /// What was done after it, in records per second.
    pub done: f64,
    /// By how much that was more than before.
    pub gained: f64,
    /// By how much it should have been.
    pub expected: f64,
    /// What has been done since that was seen, in records per second, smoothed: what was done before may still be in other
    /// averages when less is done than before.
    pub done_since: f64,
}

impl Transition {
    pub(crate) fn begin(done: f64) -> Transition {
        Transition { before: done, missing: 0.0 }
    }

    /// So much was done for so many seconds, and so many records wait at their end. More than those cannot be missing: less
    /// is done also when less comes or a backlog is gone.
    pub(crate) fn follow(&mut self, done: f64, seconds: f64, waiting: f64) {
        self.missing += ((self.before - done).max(0.0) * seconds).min(waiting);
    }

    /// The pause, in seconds; none where nothing was done before.
    pub(crate) fn pause_seconds(&self) -> Option<f64> {
        (self.before > 0.0).then(|| (self.missing / self.before).min(LONGEST_PAUSE_SECONDS))
    }
}

impl Step {
    /// Takes what was done while its pods started. Where much waits then, that is what the replicas before it can do, and
    /// tells more than what they did when they may have had less to do.
    pub(crate) fn compare_with(&mut self, done: f64, seconds: f64) {
        self.done_meanwhile = (self.done_meanwhile.0 + done * seconds, self.done_meanwhile.1 + seconds);
        self.done_before = self.done_meanwhile.0 / self.done_meanwhile.1.max(f64::MIN_POSITIVE);
        self.was_behind = true;
    }

    /// Takes what was done in a look after it came to rest, and judges it when enough was seen. Only where much waits before
    /// and after does what is done tell what can be done.
    pub(crate) fn watch(&mut self, now: Timestamp, done: f64, seconds: f64, is_behind: bool) -> Option<Useless> {
        if self.judged || self.to <= self.from || self.settled_at.is_none_or(|settled| settled >= now) {
            return None;
        }
        if !self.was_behind || !is_behind {
            self.judged = true;
            return None;
        }
        self.done_after = (self.done_after.0 + done * seconds, self.done_after.1 + seconds);
        if self.done_after.1 < WATCH_SECONDS {
            return None;
        }
        self.judged = true;
        let done = self.done_after.0 / self.done_after.1;
        let (gained, expected) = (done - self.done_before, self.expected - self.done_before);
        let is_useless = expected > 0.0 && gained < LEAST_GAIN * expected;
        let (at, from, to) = (now, self.from, self.to);
        is_useless.then_some(Useless { at, from, to, done, gained, expected, done_since: done })
    }
}

impl Step {
    /// Whether another step up should wait until this one is judged.
    pub(crate) fn is_on_trial(&self, input: f64) -> bool {
        !self.judged && self.was_behind && self.to > self.from && input < GROWN * self.input_before
    }
}

impl Useless {
    /// Takes what was done in a look after the verdict.
    pub(crate) fn follow(&mut self, done: f64, seconds: f64) {
        self.done_since = smoothed(self.done_since, done, seconds);
    }

    /// Whether it still counts. Where next to nothing was done, a part more of that is nothing either: it takes as much as
    /// the step would have had to bring.
    pub(crate) fn holds(&self, now: Timestamp, is_behind: bool) -> bool {
        let enough = (BETTER * self.done).max(self.done + LEAST_GAIN * self.expected);
        is_behind && self.done_since <= enough && now.duration_since(self.at).as_secs_f64() < STOPS_SECONDS
    }

    pub(crate) fn finding(&self) -> Finding {
        let Useless { from, to, gained, expected, .. } = *self;
        Finding::StepWithoutEffect { from, to, gained, expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn step() -> Step {
        Step {
            at: second(0),
            from: 2,
            to: 4,
            epoch: None,
            input_before: 1000.0,
            done_before: 1000.0,
            expected: 2000.0,
            was_behind: true,
            done_meanwhile: (0.0, 0.0),
            settled_at: Some(second(30)),
            done_after: (0.0, 0.0),
            judged: false,
        }
    }

    /// What is made of a step when so much is done after it.
    fn judged(mut step: Step, done: f64, is_behind: bool) -> Option<Useless> {
        [40, 50, 60].into_iter().find_map(|at| step.watch(second(at), done, 10.0, is_behind))
    }

    #[test]
    fn a_step_that_brings_less_than_a_tenth_of_what_it_should_is_useless() {
        let useless = judged(step(), 1050.0, true).expect("useless");
        assert_eq!((useless.at, useless.from, useless.to), (second(50), 2, 4));
        assert!((useless.gained - 50.0).abs() < 1e-9 && (useless.expected - 1000.0).abs() < 1e-9);
        assert_eq!(judged(step(), 1200.0, true), None);
    }

    #[test]
    fn what_is_done_while_pods_start_tells_what_was_possible_before() {
        let mut step = Step { was_behind: false, done_before: 2000.0, ..step() };
        step.compare_with(900.0, 10.0);
        step.compare_with(1100.0, 10.0);
        assert!(step.was_behind && (step.done_before - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn another_step_waits_for_the_verdict_unless_more_comes_than_before() {
        assert!(step().is_on_trial(1000.0));
        assert!(!step().is_on_trial(1200.0));
        assert!(!Step { judged: true, ..step() }.is_on_trial(1000.0));
        assert!(!Step { was_behind: false, ..step() }.is_on_trial(1000.0));
    }

    #[test]
    fn where_nothing_waits_before_or_after_a_step_is_not_judged() {
        assert_eq!(judged(step(), 1000.0, false), None);
        assert_eq!(judged(Step { was_behind: false, ..step() }, 1000.0, true), None);
        assert_eq!(judged(Step { from: 6, ..step() }, 1000.0, true), None);
        assert_eq!(judged(Step { settled_at: None, ..step() }, 1000.0, true), None);
    }

    #[test]
    fn a_useless_step_counts_until_more_is_done_or_nothing_waits_or_half_an_hour_has_passed() {
        let useless = judged(step(), 1000.0, true).expect("useless");
        assert!(useless.holds(second(60), true));
        let mut more = useless.clone();
        (0..6).for_each(|_| more.follow(1400.0, 10.0));
        assert!(!more.holds(second(110), true));
        assert!(!useless.holds(second(60), false));
        assert!(!useless.holds(second(1900), true));
    }

    #[test]
    fn a_useless_step_counts_also_where_nothing_is_done_and_until_more_than_next_to_nothing_is() {
        let mut useless = judged(step(), 0.0, true).expect("useless");
        useless.follow(0.0, 10.0);
        assert!(useless.holds(second(60), true));
        (0..20).for_each(|_| useless.follow(50.0, 10.0));
        assert!(useless.holds(second(260), true));
        (0..20).for_each(|_| useless.follow(500.0, 10.0));
        assert!(!useless.holds(second(460), true));
    }

    #[test]
    fn the_pause_is_what_was_not_done_meanwhile() {
        let mut transition = Transition::begin(1000.0);
        for done in [1000.0, 600.0, 1200.0] {
            transition.follow(done, 10.0, 1e6);
        }
        assert_eq!(transition.pause_seconds(), Some(4.0));
        assert_eq!(Transition::begin(0.0).pause_seconds(), None);
    }

    #[test]
    fn where_nothing_waits_nothing_is_missing_however_little_is_done() {
        let mut transition = Transition::begin(1000.0);
        transition.follow(200.0, 10.0, 0.0);
        assert_eq!(transition.pause_seconds(), Some(0.0));
        transition.follow(200.0, 10.0, 3000.0);
        assert_eq!(transition.pause_seconds(), Some(3.0));
    }
}
