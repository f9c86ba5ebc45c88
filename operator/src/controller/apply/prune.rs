//! Deletes what was made from a pipeline and is no longer wanted. [`orphans`] decides and is pure.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, ListParams, Preconditions},
};

use super::{
    is_owned_by,
    written::{How, Written},
};
use crate::controller::{
    Error,
    build::{Desired, pipeline_selector},
    kinds::{Kind, Object, Wanted},
    seen::Seen,
};

/// Deletes what the pipeline has and no longer wants. Where a watch shows nothing of that, nothing is looked for: what it does
/// not show yet wakes the pipeline once it does.
pub(super) async fn prune(
    client: &Client,
    served: &BTreeSet<&'static Kind>,
    seen: &Seen,
    desired: &Desired,
    written: &mut Vec<Written>,
) -> Result<(), Error> {
    let metadata = &desired.api.metadata;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let Some(owner) = metadata.owner_references.iter().flatten().next() else { return Ok(()) };
    let objects = desired.objects();
    let may_have_others =
        |kind: &&'static Kind| seen.may_have_others(kind, namespace, &owner.uid, &wanted(kind, &objects));
    let suspect = served.iter().copied().filter(may_have_others).collect();
    for (kind, orphan) in unwanted(client, &suspect, desired).await? {
        let namespace = orphan.namespace.as_deref().unwrap_or_default();
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource());
        delete(&api, kind, &orphan).await?;
        written.push(Written { how: How::Deleted, kind, name: orphan.name.unwrap_or_default() });
    }
    Ok(())
}

/// The names of the objects of a kind that shall be.
fn wanted<'a>(kind: &Kind, objects: &'a [Object]) -> BTreeSet<&'a str> {
    let objects = objects.iter().filter(|object| object.kind == kind);
    objects.filter_map(|object| object.content.metadata.name.as_deref()).collect()
}

/// What bears the pipeline's labels, has it as owner, and is not desired. Looks only for kinds of which an object can
/// cease to be wanted, so that no right to delete any other is needed.
pub(super) async fn unwanted(
    client: &Client,
    served: &BTreeSet<&'static Kind>,
    desired: &Desired,
) -> Result<Vec<(&'static Kind, ObjectMeta)>, Error> {
    let metadata = &desired.api.metadata;
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let mut unwanted = Vec::new();
    let Some(owner) = metadata.owner_references.iter().flatten().next() else { return Ok(unwanted) };
    let of_pipeline = ListParams::default().labels(&pipeline_selector(&owner.name));
    let objects = desired.objects();
    for kind in served.iter().filter(|kind| kind.wanted == Wanted::Sometimes) {
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &kind.resource());
        let listed = api.list_metadata(&of_pipeline).await;
        let listed = listed.map_err(|source| Error::ListObjects { kind: kind.kind.to_owned(), source })?;
        let found: Vec<_> = listed.items.into_iter().map(|object| object.metadata).collect();
        unwanted.extend(
            orphans(&found, &wanted(kind, &objects), &owner.uid).into_iter().map(|orphan| (*kind, orphan.clone())),
        );
    }
    Ok(unwanted)
}

/// Those of `found` that the owner with this uid has and no longer wants.
fn orphans<'a>(found: &'a [ObjectMeta], wanted: &BTreeSet<&str>, owner: &str) -> Vec<&'a ObjectMeta> {
    let is_orphan = |object: &&ObjectMeta| {
        let ours = is_owned_by(object.owner_references.as_deref().unwrap_or_default(), owner);
        let ends = object.deletion_timestamp.is_some();
        let wanted = object.name.as_deref().is_some_and(|name| wanted.contains(name));
        ours && !ends && !wanted
    };
    found.iter().filter(is_orphan).collect()
}

/// Deletes the object that was looked at and no other: neither one of the same name that came since, nor one that
/// somebody has changed since.
async fn delete(api: &Api<DynamicObject>, kind: &Kind, orphan: &ObjectMeta) -> Result<(), Error> {
    let name = orphan.name.clone().unwrap_or_default();
    tracing::info!(kind = kind.kind, name, namespace = orphan.namespace, "deleting what is no longer wanted");
    let preconditions = Preconditions { uid: orphan.uid.clone(), resource_version: orphan.resource_version.clone() };
    let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match api.delete(&name, &parameters).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::DeleteObject { kind: kind.kind.to_owned(), name, source }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};

    use super::*;

    fn object(name: &str, owner: &str) -> ObjectMeta {
        let owner = OwnerReference { uid: owner.to_owned(), ..OwnerReference::default() };
        ObjectMeta { name: Some(name.to_owned()), owner_references: Some(vec![owner]), ..ObjectMeta::default() }
    }

    #[track_caller]
    fn check(found: &[ObjectMeta], expected: &[&str]) {
        let orphans = orphans(found, &BTreeSet::from(["wanted"]), "ours");
        let names: Vec<_> = orphans.iter().filter_map(|object| object.name.as_deref()).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn what_is_ours_and_not_wanted_goes() {
        check(&[object("wanted", "ours"), object("old", "ours")], &["old"]);
    }

    #[test]
    fn what_is_not_ours_stays_whatever_its_labels_say() {
        let unowned = ObjectMeta { owner_references: None, ..object("unowned", "") };
        check(&[object("foreign", "another"), unowned], &[]);
    }

    #[test]
    fn what_goes_already_is_not_deleted_again() {
        let ends = ObjectMeta { deletion_timestamp: Some(Time(jiff::Timestamp::UNIX_EPOCH)), ..object("old", "ours") };
        check(&[ends], &[]);
    }
}
