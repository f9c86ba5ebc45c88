//! What was applied, and how it looked then, so that what has not changed since is left alone.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{ResourceExt, runtime::reflector::ObjectRef};

use crate::{
    controller::{
        kinds::{Kind, Object, ScaledBy},
        seen::{Sight, fingerprint},
    },
    crd::SmsPipeline,
};

/// The last apply of each object, by pipeline. In memory only: whoever begins anew applies everything once.
#[derive(Debug, Default)]
pub struct Made(Mutex<HashMap<ObjectRef<SmsPipeline>, BTreeMap<Place, Applied>>>);

/// Kind and name; the namespace is that of the pipeline.
type Place = (&'static Kind, String);

#[derive(Debug, PartialEq, Eq)]
struct Applied {
    /// Fingerprint of what was wanted.
    wanted: u64,
    /// Which object got it.
    uid: String,
    /// What we held of it then.
    hold: u64,
}

impl Made {
    /// Whether what `sight` shows is what the last apply has left, and no more is wanted.
    pub fn is_as_applied(&self, object: &Object, sight: &Sight) -> bool {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = owner(object).and_then(|owner| made.get(&owner)?.get(&place(object)));
        applied.is_some_and(|applied| {
            sight.uid == applied.uid && sight.hold == Some(applied.hold) && wanted(object) == applied.wanted
        })
    }

    /// An apply begins, whose end may never be known.
    pub fn begin(&self, object: &Object) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_pipeline) = owner(object).and_then(|owner| made.get_mut(&owner)) {
            of_pipeline.remove(&place(object));
        }
    }

    /// An apply has ended well, and left an object with this metadata.
    pub fn end(&self, object: &Object, metadata: &ObjectMeta) {
        let Sight { uid, hold: Some(hold), .. } = Sight::of(metadata, None) else { return };
        let Some(owner) = owner(object) else { return };
        let applied = Applied { wanted: wanted(object), uid, hold };
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        made.entry(owner).or_default().insert(place(object), applied);
    }

    /// Objects that are not among `objects` are no longer wanted.
    pub fn keep_only(&self, objects: &[Object]) {
        let Some(owner) = objects.first().and_then(owner) else { return };
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_pipeline) = made.get_mut(&owner) {
            of_pipeline.retain(|known, _| objects.iter().any(|object| place(object) == *known));
        }
    }

    /// A pipeline is gone.
    pub fn forget(&self, pipeline: &ObjectRef<SmsPipeline>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pipeline);
    }
}

fn owner(object: &Object) -> Option<ObjectRef<SmsPipeline>> {
    let owner = object.content.owner_references().first()?;
    Some(ObjectRef::new(&owner.name).within(&object.content.namespace().unwrap_or_default()))
}

fn place(object: &Object) -> Place {
    (object.kind, object.content.name_any())
}

fn wanted(object: &Object) -> u64 {
    let mut content = Cow::Borrowed(&object.content);
    if content.metadata.resource_version.is_some() {
        // A condition of the apply and no part of what is wanted: else whatever others write would be answered by an apply.
        content.to_mut().metadata.resource_version = None;
    }
    fingerprint(&(content, object.scaled_by == ScaledBy::Autoscaler))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
    use serde_json::json;

    use super::*;
    use crate::controller::{apply::FIELD_MANAGER, kinds};

    fn object(name: &str, ports: i32) -> Object {
        let owner = json!({ "apiVersion": "v1", "kind": "SmsPipeline", "name": "one", "uid": "u" });
        let metadata = json!({ "name": name, "namespace": "default", "ownerReferences": [owner] });
        Object::with_spec(&kinds::SERVICE, &metadata, &json!({ "ports": ports }))
    }

    fn left(uid: &str, generation: i64) -> ObjectMeta {
        let ours = ManagedFieldsEntry {
            manager: Some(FIELD_MANAGER.to_owned()),
            operation: Some("Apply".to_owned()),
            ..ManagedFieldsEntry::default()
        };
        ObjectMeta {
            uid: Some(uid.to_owned()),
            generation: Some(generation),
            managed_fields: Some(vec![ours]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn only_what_was_applied_and_is_still_so_is_left_alone() {
        let made = Made::default();
        let is_as_applied =
            |object: &Object, metadata: &ObjectMeta| made.is_as_applied(object, &Sight::of(metadata, None));
        assert!(!is_as_applied(&object("a", 1), &left("uid", 1)), "nothing was applied");
        made.end(&object("a", 1), &left("uid", 1));
        assert!(is_as_applied(&object("a", 1), &left("uid", 1)));
        assert!(!is_as_applied(&object("a", 2), &left("uid", 1)), "something else is wanted");
        assert!(!is_as_applied(&Object { scaled_by: ScaledBy::Autoscaler, ..object("a", 1) }, &left("uid", 1)));
        assert!(!is_as_applied(&object("a", 1), &left("another", 1)), "it is another object");
        assert!(!is_as_applied(&object("a", 1), &left("uid", 2)), "somebody has changed it");
        let taken = ObjectMeta { managed_fields: None, ..left("uid", 1) };
        assert!(!is_as_applied(&object("a", 1), &taken), "somebody has taken it over");
    }

    #[test]
    fn what_somebody_else_writes_into_fields_of_theirs_is_no_reason_to_apply_again() {
        let made = Made::default();
        let found_in = |version: &str| {
            let mut found = object("a", 1);
            found.content.metadata.resource_version = Some(version.to_owned());
            found
        };
        made.end(&found_in("1"), &left("uid", 1));
        assert!(made.is_as_applied(&found_in("2"), &Sight::of(&left("uid", 1), None)));
    }

    #[test]
    fn an_apply_whose_end_is_not_known_is_made_again() {
        let made = Made::default();
        made.end(&object("a", 1), &left("uid", 1));
        made.begin(&object("a", 2));
        assert!(!made.is_as_applied(&object("a", 1), &Sight::of(&left("uid", 1), None)));
    }

    #[test]
    fn what_is_gone_or_no_longer_wanted_is_forgotten() {
        let (made, sight) = (Made::default(), Sight::of(&left("uid", 1), None));
        let (a, b) = (object("a", 1), object("b", 1));
        for object in [&a, &b] {
            made.end(object, &left("uid", 1));
        }
        made.keep_only(std::slice::from_ref(&a));
        assert!(made.is_as_applied(&a, &sight) && !made.is_as_applied(&b, &sight));
        made.forget(&ObjectRef::new("one").within("default"));
        assert!(made.0.lock().expect("no panic").is_empty());
    }
}
