//! Decides how many processors of each pipeline run, where the pipeline leaves that to the operator.
//!
//! The rule is that of the crate `autoscaler`, which knows no clock and no I/O. Here is what feeds it and what it remembers:
//! [`look`] reads how far the topics are, which replicas there are and what they tell of themselves, and [`Scaling`] keeps
//! the decisions. Nothing here writes a count: reconcile asks for it and is its only writer.

mod fleet;
mod group;
mod loads;
mod look;
mod metrics;
mod report;
mod routes;
mod settings;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use autoscaler::{Decisions, Group, Lane, Memory, Processor, Recorded, Settings, Signal, Signals, decide};
use contract::Load;
use jiff::Timestamp;
use kube::ResourceExt;

use crate::{controller::status, crd::SmsPipeline};

pub use fleet::{CRASH_LOOP, Fleet, Found, KubernetesFleet, Replica, ReplicaState};
pub use look::{Look, Scaler};
pub use metrics::Metrics;
pub use report::{Last, Report, Told};
pub use routes::{decisions, decisions_path};
pub use settings::{HOLD_UNTIL, Hold, settings};

use group::Assignments;
use loads::Loads;

/// What is remembered of every pipeline whose processors are scaled, by namespace and name.
#[derive(Debug, Default)]
pub struct Scaling {
    pipelines: Mutex<BTreeMap<(String, String), Scaled>>,
    metrics: Metrics,
}

/// What is remembered of one pipeline.
#[derive(Debug)]
struct Scaled {
    /// Of which one: another of the same name has nothing to do with it.
    uid: String,
    /// How many processors are asked for.
    count: u32,
    memory: Memory,
    decisions: Decisions,
    /// What kept the count at the last decision.
    hold: Option<Hold>,
    loads: Loads,
    assignments: Assignments,
}

impl Scaling {
    /// Nothing is remembered yet; what is decided is also told by `metrics`.
    pub fn new(metrics: Metrics) -> Self {
        Self { pipelines: Mutex::default(), metrics }
    }

    /// Whether nothing is known yet of a pipeline whose processors are to be scaled.
    pub fn is_new(&self, pipeline: &SmsPipeline) -> bool {
        pipeline.spec.processor.autoscaling.is_some() && self.count(pipeline).is_none()
    }

    /// How many processors of `pipeline` are asked for; `None` where it says that itself, and then what was known of it is
    /// forgotten. One that is new is taken up with as many as there are; where none can be seen, with as many as the status
    /// tells of, since they may only have been deleted, or not be seen; or else with the fewest.
    pub fn asked_for(&self, pipeline: &SmsPipeline, live: Option<i32>) -> Option<i32> {
        let key = key(pipeline);
        let Some(autoscaling) = &pipeline.spec.processor.autoscaling else {
            self.forget(&key.0, &key.1);
            return None;
        };
        let uid = pipeline.uid().unwrap_or_default();
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if pipelines.get(&key).is_some_and(|scaled| scaled.uid != uid) {
            pipelines.remove(&key);
            self.metrics.forget(&key.0, &key.1);
        }
        let told = pipeline.status.as_ref().map(|status| status.desired_replicas).filter(|told| *told > 0);
        let scaled = pipelines.entry(key).or_insert_with(|| Scaled {
            uid,
            count: u32::try_from(live.or(told).unwrap_or(autoscaling.min_replicas)).unwrap_or_default(),
            memory: Memory::default(),
            decisions: Decisions::default(),
            hold: None,
            loads: Loads::default(),
            assignments: Assignments::default(),
        });
        i32::try_from(scaled.count).ok()
    }

    /// Who says how many processors of a pipeline run, and the last decision about them.
    pub fn finding(&self, pipeline: &SmsPipeline) -> status::Scaling {
        if pipeline.spec.processor.autoscaling.is_none() {
            return status::Scaling::ByUser;
        }
        status::Scaling::ByLag(self.last(pipeline).map(Box::new))
    }

    /// How many processors are asked for; `None` for a pipeline that is not known.
    fn count(&self, pipeline: &SmsPipeline) -> Option<u32> {
        self.with(pipeline, |scaled| scaled.count)
    }

    /// The last decision.
    fn last(&self, pipeline: &SmsPipeline) -> Option<Last> {
        let last =
            |scaled: &mut Scaled| Some(Last { decision: scaled.decisions.last()?.clone(), hold: scaled.hold.clone() });
        self.with(pipeline, last).flatten()
    }

    /// The last decisions with what they were made from, the oldest first; at most so many.
    pub fn recorded(&self, namespace: &str, pipeline: &str, most: usize) -> Option<Vec<Recorded>> {
        let pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let scaled = pipelines.get(&(namespace.to_owned(), pipeline.to_owned()))?;
        let mut recorded: Vec<_> =
            scaled.decisions.iter().filter_map(|(_, recorded)| recorded).rev().take(most).cloned().collect();
        recorded.reverse();
        Some(recorded)
    }

    /// A pipeline is gone, or its processors are scaled no longer.
    pub fn forget(&self, namespace: &str, pipeline: &str) {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if pipelines.remove(&(namespace.to_owned(), pipeline.to_owned())).is_some() {
            self.metrics.forget(namespace, pipeline);
        }
    }

    /// What processors tell, with the time by our clock; `None` for a pipeline that is not known.
    fn see(
        &self,
        pipeline: &SmsPipeline,
        now: Timestamp,
        told: Vec<(String, Result<Load, String>)>,
    ) -> Option<Vec<Processor>> {
        let seen = self.with(pipeline, |scaled| scaled.loads.see(now, told))?;
        Some(seen.into_iter().map(|(pod, load)| Processor { pod, load }).collect())
    }

    fn group(
        &self,
        pipeline: &SmsPipeline,
        now: Timestamp,
        stale_after: Duration,
        processors: &[Processor],
        lanes: &[Lane],
    ) -> Option<Signal<Group>> {
        self.with(pipeline, |scaled| scaled.assignments.group(now, stale_after, processors, lanes))
    }

    /// What follows from `signals`; nobody is told before [`Scaling::commit`].
    fn decide(
        &self,
        pipeline: &SmsPipeline,
        settings: Settings,
        signals: Signals,
        hold: Option<Hold>,
    ) -> Option<Decided> {
        let (decision, memory) = self.with(pipeline, |scaled| decide(&settings, &signals, &scaled.memory))?;
        Some(Decided { settings, signals, last: Last { decision, hold }, memory })
    }

    /// Remembers a decision; from now on its count is asked for.
    fn commit(&self, pipeline: &SmsPipeline, decided: Decided) {
        let Decided { settings, signals, last: Last { decision, hold }, memory } = decided;
        let budget = {
            let pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
            Decisions::BUDGET / pipelines.len().max(1)
        };
        let told = decision.clone();
        let remember = |scaled: &mut Scaled| {
            scaled.count = decision.to_apply().unwrap_or(scaled.count);
            scaled.hold = hold;
            let memory = std::mem::replace(&mut scaled.memory, memory);
            scaled.decisions.push(Recorded { settings, signals, memory, decision }, budget);
        };
        if self.with(pipeline, remember).is_some() {
            let (namespace, name) = key(pipeline);
            self.metrics.decided(&namespace, &name, &told);
        }
    }

    /// Works on what is remembered of this very pipeline.
    fn with<T>(&self, pipeline: &SmsPipeline, work: impl FnOnce(&mut Scaled) -> T) -> Option<T> {
        let mut pipelines = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = pipeline.uid().unwrap_or_default();
        pipelines.get_mut(&key(pipeline)).filter(|scaled| scaled.uid == uid).map(work)
    }
}

/// A decision and what led to it, before anybody is told.
#[derive(Debug)]
struct Decided {
    settings: Settings,
    signals: Signals,
    last: Last,
    /// What the rule remembers once it is committed.
    memory: Memory,
}

/// Namespace and name.
fn key(pipeline: &SmsPipeline) -> (String, String) {
    (pipeline.namespace().unwrap_or_default(), pipeline.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{controller::fixtures::pipeline, crd::SmsPipelineStatus};

    fn scaled(mut pipeline: SmsPipeline) -> SmsPipeline {
        let autoscaling = r#"{"minReplicas":1,"maxReplicas":6}"#;
        pipeline.spec.processor.autoscaling = Some(serde_json::from_str(autoscaling).expect("autoscaling"));
        pipeline
    }

    #[test]
    fn a_pipeline_is_taken_up_with_as_many_processors_as_there_are() {
        let scaling = Scaling::default();
        let pipeline = scaled(pipeline());
        assert!(scaling.is_new(&pipeline));
        assert_eq!(scaling.asked_for(&pipeline, Some(4)), Some(4));
        assert!(!scaling.is_new(&pipeline));
        assert_eq!(scaling.asked_for(&pipeline, None), Some(4));
        assert_eq!(Scaling::default().asked_for(&pipeline, None), Some(1), "the fewest where there are none");
    }

    #[test]
    fn a_count_that_the_user_set_meanwhile_is_taken_up() {
        let scaling = Scaling::default();
        let by_user = pipeline();
        let by_lag = scaled(pipeline());
        scaling.asked_for(&by_lag, Some(4));
        assert_eq!(scaling.asked_for(&by_user, None), None);
        assert!(scaling.is_new(&by_lag));
        assert_eq!(scaling.asked_for(&by_lag, Some(8)), Some(8));
    }

    #[test]
    fn where_no_processor_can_be_seen_there_are_as_many_as_the_status_tells_of() {
        let scaling = Scaling::default();
        let mut pipeline = scaled(pipeline());
        pipeline.status = Some(SmsPipelineStatus { desired_replicas: 3, ..SmsPipelineStatus::default() });
        assert_eq!(scaling.asked_for(&pipeline, None), Some(3));
        let other = Scaling::default();
        pipeline.status = Some(SmsPipelineStatus::default());
        assert_eq!(other.asked_for(&pipeline, None), Some(1), "nothing was made yet");
    }

    #[test]
    fn a_pipeline_that_was_deleted_and_made_anew_inherits_nothing() {
        let scaling = Scaling::default();
        let (old, mut new) = (scaled(pipeline()), scaled(pipeline()));
        new.metadata.uid = Some("another".to_owned());
        scaling.asked_for(&old, Some(4));
        assert!(scaling.is_new(&new));
        assert_eq!(scaling.asked_for(&new, None), Some(1));
        assert!(scaling.is_new(&old), "what is still under way for the old one finds nothing");
    }
}
