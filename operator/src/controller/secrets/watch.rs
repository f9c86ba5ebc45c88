//! Watches the metadata of Secrets where pipelines are: of a whole namespace where the ServiceAccount may, and of each named
//! Secret where its rights end at names (docs/decisions/0014-secrets.md).
//!
//! Nothing is written, no value is read, and what is told of a Secret that nobody names is dropped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Secret,
};
use kube::{
    Api, Client, ResourceExt,
    api::{PartialObjectMeta, PostParams},
    runtime::{
        reflector::ObjectRef,
        watcher::{Config, Event, watcher},
    },
};
use telemetry::error_chain;
use tokio::{
    sync::mpsc::UnboundedSender,
    task::{AbortHandle, JoinSet},
};

use super::{Scope, Seen};
use crate::{controller::Context, crd::SmsPipeline};

/// How soon a watch that broke is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Wakes, for ever, each pipeline whose last round has read a Secret in another version than it has.
pub async fn follow(client: Client, context: Arc<Context>, woken: UnboundedSender<ObjectRef<SmsPipeline>>) {
    let mut watches = JoinSet::new();
    let mut scopes = HashMap::<Scope, AbortHandle>::new();
    let mut narrowed = BTreeSet::new();
    loop {
        let mut wanted = context.secrets_seen.scopes(&narrowed);
        scopes.retain(|scope, watch| {
            let is_wanted = wanted.remove(scope);
            if !is_wanted {
                watch.abort();
            }
            is_wanted
        });
        for scope in wanted {
            let watch = watch(client.clone(), Arc::clone(&context), scope.clone(), woken.clone());
            scopes.insert(scope, watches.spawn(watch));
        }
        tokio::select! {
            () = context.secrets_seen.named.notified() => {}
            Some(ended) = watches.join_next() => match ended {
                Ok(namespace) => drop(narrowed.insert(namespace)),
                Err(error) => if let Ok(panicked) = error.try_into_panic() {
                    panic::resume_unwind(panicked);
                },
            },
        }
    }
}

/// Watches until it turns out that only Secrets of certain names may be watched; gives the namespace.
async fn watch(
    client: Client,
    context: Arc<Context>,
    scope: Scope,
    woken: UnboundedSender<ObjectRef<SmsPipeline>>,
) -> String {
    let config = match &scope.name {
        Some(name) => Config::default().fields(&format!("metadata.name={name}")),
        None => Config::default(),
    };
    let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(client.clone(), &scope.namespace);
    while scope.name.is_some() || may_watch_all(&client, &scope.namespace).await {
        let mut told = Box::pin(watcher(secrets.clone(), config.clone()));
        let mut listed = BTreeMap::new();
        while let Some(event) = told.next().await {
            match event {
                Ok(event) => {
                    for pipeline in take_in(&context.secrets_seen, &scope, &mut listed, event) {
                        // A controller that has ended needs no waking.
                        let _ = woken.send(pipeline);
                    }
                }
                Err(error) => {
                    let (Scope { namespace, name }, error) = (&scope, error_chain(&error));
                    tracing::warn!(
                        namespace,
                        name,
                        error,
                        "watching Secrets failed; may this ServiceAccount list and watch them?"
                    );
                    break;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
    scope.namespace
}

/// Whether all Secrets of a namespace may be watched. Asked, because a refused watch would stand in logs and audits as a fault.
async fn may_watch_all(client: &Client, namespace: &str) -> bool {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    for verb in ["list", "watch"] {
        let asked = ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            verb: Some(verb.to_owned()),
            resource: Some("secrets".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec =
            SelfSubjectAccessReviewSpec { resource_attributes: Some(asked), ..SelfSubjectAccessReviewSpec::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answered = reviews.create(&PostParams::default(), &review).await;
        // Where there is no answer, the watch tells what is wrong.
        if answered.is_ok_and(|answered| answered.status.is_some_and(|status| !status.allowed)) {
            return false;
        }
    }
    true
}

/// Takes in what a watch tells, and gives the pipelines that it is news for. `listed` is what a list has shown so far.
fn take_in(
    seen: &Seen,
    scope: &Scope,
    listed: &mut BTreeMap<String, String>,
    event: Event<PartialObjectMeta<Secret>>,
) -> Vec<ObjectRef<SmsPipeline>> {
    match event {
        Event::Init => listed.clear(),
        Event::InitApply(secret) => {
            listed.insert(secret.name_any(), secret.resource_version().unwrap_or_default());
        }
        Event::InitDone => return seen.listed(scope, &std::mem::take(listed)),
        Event::Apply(secret) => return seen.changed(&scope.namespace, &secret.name_any(), secret.resource_version()),
        Event::Delete(secret) => return seen.changed(&scope.namespace, &secret.name_any(), None),
    }
    Vec::new()
}
