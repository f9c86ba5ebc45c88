//! What the rule answers: a count, and everything that led to it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How many replicas there should be, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When it was made.
    pub at: Timestamp,
    /// How many replicas are asked for now.
    pub current: u32,
    /// How many should be asked for.
    pub desired: u32,
    /// What the formula says, whether or not now is the time for it; none where it cannot say anything.
    pub recommended: Option<u32>,
    /// Why `desired` is what it is.
    pub reason: Reason,
    /// What held the recommendation where it is.
    pub bound: Option<Bound>,
    /// Whether it is carried out.
    pub acting: Acting,
    /// Every term of the formula.
    pub terms: Option<Terms>,
    /// What is wrong, or cannot be helped by more replicas.
    pub findings: Vec<Finding>,
    /// How old each signal was.
    pub signals: Vec<SignalAge>,
    /// All of that in words and numbers.
    pub text: String,
}

impl Decision {
    /// The count to set now; none when nothing is to be changed.
    pub fn to_apply(&self) -> Option<u32> {
        (self.acting == Acting::Acts && self.desired != self.current).then_some(self.desired)
    }
}

/// Why the count is what it is. The names do not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// There are as many replicas as needed.
    Steady,
    /// More are needed.
    ScaleUp,
    /// Fewer have been enough for long enough.
    ScaleDown,
    /// None run, and records have come.
    Wake,
    /// There has been nothing to do for long enough.
    ScaleToZero,
    /// There are fewer than the user wants at least.
    BelowMinimum,
    /// There are more than the user wants at most.
    AboveMaximum,
    /// Fewer would be enough, but not for long enough yet.
    WaitingToScaleDown,
    /// Fewer would be enough once the backlog is gone.
    Behind,
    /// More are needed for records not to wait, but they wait for far less than they may.
    WaitingToScaleUp,
    /// More are needed, but whether the last step helps is to be seen first.
    JudgingStep,
    /// Rates are known from the second look on.
    Learning,
    /// A signal is unknown or stale.
    SignalUnknown,
    /// The last step is not complete: pods start, or wait for a place to run, or end.
    PodsChanging,
    /// Pods end again and again.
    CrashLooping,
    /// The group gives out its partitions anew, or its members are not the pods that are ready.
    Rebalancing,
    /// Waiting has taken too long: the declared count, or what there is if that is more.
    Fallback,
}

/// What held the recommendation where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bound {
    /// What is needed.
    Need,
    /// The fewest that the user wants.
    Minimum,
    /// The most that the user wants.
    Maximum,
    /// A member without a partition does nothing.
    Partitions,
    /// One partition needs more than its replica can do for it, however many others there are.
    HotPartition,
    /// The provider takes no more.
    ProviderLimit,
    /// The provider fails most of what it gets.
    ProviderFailing,
    /// The last step did not help.
    Ineffective,
}

/// Whether a decision is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Acting {
    /// It is.
    Acts,
    /// It is only told, because the user wants it so.
    DryRun,
    /// It is only told, because somebody wants the count left as it is until then.
    HeldUntil(Timestamp),
}

/// Every term of the formula. Rates are records per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Records that come.
    pub input: f64,
    /// Records that are finished.
    pub done: f64,
    /// Records that are not finished; those done out of order or waiting for their time are not counted.
    pub unfinished: u64,
    /// Those of them that are in work.
    pub in_flight: u64,
    /// Those that wait: the backlog.
    pub waiting: f64,
    /// Within how many seconds the backlog is to be gone.
    pub drain_within_seconds: f64,
    /// For how many seconds a step stops the group, as measured.
    pub pause_seconds: f64,
    /// Which part of their capacity replicas should use for what comes.
    pub utilization: f64,
    /// What the backlog needs: waiting ÷ drain within.
    pub need_of_backlog: f64,
    /// What the pause of a step needs: input · pause ÷ drain within.
    pub need_of_pause: f64,
    /// What the input needs, of the partitions that more replicas can help.
    pub need_of_input: f64,
    /// The first two ÷ 0.9, because replicas may do a little less than they did before, and the third ÷ utilization.
    pub need: f64,
    /// For how long the oldest record will have waited by the time that a step would help.
    pub expected_wait_seconds: f64,
    /// For how long it may wait before replicas are added.
    pub allowed_wait_seconds: f64,
    /// What the provider takes at most, as declared or as measured.
    pub provider_limit: Option<f64>,
    /// What one replica does with all its slots taken.
    pub capacity: f64,
    /// Which part of their slots, or of their CPU time where that is more, the replicas use, from 0 to 1; none while none is
    /// known.
    pub busy: Option<f64>,
    /// Partitions of the topic that has most of them.
    pub partitions: u32,
    /// The fewest and most replicas that come into question.
    pub range: (u32, u32),
    /// What the fullest replica has to do at the recommended count.
    pub fullest_share: f64,
}

/// What is wrong, or cannot be helped by more replicas.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Finding {
    /// A partition needs more than one replica can do, so other replicas do not help it.
    HotPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What it needs, in records per second.
        needs: f64,
        /// What one replica does for it at most.
        gets: f64,
        /// How many records of it wait.
        waiting: f64,
    },
    /// A partition has records that wait though its replica has slots free: its records go one after the other, because
    /// they are for one recipient, or it does not move at all.
    PartitionStuck {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What is done of it each second.
        done: f64,
        /// How many records of it wait.
        waiting: f64,
    },
    /// The provider takes no more, so more replicas do not help.
    ProviderLimit {
        /// Records per second.
        per_second: f64,
        /// Whether that was measured, or declared.
        measured: bool,
    },
    /// The provider fails most of what it gets, so more replicas only make more failures.
    ProviderFailing {
        /// Which part of all that ended has failed.
        share: f64,
    },
    /// The last step up brought less than a tenth of what it should have.
    StepWithoutEffect {
        /// From so many replicas.
        from: u32,
        /// To so many.
        to: u32,
        /// By how many records per second more is done.
        gained: f64,
        /// By how many it should have been.
        expected: f64,
    },
    /// Replicas have done far less than they used to for a while: something outside of the autoscaler is wrong.
    ThroughputDegraded {
        /// What one replica used to do each second with all its slots taken.
        usual: f64,
        /// What it does now.
        now: f64,
        /// Since when.
        since: Timestamp,
    },
}

/// How old a signal was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalAge {
    /// Its name.
    pub name: String,
    /// Its age in seconds; none when it is unknown.
    pub age_seconds: Option<f64>,
}
