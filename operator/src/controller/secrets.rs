//! Notices that a Secret which a pipeline names has changed, so that the pipeline is reconciled before its resync is due.
//!
//! What each round has read is remembered here; `watch` tells which Secrets are in which version now.

mod watch;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use crate::crd::SmsPipeline;

pub use watch::follow;

/// The resourceVersions of Secrets by their names; `None` for one that does not exist.
pub type Versions = BTreeMap<String, Option<String>>;

/// What the last round of each pipeline has read.
#[derive(Debug, Default)]
pub struct Seen {
    pipelines: Mutex<HashMap<ObjectRef<SmsPipeline>, BTreeMap<String, Read>>>,
    /// Told when other Secrets are named than before.
    named: Notify,
}

/// What a round has read of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Read {
    /// It is reading it: what is told meanwhile may come too late for it.
    UnderWay,
    /// It was in this version, or did not exist.
    Version(Option<String>),
}

/// What one watch shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Scope {
    namespace: String,
    /// The Secret; `None` for all of the namespace.
    name: Option<String>,
}

impl Seen {
    /// A round of `pipeline` is about to read these, and no others.
    pub fn reading(&self, pipeline: ObjectRef<SmsPipeline>, names: impl IntoIterator<Item = String>) {
        let reads: BTreeMap<_, _> = names.into_iter().map(|name| (name, Read::UnderWay)).collect();
        let mut pipelines = self.locked();
        let is_as_before = pipelines.get(&pipeline).is_some_and(|before| before.keys().eq(reads.keys()));
        pipelines.insert(pipeline, reads);
        if !is_as_before {
            self.named.notify_one();
        }
    }

    /// It has read them.
    pub fn read(&self, pipeline: ObjectRef<SmsPipeline>, versions: Versions) {
        let reads = versions.into_iter().map(|(name, version)| (name, Read::Version(version)));
        self.locked().insert(pipeline, reads.collect());
    }

    /// A pipeline is gone.
    pub fn forget(&self, pipeline: &ObjectRef<SmsPipeline>) {
        self.locked().remove(pipeline);
        self.named.notify_one();
    }

    /// What has to be watched: every namespace, or the Secrets by their names in those that are `narrowed` to that.
    fn scopes(&self, narrowed: &BTreeSet<String>) -> BTreeSet<Scope> {
        let mut scopes = BTreeSet::new();
        for (pipeline, reads) in self.locked().iter() {
            let namespace = pipeline.namespace.clone().unwrap_or_default();
            if narrowed.contains(&namespace) {
                scopes
                    .extend(reads.keys().map(|name| Scope { namespace: namespace.clone(), name: Some(name.clone()) }));
            } else {
                scopes.insert(Scope { namespace, name: None });
            }
        }
        scopes
    }

    /// The pipelines that have read a Secret in another version than it has `now`.
    fn changed(&self, namespace: &str, name: &str, now: Option<String>) -> Vec<ObjectRef<SmsPipeline>> {
        let now = Read::Version(now);
        self.readers(namespace, |reads| reads.get(name).is_some_and(|read| *read != now))
    }

    /// The pipelines that have read one of the Secrets in a scope in another version than it has `now`.
    fn listed(&self, scope: &Scope, now: &BTreeMap<String, String>) -> Vec<ObjectRef<SmsPipeline>> {
        let is_shown = |name: &str| scope.name.as_deref().is_none_or(|only| only == name);
        let is_as_read = |name: &str, read: &Read| *read == Read::Version(now.get(name).cloned());
        self.readers(&scope.namespace, |reads| {
            reads.iter().any(|(name, read)| is_shown(name) && !is_as_read(name, read))
        })
    }

    fn readers(
        &self,
        namespace: &str,
        is_one: impl Fn(&BTreeMap<String, Read>) -> bool,
    ) -> Vec<ObjectRef<SmsPipeline>> {
        let pipelines = self.locked();
        let in_namespace = pipelines.iter().filter(|(pipeline, _)| pipeline.namespace.as_deref() == Some(namespace));
        in_namespace.filter(|(_, reads)| is_one(reads)).map(|(pipeline, _)| pipeline.clone()).collect()
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<ObjectRef<SmsPipeline>, BTreeMap<String, Read>>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(namespace: &str, name: &str) -> ObjectRef<SmsPipeline> {
        ObjectRef::new(name).within(namespace)
    }

    fn versions(secrets: &[(&str, &str)]) -> Versions {
        secrets.iter().map(|(name, version)| ((*name).to_owned(), Some((*version).to_owned()))).collect()
    }

    fn scope(namespace: &str, name: Option<&str>) -> Scope {
        Scope { namespace: namespace.to_owned(), name: name.map(str::to_owned) }
    }

    /// Three pipelines in two namespaces, where two name the same Secret.
    fn seen() -> Seen {
        let seen = Seen::default();
        seen.read(pipeline("a", "first"), versions(&[("db", "1"), ("ca", "2")]));
        seen.read(pipeline("a", "second"), versions(&[("ca", "2")]));
        seen.read(pipeline("b", "first"), versions(&[("ca", "9")]));
        seen
    }

    #[track_caller]
    fn check(mut woken: Vec<ObjectRef<SmsPipeline>>, expected: &[&str]) {
        woken.sort_by(|one, other| one.name.cmp(&other.name));
        let names: Vec<_> = woken.iter().map(|pipeline| pipeline.name.as_str()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn another_version_wakes_all_who_have_read_the_secret_and_nobody_else() {
        let seen = seen();
        check(seen.changed("a", "ca", Some("3".to_owned())), &["first", "second"]);
        check(seen.changed("a", "db", Some("3".to_owned())), &["first"]);
        check(seen.changed("a", "ca", None), &["first", "second"]);
        check(seen.changed("a", "ca", Some("2".to_owned())), &[]);
        check(seen.changed("a", "another", Some("3".to_owned())), &[]);
    }

    #[test]
    fn a_secret_that_comes_wakes_whoever_has_missed_it() {
        let seen = Seen::default();
        seen.read(pipeline("a", "first"), Versions::from([("db".to_owned(), None)]));
        check(seen.changed("a", "db", None), &[]);
        check(seen.changed("a", "db", Some("1".to_owned())), &["first"]);
    }

    #[test]
    fn what_is_told_while_a_round_reads_wakes_its_pipeline_again() {
        let seen = seen();
        seen.reading(pipeline("a", "second"), ["ca".to_owned()]);
        check(seen.changed("a", "ca", Some("2".to_owned())), &["second"]);
        check(seen.changed("a", "ca", None), &["first", "second"]);
    }

    #[test]
    fn a_list_wakes_those_whose_secrets_have_changed_come_or_gone_where_it_shows_them() {
        let seen = seen();
        let now = |secrets: &[(&str, &str)]| -> BTreeMap<_, _> {
            secrets.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
        };
        check(seen.listed(&scope("a", None), &now(&[("db", "1"), ("ca", "2"), ("another", "7")])), &[]);
        check(seen.listed(&scope("a", None), &now(&[("db", "5"), ("ca", "2")])), &["first"]);
        check(seen.listed(&scope("a", None), &now(&[("db", "1")])), &["first", "second"]);
        check(seen.listed(&scope("a", Some("ca")), &now(&[("ca", "2")])), &[]);
        check(seen.listed(&scope("a", Some("db")), &now(&[])), &["first"]);
    }

    #[test]
    fn a_namespace_is_one_watch_and_one_whose_rights_are_narrowed_is_one_for_each_named_secret() {
        let seen = seen();
        let all = [scope("a", None), scope("b", None)];
        assert_eq!(seen.scopes(&BTreeSet::new()), all.into());
        let narrowed = [scope("a", Some("ca")), scope("a", Some("db")), scope("b", None)];
        assert_eq!(seen.scopes(&["a".to_owned()].into()), narrowed.into());
        seen.forget(&pipeline("a", "first"));
        seen.forget(&pipeline("b", "first"));
        assert_eq!(seen.scopes(&["a".to_owned()].into()), [scope("a", Some("ca"))].into());
    }

    #[tokio::test]
    async fn only_other_names_are_told_to_the_watches() {
        let seen = Seen::default();
        let is_told = async || tokio::time::timeout(std::time::Duration::ZERO, seen.named.notified()).await.is_ok();
        seen.reading(pipeline("a", "first"), ["db".to_owned()]);
        assert!(is_told().await);
        seen.read(pipeline("a", "first"), versions(&[("db", "1")]));
        seen.reading(pipeline("a", "first"), ["db".to_owned()]);
        assert!(!is_told().await);
        seen.reading(pipeline("a", "first"), ["ca".to_owned()]);
        assert!(is_told().await);
        seen.forget(&pipeline("a", "first"));
        assert!(is_told().await);
    }
}
