//! The reconciler: an `SmsPipeline` becomes topics and objects, and its status tells how far that has come.
//!
//! `round` reads as its five steps. The middle ones are pure; a Kubernetes client is used only in
//! `dereference`, `apply`, `deletion`, `events`, `secrets`, `watches`, `round` and here.

pub mod apply;
pub mod backoff;
pub mod build;
mod deletion;
pub mod dereference;
mod error;
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
mod round;
pub mod secrets;
pub mod seen;
pub mod status;
pub mod tokens;
pub mod topics;
pub mod turns;
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
    runtime::{
        controller::Action,
        reflector::{ObjectRef, Store},
    },
};
use telemetry::{Check, error_chain};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::{
    brokers::Brokers,
    crd::SmsPipeline,
    metrics::{Metrics, ReconcileResult},
    scaling::Scaling,
};

use apply::{Made, Served};
use backoff::{Backoff, Class};
use deletion::Duty;
pub use error::Error;
use events::Events;
use seen::Seen;
use turns::Turns;
use validate::DefaultImages;

/// How soon a pipeline that is as wanted is looked at again, up to a quarter sooner: what no watch tells of is found by
/// then.
const RESYNC: Duration = Duration::from_mins(1);
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
    /// How many rounds are at work at once.
    pub turns: Turns,
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

/// One round for one pipeline, and when the next one is due.
pub async fn reconcile(pipeline: Arc<SmsPipeline>, context: Arc<Context>) -> Result<Action, Error> {
    let mut turn = context.turns.take().await;
    match deletion::duty(&pipeline, Timestamp::now()) {
        Duty::None => {}
        Duty::Keep => deletion::keep(&context.client, &pipeline).await?,
        Duty::LetGo => deletion::let_go(&context.client, &pipeline).await?,
        Duty::KeepTopics => deletion::keep_topics(&context, &pipeline).await?,
        Duty::DeleteTopics { is_overdue } => {
            return deletion::delete_topics(&context, &pipeline, is_overdue, &mut turn).await;
        }
    }
    if pipeline.meta().deletion_timestamp.is_some() {
        // What we made goes with its owner.
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    // In a box: it is large, and the controller has one for each pipeline at work.
    let status = Box::pin(round::round(&pipeline, &context, &mut turn)).await;
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

/// Runs until `shutdown`. `seen` is called with the store of all pipelines before the first reconcile; `scaled` tells of
/// pipelines about which the autoscaler has decided anew.
///
/// `watching` is what watches go through: an answer that ends only when the API server ends it, unlike those that rounds wait
/// for.
pub async fn run(
    watching: &Client,
    namespace: Option<&str>,
    context: Arc<Context>,
    kubernetes: Check,
    seen: impl FnOnce(Store<SmsPipeline>),
    scaled: UnboundedReceiver<ObjectRef<SmsPipeline>>,
    shutdown: CancellationToken,
) {
    let controller = watches::pipelines(within(watching, namespace));
    let store = controller.store();
    seen(store.clone());
    let (woken, changed) = unbounded_channel();
    let reconciling = watches::own_all(controller, watching, &context, namespace)
        .reconcile_on(told(scaled))
        .reconcile_on(told(changed))
        .graceful_shutdown_on(shutdown.clone().cancelled_owned())
        .run(reconcile, error_policy, Arc::clone(&context))
        .for_each(|result| async {
            match result {
                Err(kube::runtime::controller::Error::QueueError(error)) => tracing::warn!(
                    error = error_chain(&error),
                    "watching failed; is the SmsPipeline CRD installed and may this ServiceAccount list it?"
                ),
                // A round that was under way when its pipeline went has left something to look after.
                Err(kube::runtime::controller::Error::ObjectNotFound(gone)) => {
                    context.forget(gone.namespace.as_deref().unwrap_or_default(), &gone.name);
                }
                Ok(_) | Err(_) => {}
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
        () = secrets::follow(watching.clone(), Arc::clone(&context), woken) => {}
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
