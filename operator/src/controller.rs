//! The reconciler: an `SmsPipeline` becomes topics and objects, and its status tells how far that has come.
//!
//! [`reconcile`] reads as its five steps. The middle ones are pure; a Kubernetes client is used only in
//! `dereference`, `apply`, `watches` and here.

pub mod apply;
pub mod backoff;
pub mod build;
mod deletion;
pub mod dereference;
pub mod events;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod kinds;
#[cfg(test)]
mod mutation;
pub mod names;
mod ownership;
pub mod reasons;
pub mod rotation;
pub mod secrets;
pub mod seen;
pub mod status;
pub mod tokens;
pub mod topics;
pub mod validate;
mod watches;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream};
use jiff::Timestamp;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::Patch,
    runtime::{
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
    },
};
use serde_json::json;
use telemetry::{Check, error_chain};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::{
    brokers::Brokers,
    crd::{SmsPipeline, SmsPipelineStatus},
    metrics::{Metrics, ReconcileResult},
    scaling::Scaling,
};

use apply::{Made, Served};
use backoff::{Backoff, Class};
use build::Desired;
use deletion::Duty;
use dereference::Referenced;
use events::Events;
use seen::Seen;
use status::{Findings, Unusable, Workloads};
use topics::{Problem, Unready};
use validate::DefaultImages;

/// How soon a pipeline that is as wanted is looked at again, up to a quarter sooner: what no watch tells of is found by
/// then.
const RESYNC: Duration = Duration::from_mins(1);
/// How many rounds run at once. Each holds an answer of the API server or of Kafka for at most seconds, and an operator that
/// begins has a round due for every pipeline.
const ROUNDS_AT_ONCE: u16 = 64;
/// How long reconciles may take to end after the shutdown was requested.
const DRAIN: Duration = Duration::from_secs(10);

/// What every reconcile needs.
pub struct Context {
    /// The cluster.
    pub client: Client,
    /// Which kinds the cluster has.
    pub served: Served,
    /// What the watches show of the objects that were made.
    pub seen: Seen,
    /// What was applied.
    pub made: Made,
    /// Kafka clusters in use.
    pub brokers: Brokers,
    /// Which Secrets the last rounds have read.
    pub secrets_seen: secrets::Seen,
    /// Which tokens are being rotated.
    pub rotations: rotation::Rotations,
    /// When pipelines that are not as wanted are looked at again.
    pub backoff: Backoff,
    /// What is told as events.
    pub events: Events,
    /// Images that run where a pipeline names none.
    pub images: DefaultImages,
    /// What the operator counts.
    pub metrics: Metrics,
    /// What this operator and those that take turns with it have in common and no other has: the uid of their Lease.
    pub installation: String,
    /// How many processors each pipeline needs.
    pub scaling: Arc<Scaling>,
}

impl Context {
    /// A pipeline is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let key = ObjectRef::new(name).within(namespace);
        self.secrets_seen.forget(&key);
        self.rotations.forget(&key);
        self.backoff.forget(&key);
        self.events.forget(&key);
        self.scaling.forget(namespace, name);
        self.made.forget(&key);
    }
}

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A Secret could not be read.
    #[error("failed to read Secret {name:?}")]
    ReadSecret {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A workload could not be looked at.
    #[error("failed to read Deployment {name:?}")]
    ReadWorkload {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object could not be applied.
    #[error("failed to apply {kind} {name:?}")]
    ApplyObject {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object of that name belongs to somebody else.
    #[error("{kind} {name:?} exists and does not belong to this pipeline: remove it or rename the pipeline")]
    NameConflict {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server did not tell which kinds it has.
    #[error("failed to ask which kinds {api_version} has")]
    Discover {
        /// The group and version asked for.
        api_version: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// What was made before could not be looked at.
    #[error("failed to list the objects of kind {kind} that were made before")]
    ListObjects {
        /// Their kind.
        kind: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// An object that is no longer wanted could not be deleted.
    #[error("failed to delete {kind} {name:?}, which is no longer wanted")]
    DeleteObject {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// A workload could not be stopped.
    #[error("failed to stop Deployment {name:?}")]
    StopWorkload {
        /// Its name.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The finalizer could not be added or taken away.
    #[error("failed to write the finalizers of SmsPipeline {name:?}")]
    WriteFinalizer {
        /// Name of the pipeline.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// The status could not be written.
    #[error("failed to write the status of SmsPipeline {name:?}")]
    WriteStatus {
        /// Name of the pipeline.
        name: String,
        /// What the API server said.
        source: kube::Error,
    },
}

impl Error {
    /// What kind of error it is, which says when to try again.
    fn class(&self) -> Class {
        match self {
            Self::NameConflict { .. } => Class::Refused,
            Self::ReadSecret { source, .. }
            | Self::ReadWorkload { source, .. }
            | Self::ApplyObject { source, .. }
            | Self::Discover { source, .. }
            | Self::ListObjects { source, .. }
            | Self::DeleteObject { source, .. }
            | Self::StopWorkload { source, .. }
            | Self::WriteFinalizer { source, .. }
            | Self::WriteStatus { source, .. } => Class::of(source),
        }
    }
}

/// One round for one pipeline, and when the next one is due.
pub async fn reconcile(pipeline: Arc<SmsPipeline>, context: Arc<Context>) -> Result<Action, Error> {
    match deletion::duty(&pipeline, Timestamp::now()) {
        Duty::None => {}
        Duty::Keep => deletion::keep(&context.client, &pipeline).await?,
        Duty::LetGo => deletion::let_go(&context.client, &pipeline).await?,
        Duty::KeepTopics => deletion::keep_topics(&context, &pipeline).await?,
        Duty::DeleteTopics { is_overdue } => return deletion::delete_topics(&context, &pipeline, is_overdue).await,
    }
    if pipeline.meta().deletion_timestamp.is_some() {
        // What we made goes with its owner.
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    // In a box: it is large, and the controller has one for each pipeline at work.
    let status = Box::pin(round(&pipeline, &context)).await;
    context.metrics.reconcile_took(started.elapsed());
    let status = status?;
    context.metrics.reconciled(ReconcileResult::done);
    let key = key(&pipeline);
    if status::is_ready(&status) {
        context.backoff.forget(&key);
        if context.rotations.is_under_way(&key) {
            return Ok(Action::requeue(rotation::AGAIN));
        }
        return Ok(Action::requeue(RESYNC.mul_f64(1.0 - 0.25 * fastrand::f64())));
    }
    Ok(Action::requeue(context.backoff.next(key, Class::Waiting)))
}

/// What the operator remembers things of a pipeline by.
fn key(pipeline: &SmsPipeline) -> ObjectRef<SmsPipeline> {
    ObjectRef::from_obj(pipeline)
}

/// The five steps. The status tells of a failed one too, so it is written in every case.
async fn round(pipeline: &SmsPipeline, context: &Context) -> Result<SmsPipelineStatus, Error> {
    if pipeline.status.is_none() {
        // Whoever waits for a condition finds it from the first moment on, however long the first round takes.
        write_status(context, pipeline, &Findings::default()).await?;
    }
    let scaling = Some(context.scaling.finding(pipeline));
    let mut findings = Findings { paused: pipeline.paused_by(), scaling, ..Findings::default() };
    let mut failed = None;
    let validated = match dereferenced(context, pipeline).await {
        Ok(referenced) => {
            findings.database_unreachable.clone_from(&referenced.database_unreachable);
            context.secrets_seen.record(key(pipeline), referenced.versions.clone());
            validate::validate(pipeline, &referenced, &context.images).map_err(Unusable::Invalid)
        }
        Err(error) => {
            let unread = Unusable::Unread(error_chain(&error));
            failed = Some(error);
            Err(unread)
        }
    };
    match validated {
        Err(unusable) => findings.usable = Some(Err(unusable)),
        Ok(validated) if findings.paused.is_some() => {
            findings.usable = Some(Ok(()));
            match apply::look(&context.client, &validated).await {
                Ok(workloads) => findings.workloads = workloads.map(Ok),
                Err(error) => failed = Some(error),
            }
        }
        Ok(validated) => {
            findings.usable = Some(Ok(()));
            let desired = build::build(&validated);
            let ensured = ownership::ensure_topics(context, &validated.kafka);
            let has_topics = pipeline.status.as_ref().is_some_and(|status| !status.topics.is_empty());
            let (topics, applied) = if has_topics {
                // Side by side: a broker that is away must not keep the objects waiting.
                let (topics, applied) = futures::join!(ensured, apply_objects(context, &desired));
                (topics, Some(applied))
            } else {
                // Replicas that come too early would read and write the topics of another pipeline.
                let topics = ensured.await;
                let is_settled = topics.as_ref().map_or_else(|unready| unready.settled.is_some(), |_| true);
                let applied = if is_settled { Some(apply_objects(context, &desired).await) } else { None };
                (topics, applied)
            };
            let is_anothers = matches!(&topics, Err(Unready { problem: Problem::OwnedByAnother { .. }, .. }));
            let applied =
                if is_anothers { apply::stop(&context.client, pipeline).await.err().map(Err) } else { applied };
            findings.topics = Some(topics);
            findings.workloads = applied.map(|applied| {
                applied.map_err(|error| {
                    let message = error_chain(&error);
                    failed = Some(error);
                    message
                })
            });
            if let Some(Ok(workloads)) = &findings.workloads
                && let Err(error) = rotation::advance(context, pipeline, &validated, &desired, workloads).await
            {
                failed = Some(error);
            }
        }
    }
    let status = write_status(context, pipeline, &findings).await?;
    failed.map_or(Ok(status), Err)
}

/// What the resource names, and how many processors are asked for where it does not say that itself.
async fn dereferenced(context: &Context, pipeline: &SmsPipeline) -> Result<Referenced, Error> {
    let mut referenced = dereference::dereference(&context.client, pipeline).await?;
    if pipeline.spec.processor.autoscaling.is_some() {
        let known = context.scaling.count(&pipeline.namespace().unwrap_or_default(), &pipeline.name_any());
        let live = match known {
            Some(_) => None,
            // An operator that begins anew goes on from what there is.
            None => dereference::processors(&context.client, pipeline).await?,
        };
        referenced.processors = context.scaling.asked_for(pipeline, live);
    }
    Ok(referenced)
}

async fn apply_objects(context: &Context, desired: &Desired) -> Result<Workloads, Error> {
    let served = context.served.kinds(&context.client).await?;
    apply::apply(&context.client, &served, (&context.seen, &context.made), desired).await
}

/// Runs until `shutdown`. `seen` is called with the store of all pipelines before the first reconcile; `scaled` tells of
/// pipelines about which the autoscaler has decided anew.
pub async fn run(
    pipelines: Api<SmsPipeline>,
    namespace: Option<&str>,
    context: Arc<Context>,
    kubernetes: Check,
    seen: impl FnOnce(Store<SmsPipeline>),
    scaled: UnboundedReceiver<ObjectRef<SmsPipeline>>,
    shutdown: CancellationToken,
) {
    let controller = watches::pipelines(pipelines);
    let store = controller.store();
    seen(store.clone());
    let reconciling = watches::own_all(controller, &context, namespace)
        .reconcile_on(told(scaled))
        .reconcile_on(secrets::changes(Arc::clone(&context)))
        .with_config(Config::default().concurrency(ROUNDS_AT_ONCE))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(reconcile, error_policy, Arc::clone(&context))
        .for_each(|result| async {
            if let Err(kube::runtime::controller::Error::QueueError(error)) = result {
                tracing::warn!(
                    error = error_chain(&error),
                    "watching failed; is the SmsPipeline CRD installed and may this ServiceAccount list it?"
                );
            }
        });
    // In the same task as the controller, which waits for the same: the store wakes only the last one to ask.
    let becoming_ready = async {
        if store.wait_until_ready().await.is_ok() {
            kubernetes.up();
        }
    };
    // A controller that has never reached the API server does not end by itself.
    let overdue = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
        tracing::warn!("reconciles did not end in time, ending anyway");
    };
    tokio::select! {
        _ = futures::future::join(reconciling, becoming_ready) => {}
        () = overdue => {}
    }
}

fn told<T: Send + 'static>(receiver: UnboundedReceiver<T>) -> impl Stream<Item = T> + Send {
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is that of kube's controller")]
fn error_policy(pipeline: Arc<SmsPipeline>, error: &Error, context: Arc<Context>) -> Action {
    let class = error.class();
    context.metrics.reconcile_failed(class.name());
    tracing::error!(
        pipeline = pipeline.name_any(),
        namespace = pipeline.namespace(),
        error = error_chain(error),
        "reconcile failed"
    );
    Action::requeue(context.backoff.next(key(&pipeline), class))
}

async fn write_status(
    context: &Context,
    pipeline: &SmsPipeline,
    findings: &Findings,
) -> Result<SmsPipelineStatus, Error> {
    let (name, namespace) = (pipeline.name_any(), pipeline.namespace().unwrap_or_default());
    if let Some(Ok(Workloads { api, processor, left_out: _ })) = &findings.workloads {
        context.metrics.replicas(&namespace, &name, api.existing, processor.existing);
    }
    let before = pipeline.status.as_ref();
    let status = status::summarize(&name, pipeline.meta().generation, before, findings, Timestamp::now());
    if before == Some(&status) {
        return Ok(status);
    }
    if before.is_none_or(|before| status::explanation(before) != status::explanation(&status)) {
        tracing::info!(pipeline = name, namespace, status = status::explanation(&status), "status changed");
    }
    let api = Api::<SmsPipeline>::namespaced(context.client.clone(), &namespace);
    let patch = json!({ "status": status });
    match api.patch_status(&name, &apply::merge(), &Patch::Merge(&patch)).await {
        Ok(_) => {
            context.events.publish(pipeline, events::changes(before, &status)).await;
            Ok(status)
        }
        Err(source) => Err(Error::WriteStatus { name, source }),
    }
}

/// The API of one namespace, or of all.
pub fn within<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
