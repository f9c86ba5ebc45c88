//! Watches the metadata of Secrets where pipelines are: of a whole namespace where the ServiceAccount may, and of each named
//! Secret where its rights end at names (docs/decisions/0014-secrets.md).
//!
//! Nothing is written, and what is told of a Secret that nobody names is dropped.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    panic,
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
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
    sync::{Semaphore, mpsc::UnboundedSender},
    task::{AbortHandle, JoinSet},
    time::interval,
};

use super::{Scope, Seen};
use crate::{controller::Context, crd::SmsPipeline};

/// How soon a watch that broke is tried again, at first and later.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(20);
/// How many watches begin at once: each begins with a list, and all break at once when the API server goes.
const AT_ONCE: usize = 16;
/// How often it is asked anew what may be watched.
const ASK: Duration = Duration::from_mins(10);

/// What every watch needs.
#[derive(Clone)]
struct Watching {
    client: Client,
    context: Arc<Context>,
    woken: UnboundedSender<ObjectRef<SmsPipeline>>,
    beginning: Arc<Semaphore>,
}

/// Wakes, for ever, each pipeline whose last round has read a Secret in another version than it has.
pub async fn follow(client: Client, context: Arc<Context>, woken: UnboundedSender<ObjectRef<SmsPipeline>>) {
    let watching = Watching { client, context, woken, beginning: Arc::new(Semaphore::new(AT_ONCE)) };
    let seen = &watching.context.secrets_seen;
    let mut watches = JoinSet::new();
    let mut scopes = HashMap::<Scope, AbortHandle>::new();
    let mut narrowed = BTreeSet::new();
    let mut asking = interval(ASK);
    loop {
        let mut wanted = seen.scopes(&narrowed);
        scopes.retain(|scope, watch| {
            let is_wanted = wanted.remove(scope);
            if !is_wanted {
                watch.abort();
            }
            is_wanted
        });
        for scope in wanted {
            let watch = watches.spawn(watching.clone().watch(scope.clone()));
            scopes.insert(scope, watch);
        }
        tokio::select! {
            () = seen.named.notified() => {}
            _ = asking.tick() => narrowed = still_narrowed(&watching.context.client, narrowed).await,
            Some(ended) = watches.join_next() => match ended {
                Ok(namespace) => drop(narrowed.insert(namespace)),
                Err(error) => if let Ok(panicked) = error.try_into_panic() {
                    panic::resume_unwind(panicked);
                },
            },
        }
    }
}

/// Those namespaces that may still not be watched as a whole.
async fn still_narrowed(client: &Client, narrowed: BTreeSet<String>) -> BTreeSet<String> {
    let mut still = BTreeSet::new();
    for namespace in narrowed {
        let scope = Scope { namespace, name: None };
        if !may_watch(client, &scope).await {
            still.insert(scope.namespace);
        }
    }
    still
}

impl Watching {
    /// Watches until it turns out that only Secrets of certain names may be watched; gives the namespace.
    async fn watch(self, scope: Scope) -> String {
        let config = match &scope.name {
            Some(name) => Config::default().fields(&format!("metadata.name={name}")),
            None => Config::default(),
        };
        let secrets = Api::<PartialObjectMeta<Secret>>::namespaced(self.client.clone(), &scope.namespace);
        let delays = ExponentialBuilder::default().with_min_delay(FIRST_AGAIN).with_max_delay(AGAIN);
        let delays = delays.without_max_times().with_jitter();
        let mut next = delays.build();
        loop {
            let mut beginning = self.beginning.acquire().await.ok();
            if !may_watch(&self.context.client, &scope).await {
                if scope.name.is_none() {
                    return scope.namespace;
                }
                // Rounds tell that it cannot be read, and find it by themselves once it can.
                drop(beginning);
                tokio::time::sleep(ASK).await;
                continue;
            }
            let mut told = Box::pin(watcher(secrets.clone(), config.clone()));
            let mut listed = BTreeMap::new();
            while let Some(event) = told.next().await {
                match event {
                    Ok(event) => {
                        if matches!(event, Event::InitDone) {
                            beginning = None;
                            next = delays.build();
                        }
                        for pipeline in take_in(&self.context.secrets_seen, &scope, &mut listed, event) {
                            // A controller that has ended needs no waking.
                            let _ = self.woken.send(pipeline);
                        }
                    }
                    Err(error) => {
                        let (Scope { namespace, name }, error) = (&scope, error_chain(&error));
                        tracing::warn!(namespace, name, error, "watching Secrets failed");
                        break;
                    }
                }
            }
            drop((told, beginning));
            tokio::time::sleep(next.next().unwrap_or(AGAIN)).await;
        }
    }
}

/// Whether what is in the scope may be watched. Asked, because a refused watch would stand in logs and audits as a fault.
async fn may_watch(client: &Client, Scope { namespace, name }: &Scope) -> bool {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    for verb in ["list", "watch"] {
        let asked = ResourceAttributes {
            namespace: Some(namespace.clone()),
            name: name.clone(),
            verb: Some(verb.to_owned()),
            resource: Some("secrets".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec =
            SelfSubjectAccessReviewSpec { resource_attributes: Some(asked), ..SelfSubjectAccessReviewSpec::default() };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let is_refused = match reviews.create(&PostParams::default(), &review).await {
            Ok(answered) => answered.status.is_some_and(|status| !status.allowed),
            // Who may not even ask is left to find out by trying, where it is about one Secret.
            Err(kube::Error::Api(status)) => name.is_none() && status.is_forbidden(),
            // The watch tells what is wrong.
            Err(_) => false,
        };
        if is_refused {
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
