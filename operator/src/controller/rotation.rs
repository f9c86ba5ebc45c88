//! Takes a new token of internal calls from stage to stage as the rollouts go; `tokens` says which stages there are.
//!
//! A pod that ends still calls, or is called, until its time to end is over, and no count of replicas tells of it. That
//! time is waited for by this process's clock: an operator that starts anew waits for the whole of it again.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use super::{
    Context, Error,
    apply::{self, Written},
    build::{self, Desired},
    events::Change,
    key,
    kinds::{self, Object},
    reasons::{TOKEN_ROTATED, TOKEN_ROTATING},
    status::{WorkloadState, Workloads},
    tokens::{self, Replaces, Rollout, Stage},
    validate::ValidatedPipeline,
};
use crate::crd::SmsPipeline;

/// How soon a pipeline is looked at again while its token is rotated.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// How long a node may take to begin and to end what a pod's own time to end bounds.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a pod has to end whose template does not say it: the default of Kubernetes, in seconds.
const DEFAULT_GRACE: i64 = 30;

/// The rotations under way.
#[derive(Debug, Default)]
pub struct Rotations(Mutex<HashMap<ObjectRef<SmsPipeline>, Standing>>);

/// Where a rotation stands.
#[derive(Debug)]
struct Standing {
    stage: Stage,
    /// Since when no replica of the stage before is left.
    replaced: Option<Instant>,
}

impl Rotations {
    /// Whether a pipeline's token is being rotated.
    pub fn is_under_way(&self, pipeline: &ObjectRef<SmsPipeline>) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(pipeline)
    }

    /// A rotation is over, or the pipeline is gone.
    pub fn forget(&self, pipeline: &ObjectRef<SmsPipeline>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pipeline);
    }

    fn begin(&self, pipeline: ObjectRef<SmsPipeline>, stage: Stage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pipeline, Standing::at(stage));
    }

    /// Whether the pods of the stage before are gone: those of `workload`, which have `grace` to end.
    fn rollout(
        &self,
        pipeline: ObjectRef<SmsPipeline>,
        stage: Stage,
        workload: &WorkloadState,
        grace: Duration,
        now: Instant,
    ) -> Rollout {
        let is_replaced = workload.ready == workload.existing && workload.ready >= workload.desired;
        let mut rotations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = rotations.entry(pipeline).or_insert(Standing::at(stage));
        if standing.stage != stage {
            *standing = Standing::at(stage);
        }
        standing.replaced = is_replaced.then(|| standing.replaced.unwrap_or(now));
        match standing.replaced {
            Some(since) if now.duration_since(since) >= grace => Rollout::Over,
            Some(_) | None => Rollout::UnderWay,
        }
    }
}

impl Standing {
    fn at(stage: Stage) -> Self {
        Self { stage, replaced: None }
    }
}

/// Takes the next step of a rotation where one is due. `workloads` are as they were found when `desired` was applied, so
/// what is ready of them is at the stage that `validated` tells.
pub(super) async fn advance(
    context: &Context,
    pipeline: &SmsPipeline,
    validated: &ValidatedPipeline,
    desired: &Desired,
    workloads: &Workloads,
    written: &mut Vec<Written>,
) -> Result<(), Error> {
    let tokens = &validated.internal_tokens;
    let rollout = match tokens.stage() {
        None => {
            context.rotations.forget(&key(pipeline));
            Rollout::Over
        }
        Some(stage) => {
            let (workload, deployment) = match stage.replaces() {
                Replaces::Api => (&workloads.api, &desired.api),
                Replaces::Processors => (&workloads.processor, &desired.processor),
            };
            context.rotations.rollout(key(pipeline), stage, workload, grace(deployment), Instant::now())
        }
    };
    let asked = tokens::asked(pipeline);
    let Some(next) = tokens.next(asked, rollout) else { return Ok(()) };
    let stage = next.stage();
    let secret = build::internal_secret(&ValidatedPipeline { internal_tokens: next, ..validated.clone() });
    apply::apply_object(&context.client, &context.made, &Object::new(&kinds::SECRET, &secret), written).await?;
    tracing::info!(pipeline = pipeline.name_any(), namespace = pipeline.namespace(), ?stage, "rotating the token");
    match stage {
        Some(stage) => context.rotations.begin(key(pipeline), stage),
        None => context.rotations.forget(&key(pipeline)),
    }
    let told = match stage {
        Some(Stage::Accepted) => Some((TOKEN_ROTATING, "the API learns another token of internal calls")),
        Some(Stage::Presented | Stage::Alone) => None,
        None => Some((TOKEN_ROTATED, "internal calls carry the new token, and the old one is refused")),
    };
    let told =
        told.map(|(reason, note)| Change { about: "RotateInternalToken".to_owned(), reason, note: note.to_owned() });
    context.events.publish(pipeline, told.into_iter().collect()).await;
    Ok(())
}

/// How long a pod of the Deployment may live after it was asked to end.
fn grace(deployment: &Deployment) -> Duration {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let seconds = pod.and_then(|pod| pod.termination_grace_period_seconds).unwrap_or(DEFAULT_GRACE);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default()) + MARGIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(30);

    fn pipeline() -> ObjectRef<SmsPipeline> {
        ObjectRef::new("a").within("default")
    }

    fn workload(desired: i32, existing: i32, ready: i32) -> WorkloadState {
        WorkloadState { desired, existing, ready, detail: None }
    }

    /// Asks at each of these times, in seconds, with these replicas.
    #[track_caller]
    fn check(times: &[(u64, Stage, WorkloadState, Rollout)]) {
        let (rotations, start) = (Rotations::default(), Instant::now());
        for (second, stage, workload, expected) in times {
            let now = start + Duration::from_secs(*second);
            assert_eq!(rotations.rollout(pipeline(), *stage, workload, GRACE, now), *expected, "second {second}");
        }
    }

    #[test]
    fn a_rollout_is_over_when_the_pods_that_ended_have_had_their_time() {
        check(&[
            (0, Stage::Accepted, workload(2, 3, 1), Rollout::UnderWay),
            (10, Stage::Accepted, workload(2, 2, 2), Rollout::UnderWay),
            (39, Stage::Accepted, workload(2, 2, 2), Rollout::UnderWay),
            (40, Stage::Accepted, workload(2, 2, 2), Rollout::Over),
        ]);
    }

    #[test]
    fn an_old_pod_that_comes_back_has_its_time_again() {
        check(&[
            (0, Stage::Presented, workload(2, 2, 2), Rollout::UnderWay),
            (20, Stage::Presented, workload(2, 3, 2), Rollout::UnderWay),
            (31, Stage::Presented, workload(2, 2, 2), Rollout::UnderWay),
            (61, Stage::Presented, workload(2, 2, 2), Rollout::Over),
        ]);
    }

    #[test]
    fn each_stage_has_a_time_of_its_own() {
        check(&[
            (0, Stage::Accepted, workload(1, 1, 1), Rollout::UnderWay),
            (30, Stage::Accepted, workload(1, 1, 1), Rollout::Over),
            (31, Stage::Presented, workload(1, 1, 1), Rollout::UnderWay),
            (61, Stage::Presented, workload(1, 1, 1), Rollout::Over),
        ]);
    }

    #[test]
    fn replicas_that_are_missing_hold_a_rollout_up() {
        check(&[
            (0, Stage::Alone, workload(3, 2, 2), Rollout::UnderWay),
            (90, Stage::Alone, workload(3, 2, 2), Rollout::UnderWay),
        ]);
    }
}
