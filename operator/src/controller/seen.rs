//! What the watches show of the objects that were made: as much as is needed to know that one is still as it was applied,
//! and how far a workload has come.
//!
//! An object is as it was applied as long as it has the same uid and generation, and our entry among its managed fields is
//! the same: whoever changes a field that we have applied takes it out of our entry, and nothing but our own apply puts it
//! back (server-side apply, KEP-555). What others write into fields of theirs, such as its status, shows in none of them.
//!
//! Nothing is deleted or taken over because of what stands here: it may be behind, and says only where there is no need to
//! ask the API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
    sync::{LazyLock, Mutex, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::{
    Resource,
    runtime::{reflector::ObjectRef, watcher::Event},
};
use serde::Serialize;

use super::{apply::FIELD_MANAGER, kinds::Kind, status::WorkloadState};
use crate::crd::SmsPipeline;

/// One object as a watch or a read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Which object it is.
    pub uid: String,
    /// A fingerprint of what we hold of it; `None` where that is nothing, or where it is about to go.
    pub hold: Option<u64>,
    /// How far it has come, for a Deployment.
    pub workload: Option<WorkloadState>,
    /// The pipelines that own it, by name and uid.
    owners: Vec<(String, String)>,
}

impl Sight {
    /// Of an object with this metadata.
    pub fn of(metadata: &ObjectMeta, workload: Option<WorkloadState>) -> Self {
        let ours = |entry: &&ManagedFieldsEntry| {
            let is_applied = entry.operation.as_deref() == Some("Apply") && entry.subresource.is_none();
            is_applied && entry.manager.as_deref() == Some(FIELD_MANAGER)
        };
        let entry = metadata.managed_fields.iter().flatten().find(ours);
        let entry = entry.filter(|_| metadata.deletion_timestamp.is_none());
        let owners = metadata.owner_references.iter().flatten();
        let owners = owners.filter(|owner| owner.kind == SmsPipeline::kind(&()));
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            hold: entry.map(|entry| fingerprint(&(entry, metadata.generation))),
            workload,
            owners: owners.map(|owner| (owner.name.clone(), owner.uid.clone())).collect(),
        }
    }
}

/// A number that two values share only if they encode alike. Differs from one process to the next.
pub fn fingerprint(value: &impl Serialize) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one(serde_json::to_vec(value).expect("Kubernetes objects encode"))
}

/// Everything that the watches show, by kind. As large as what is watched: a few hundred bytes for each object.
#[derive(Debug, Default)]
pub struct Seen(Mutex<BTreeMap<&'static Kind, OfKind>>);

/// By namespace and name.
type Objects = BTreeMap<(String, String), Sight>;

#[derive(Debug, Default)]
struct OfKind {
    objects: Objects,
    /// What a list has shown that has not come to its end.
    listed: Objects,
    /// Whether a list has come to its end, and the watch goes on from there.
    is_complete: bool,
}

impl Seen {
    /// Takes in what a watch tells, and gives the pipelines whose objects are not as they were.
    pub fn take_in<K: Resource>(
        &self,
        kind: &'static Kind,
        event: Event<K>,
        workload: impl Fn(&K) -> Option<WorkloadState>,
    ) -> BTreeSet<(String, String)> {
        let sight = |object: &K| Sight::of(object.meta(), workload(object));
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds.entry(kind).or_default();
        match event {
            Event::Init => {
                known.listed = Objects::new();
                BTreeSet::new()
            }
            Event::InitApply(object) => {
                known.listed.insert(place(object.meta()), sight(&object));
                BTreeSet::new()
            }
            Event::InitDone => {
                let before = std::mem::replace(&mut known.objects, std::mem::take(&mut known.listed));
                known.is_complete = true;
                let now = &known.objects;
                let came = now.iter().filter(|(place, sight)| before.get(*place) != Some(sight));
                let went = before.iter().filter(|(place, sight)| now.get(*place) != Some(sight));
                came.chain(went).flat_map(|(place, sight)| owners(place, sight)).collect()
            }
            Event::Apply(object) => {
                let (place, sight) = (place(object.meta()), sight(&object));
                let before = known.objects.insert(place.clone(), sight.clone());
                if before.as_ref() == Some(&sight) {
                    return BTreeSet::new();
                }
                before.iter().chain([&sight]).flat_map(|sight| owners(&place, sight)).collect()
            }
            Event::Delete(object) => {
                let place = place(object.meta());
                let before = known.objects.remove(&place);
                before.iter().chain([&sight(&object)]).flat_map(|sight| owners(&place, sight)).collect()
            }
        }
    }

    /// The watch of a kind has ended: what is known of it counts no longer as complete.
    pub fn lose(&self, kind: &'static Kind) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(kind) {
            known.is_complete = false;
        }
    }

    /// One object, if its watch goes on and shows it.
    pub fn get(&self, kind: &'static Kind, namespace: &str, name: &str) -> Option<Sight> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kinds.get(kind).filter(|known| known.is_complete)?;
        known.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Whether the owner with this uid may have objects of a kind in a namespace that are none of `wanted`.
    pub fn may_have_others(&self, kind: &'static Kind, namespace: &str, owner: &str, wanted: &BTreeSet<&str>) -> bool {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = kinds.get(kind).filter(|known| known.is_complete) else { return true };
        let in_namespace = known.objects.range((namespace.to_owned(), String::new())..);
        in_namespace
            .take_while(|((found, _), _)| found == namespace)
            .any(|((_, name), sight)| sight.owners.iter().any(|(_, uid)| uid == owner) && !wanted.contains(&**name))
    }
}

fn place(metadata: &ObjectMeta) -> (String, String) {
    (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone().unwrap_or_default())
}

/// By namespace and name: an owner is in the namespace of what it owns.
fn owners<'a>(place: &'a (String, String), sight: &'a Sight) -> impl Iterator<Item = (String, String)> + 'a {
    sight.owners.iter().map(|(name, _)| (place.0.clone(), name.clone()))
}

/// The pipeline of this namespace and name.
pub fn pipeline((namespace, name): (String, String)) -> ObjectRef<SmsPipeline> {
    ObjectRef::new(&name).within(&namespace)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{
        api::core::v1::Service,
        apimachinery::pkg::apis::meta::v1::{FieldsV1, OwnerReference, Time},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::controller::kinds::SERVICE;

    fn entry(manager: &str, operation: &str, subresource: Option<&str>, fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            operation: Some(operation.to_owned()),
            subresource: subresource.map(str::to_owned),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    /// A Service of `pipeline` of which we hold two fields.
    fn service(name: &str, pipeline: &str) -> Service {
        let owner = OwnerReference {
            kind: "SmsPipeline".to_owned(),
            name: pipeline.to_owned(),
            uid: format!("uid-of-{pipeline}"),
            ..OwnerReference::default()
        };
        let ours = entry(FIELD_MANAGER, "Apply", None, json!({ "f:spec": { "f:ports": {}, "f:selector": {} } }));
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("default".to_owned()),
            uid: Some(format!("uid-of-{name}")),
            owner_references: Some(vec![owner]),
            managed_fields: Some(vec![ours]),
            ..ObjectMeta::default()
        };
        Service { metadata, ..Service::default() }
    }

    #[track_caller]
    fn check(seen: &Seen, event: Event<Service>, expected: &[&str]) {
        let woken = seen.take_in(&SERVICE, event, |_| None);
        assert_eq!(woken.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>(), expected);
    }

    fn listed(services: &[Service]) -> Seen {
        let seen = Seen::default();
        list(&seen, services);
        seen.take_in(&SERVICE, Event::<Service>::InitDone, |_| None);
        seen
    }

    fn list(seen: &Seen, services: &[Service]) {
        check(seen, Event::Init, &[]);
        for service in services {
            check(seen, Event::InitApply(service.clone()), &[]);
        }
    }

    #[test]
    fn what_somebody_takes_of_our_fields_wakes_the_owner_and_a_status_does_not() {
        let (made, seen) = (service("a", "one"), listed(&[service("a", "one")]));
        let mut touched = made.clone();
        let status = entry("controller", "Update", Some("status"), json!({ "f:status": {} }));
        touched.metadata.managed_fields.as_mut().expect("entries").push(status);
        touched.metadata.resource_version = Some("7".to_owned());
        check(&seen, Event::Apply(touched.clone()), &[]);
        touched.metadata.managed_fields.as_mut().expect("entries")[0].fields_v1 =
            Some(FieldsV1(json!({ "f:spec": { "f:ports": {} } })));
        check(&seen, Event::Apply(touched), &["one"]);
        check(&seen, Event::Apply(made), &["one"]);
    }

    #[test]
    fn an_object_that_goes_or_is_another_one_wakes_its_owner() {
        let (mut ending, seen) = (service("a", "one"), listed(&[service("a", "one")]));
        ending.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
        check(&seen, Event::Apply(ending), &["one"]);
        assert_eq!(seen.get(&SERVICE, "default", "a").and_then(|sight| sight.hold), None);
        check(&seen, Event::Delete(service("a", "one")), &["one"]);
        assert_eq!(seen.get(&SERVICE, "default", "a"), None);
        check(&seen, Event::Apply(service("a", "two")), &["two"]);
        check(&seen, Event::Apply(service("a", "one")), &["one", "two"]);
    }

    #[test]
    fn after_a_break_only_those_are_woken_whose_objects_changed_meanwhile() {
        let seen = listed(&[service("a", "one"), service("b", "two"), service("c", "three")]);
        let mut changed = service("b", "two");
        changed.metadata.managed_fields = None;
        list(&seen, &[service("a", "one"), changed, service("d", "four")]);
        assert!(seen.get(&SERVICE, "default", "c").is_some(), "known until the list has come to its end");
        check(&seen, Event::InitDone, &["four", "three", "two"]);
        list(&seen, &[service("a", "one")]);
        check(&seen, Event::InitDone, &["four", "two"]);
    }

    #[test]
    fn nothing_is_known_to_be_absent_unless_the_watch_goes_on() {
        let others = |seen: &Seen, wanted: &str| {
            seen.may_have_others(&SERVICE, "default", "uid-of-one", &BTreeSet::from([wanted]))
        };
        let seen = listed(&[service("a", "one"), service("b", "two")]);
        assert!(!others(&seen, "a") && others(&seen, "b"));
        seen.lose(&SERVICE);
        assert!(others(&seen, "a") && seen.get(&SERVICE, "default", "a").is_none());
        assert!(others(&Seen::default(), "a"));
    }
}
