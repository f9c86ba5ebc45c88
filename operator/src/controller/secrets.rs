//! Notices that a Secret which a pipeline names has changed, so that the pipeline is reconciled before its resync is due.
//!
//! Asks for the metadata of each such Secret, by its name: no right is needed beyond the one to read it
//! (docs/decisions/0014-secrets.md). Nothing is written, and no value is read here.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, api::GetParams, runtime::reflector::ObjectRef};
use telemetry::error_chain;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::Context;
use crate::crd::SmsPipeline;

/// How often each Secret is looked at, in seconds, when there are few and when there are many.
const INTERVAL_OF_FEW: u64 = 5;
const INTERVAL_OF_MANY: u64 = 20;
/// From how many looks in a second on they are many.
const LOOKS_OF_FEW: usize = 50;
/// How many Secrets are asked for at once.
const AT_ONCE: usize = 16;
/// How long the API server may take to answer for one.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A Secret, by its namespace and name.
type Name = (String, String);

/// A pipeline whose last round has read a Secret, and in which version.
type Reader = (ObjectRef<SmsPipeline>, Option<String>);

/// The resourceVersions of Secrets by their names; `None` for one that does not exist.
pub type Versions = BTreeMap<String, Option<String>>;

/// What the last round of each pipeline has read.
#[derive(Debug, Default)]
pub struct Seen(Mutex<HashMap<ObjectRef<SmsPipeline>, Versions>>);

impl Seen {
    /// A round of `pipeline` has read these.
    pub fn record(&self, pipeline: ObjectRef<SmsPipeline>, versions: Versions) {
        self.locked().insert(pipeline, versions);
    }

    /// A pipeline is gone.
    pub fn forget(&self, pipeline: &ObjectRef<SmsPipeline>) {
        self.locked().remove(pipeline);
    }

    /// The Secrets whose turn it is, each with those who have read it and in which version.
    fn due(&self, second: u64) -> BTreeMap<Name, Vec<Reader>> {
        let seen = self.locked();
        let interval = interval_of(seen.values().map(Versions::len).sum());
        let mut due = BTreeMap::<_, Vec<_>>::new();
        for (pipeline, versions) in seen.iter() {
            for (name, version) in versions {
                let secret = (pipeline.namespace.clone().unwrap_or_default(), name.clone());
                if turn(&secret, interval) == second % interval {
                    due.entry(secret).or_default().push((pipeline.clone(), version.clone()));
                }
            }
        }
        due
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<ObjectRef<SmsPipeline>, Versions>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often each of so many Secrets is looked at, in seconds.
fn interval_of(secrets: usize) -> u64 {
    u64::try_from(secrets.div_ceil(LOOKS_OF_FEW)).unwrap_or(u64::MAX).clamp(INTERVAL_OF_FEW, INTERVAL_OF_MANY)
}

/// In which second of each interval a Secret is looked at.
fn turn(secret: &Name, interval: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    hasher.finish() % interval
}

/// Tells, for ever, of each pipeline whose last round has read a Secret in another version than it has.
pub fn changes(context: Arc<Context>) -> impl Stream<Item = ObjectRef<SmsPipeline>> + Send {
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looks = stream::unfold((seconds, 0, context), async |(mut seconds, second, context)| {
        Interval::tick(&mut seconds).await;
        let due = context.secrets_seen.due(second);
        let looked = stream::iter(due).map(|(secret, readers)| changed(&context.client, secret, readers));
        let changed = looked.buffer_unordered(AT_ONCE).concat().await;
        Some((stream::iter(changed), (seconds, second + 1, context)))
    });
    looks.flatten()
}

/// Those of `readers` who have read another version. One that cannot be looked at is left to their rounds, which tell why.
async fn changed(client: &Client, (namespace, name): Name, readers: Vec<Reader>) -> Vec<ObjectRef<SmsPipeline>> {
    let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
    // From the API server's memory, where what a round has read from the store is a moment later at most.
    let found = timeout(TIMEOUT, secrets.get_metadata_opt_with(&name, &GetParams::any())).await;
    let now = match found {
        Ok(Ok(metadata)) => metadata.and_then(|secret| secret.metadata.resource_version),
        Ok(Err(error)) => {
            tracing::debug!(name, namespace, error = error_chain(&error), "a Secret could not be looked at");
            return Vec::new();
        }
        Err(_) => return Vec::new(),
    };
    readers.into_iter().filter(|(_, read)| *read != now).map(|(pipeline, _)| pipeline).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(namespace: &str, name: &str) -> ObjectRef<SmsPipeline> {
        ObjectRef::new(name).within(namespace)
    }

    fn versions(secrets: &[&str]) -> Versions {
        secrets.iter().map(|name| ((*name).to_owned(), Some("1".to_owned()))).collect()
    }

    fn due_in_an_interval(seen: &Seen) -> Vec<(Name, usize)> {
        let due = (0..INTERVAL_OF_FEW).flat_map(|second| seen.due(second));
        let mut due: Vec<_> = due.map(|(secret, readers)| (secret, readers.len())).collect();
        due.sort();
        due
    }

    #[test]
    fn each_secret_is_asked_for_once_in_an_interval_however_many_pipelines_name_it() {
        let seen = Seen::default();
        seen.record(pipeline("a", "first"), versions(&["db", "ca"]));
        seen.record(pipeline("a", "second"), versions(&["ca"]));
        seen.record(pipeline("b", "first"), versions(&["ca"]));
        let secret = |namespace: &str, name: &str| (namespace.to_owned(), name.to_owned());
        let expected = vec![(secret("a", "ca"), 2), (secret("a", "db"), 1), (secret("b", "ca"), 1)];
        assert_eq!(due_in_an_interval(&seen), expected);
    }

    #[test]
    fn what_a_pipeline_names_no_longer_is_not_asked_for_and_neither_is_what_one_that_is_gone_named() {
        let seen = Seen::default();
        seen.record(pipeline("a", "first"), versions(&["old"]));
        seen.record(pipeline("a", "first"), versions(&["new"]));
        assert_eq!(due_in_an_interval(&seen), [(("a".to_owned(), "new".to_owned()), 1)]);
        seen.forget(&pipeline("a", "first"));
        assert_eq!(due_in_an_interval(&seen), []);
    }

    #[test]
    fn few_are_looked_at_every_five_seconds_and_many_less_often_but_often_enough() {
        assert_eq!([0, 1, 250, 251, 800, 1000, 1_000_000].map(interval_of), [5, 5, 5, 6, 16, 20, 20]);
    }

    #[test]
    fn the_secrets_of_a_thousand_pipelines_are_asked_for_evenly() {
        let seen = Seen::default();
        for number in 0..1000 {
            seen.record(pipeline("a", &number.to_string()), versions(&[&format!("db-{number}")]));
        }
        for second in 0..INTERVAL_OF_MANY {
            let count = seen.due(second).len();
            assert!((20..=80).contains(&count), "{count} of 1000 in second {second}");
        }
    }
}
