//! What wakes a reconcile, beside its Secrets: an edit of the resource, and any change of what was made from it that is not only
//! somebody else's status.
//!
//! A status that we write wakes nobody, so that a pipeline that fails with other words each time is looked at again when its
//! back-off says so. A watch that breaks wakes nobody either: once it goes on, those are woken whose objects changed
//! meanwhile.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use futures::{Stream, StreamExt, future, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DynamicObject, PartialObjectMeta},
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt, predicates,
        reflector::{self, ObjectRef},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use telemetry::error_chain;

use super::{
    Context, apply,
    build::MANAGED_SELECTOR,
    kinds::{self, Kind, Origin},
    seen,
    status::WorkloadState,
    within,
};
use crate::crd::SmsPipeline;

/// How soon the watch of the pipelines is tried again at first.
const FIRST_AGAIN: Duration = Duration::from_millis(200);
/// How soon a watch that broke is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How often it is asked whether a kind has come.
const ASK: Duration = Duration::from_secs(10);

/// A controller that wakes for edits of the resources.
pub fn pipelines(api: Api<SmsPipeline>) -> Controller<SmsPipeline> {
    let (store, writer) = reflector::store();
    // Who holds which field takes more memory than all the rest, and nobody asks for it here.
    let told = watcher(api, watcher::Config::default())
        .modify(|pipeline| pipeline.managed_fields_mut().clear())
        .reflect(writer)
        .applied_objects();
    // While this watch waits after an error, the controller takes in nothing else either, so it never waits long: the 30 s
    // of kube's own policy would keep every pipeline waiting after the API server was away for a moment.
    let again = ExponentialBuilder::default().with_min_delay(FIRST_AGAIN).with_max_delay(AGAIN).without_max_times();
    Controller::for_stream(told.predicate_filter(edit, PredicateConfig::default()), store)
        .trigger_backoff(watcher::ExponentialBackoff::from(again.with_jitter()))
}

/// What an edit changes, and a status does not.
fn edit(pipeline: &SmsPipeline) -> Option<u64> {
    let is_deleted = |pipeline: &SmsPipeline| Some(u64::from(pipeline.meta().deletion_timestamp.is_some()));
    predicates::generation
        .combine(predicates::labels)
        .combine(predicates::annotations)
        .combine(predicates::finalizers)
        .combine(is_deleted)
        .hash_property(pipeline)
}

/// `controller`, woken by changes of everything made from a pipeline.
pub fn own_all(
    mut controller: Controller<SmsPipeline>,
    client: &Client,
    context: &Arc<Context>,
    namespace: Option<&str>,
) -> Controller<SmsPipeline> {
    for kind in kinds::ALL.into_iter().filter(|kind| **kind != kinds::SECRET) {
        let context = Arc::clone(context);
        controller = if *kind == kinds::DEPLOYMENT {
            let state = |deployment: &Deployment| Some(apply::state(deployment));
            controller.reconcile_on(follow(context, kind, within(client, namespace), state))
        } else {
            let resource = kind.resource();
            let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            controller.reconcile_on(follow(context, kind, api, |_| None))
        };
    }
    controller
}

/// Watches a kind, from when the cluster has it on, and tells whose objects are not as they were. A watch that broke begins
/// anew with a list, which shows what it missed.
fn follow<K>(
    context: Arc<Context>,
    kind: &'static Kind,
    api: Api<K>,
    workload: fn(&K) -> Option<WorkloadState>,
) -> impl Stream<Item = ObjectRef<SmsPipeline>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let ours = watcher::Config::default().labels(MANAGED_SELECTOR);
    let asked = Arc::clone(&context);
    let served = stream::repeat(()).then(move |()| until_served(Arc::clone(&asked), kind));
    let woken = served.flat_map(move |()| {
        let context = Arc::clone(&context);
        let told = watcher(api.clone(), ours.clone()).map(move |told| match told {
            Ok(event) => Some(context.seen.take_in(kind, event, workload)),
            Err(error) => {
                let error = error_chain(&error);
                tracing::warn!(kind = kind.kind, error, "watching failed; may this ServiceAccount list and watch it?");
                context.seen.lose(kind);
                None
            }
        });
        let rest = stream::once(tokio::time::sleep(AGAIN)).map(|()| BTreeSet::new());
        told.take_while(|woken| future::ready(woken.is_some())).map(Option::unwrap_or_default).chain(rest)
    });
    woken.flat_map(stream::iter).map(seen::pipeline)
}

async fn until_served(context: Arc<Context>, kind: &'static Kind) {
    if kind.origin == Origin::Kubernetes {
        return;
    }
    while !context.served.kinds(&context.client).await.is_ok_and(|kinds| kinds.contains(kind)) {
        tokio::time::sleep(ASK).await;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::ResourceExt;

    use super::*;
    use crate::{controller::fixtures::pipeline, crd::SmsPipelineStatus};

    #[track_caller]
    fn check(wakes: bool, change: impl FnOnce(&mut SmsPipeline)) {
        let mut changed = pipeline();
        change(&mut changed);
        assert_eq!(edit(&changed) != edit(&pipeline()), wakes);
    }

    #[test]
    fn a_status_wakes_nobody() {
        check(false, |pipeline| {
            pipeline.status = Some(SmsPipelineStatus { replicas: 7, ..SmsPipelineStatus::default() });
            pipeline.metadata.resource_version = Some("7".to_owned());
            pipeline.metadata.managed_fields = Some(Vec::new());
        });
    }

    #[test]
    fn an_edit_and_a_deletion_wake() {
        check(true, |pipeline| pipeline.metadata.generation = Some(7));
        check(true, |pipeline| drop(pipeline.labels_mut().insert("a".to_owned(), "b".to_owned())));
        check(true, |pipeline| drop(pipeline.annotations_mut().insert("a".to_owned(), "b".to_owned())));
        check(true, |pipeline| pipeline.finalizers_mut().push("a".to_owned()));
        check(true, |pipeline| pipeline.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH)));
    }
}
