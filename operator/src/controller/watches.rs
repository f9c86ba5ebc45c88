//! What wakes a reconcile beside an edit of the resource: any change of what was made from it.

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt, future, stream};
use kube::{
    Api,
    api::{DynamicObject, PartialObjectMeta},
    runtime::{Controller, WatchStreamExt, watcher},
};

use super::{
    Context,
    build::MANAGED_SELECTOR,
    kinds::{self, Kind, Origin},
};
use crate::crd::SmsPipeline;

/// How soon a watch that broke is tried again, and how often it is asked whether a kind has come.
const AGAIN: Duration = Duration::from_secs(10);
/// How long changes of extension kinds are gathered, because each of them wakes every pipeline.
const GATHER: Duration = Duration::from_secs(1);

/// `controller`, woken by changes of everything made from a pipeline. Kinds that may be absent are watched from when they
/// come on.
pub fn own_all(
    mut controller: Controller<SmsPipeline>,
    context: &Arc<Context>,
    namespace: Option<&str>,
) -> Controller<SmsPipeline> {
    let ours = watcher::Config::default().labels(MANAGED_SELECTOR);
    let watched = kinds::ALL.into_iter().filter(|kind| **kind != kinds::SECRET);
    let mut extensions = Vec::new();
    for kind in watched {
        let resource = kind.resource();
        let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
            Some(namespace) => Api::namespaced_with(context.client.clone(), namespace, &resource),
            None => Api::all_with(context.client.clone(), &resource),
        };
        match kind.origin {
            Origin::Kubernetes => controller = controller.owns_with(api, resource, ours.clone()),
            Origin::Extension => extensions.push(changes(Arc::clone(context), kind, api, ours.clone()).boxed()),
        }
    }
    let gathered = stream::select_all(extensions).ready_chunks(1000);
    controller.reconcile_all_on(gathered.then(|_| tokio::time::sleep(GATHER)))
}

/// Tells of every change of a kind that may be absent.
fn changes(
    context: Arc<Context>,
    kind: &'static Kind,
    api: Api<PartialObjectMeta<DynamicObject>>,
    config: watcher::Config,
) -> impl Stream<Item = ()> + Send {
    let served = stream::repeat(()).then(move |()| until_served(Arc::clone(&context), kind));
    served.flat_map(move |()| {
        let watch = watcher(api.clone(), config.clone()).touched_objects();
        // What happened while nobody watched is unknown, so a watch that broke counts as a change.
        watch
            .take_while(|change| future::ready(change.is_ok()))
            .map(drop)
            .chain(stream::once(tokio::time::sleep(AGAIN)))
    })
}

async fn until_served(context: Arc<Context>, kind: &'static Kind) {
    loop {
        if context.served.kinds(&context.client).await.is_ok_and(|kinds| kinds.contains(kind)) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
