//! What an apply would change, as the API server tells it of a dry run. Writes nothing.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams},
};

use super::{FIELD_MANAGER, left_out, prune, shares_owner};
use crate::controller::{
    Error,
    build::{API_COMPONENT, Desired, PROCESSOR_COMPONENT},
    kinds::{Kind, Object, ScaledBy},
    names::Names,
};

/// What an apply would change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preview {
    /// One for each object that would be applied or deleted, those that would stay as they are too.
    pub changes: Vec<Change>,
    /// What somebody asked for and the cluster cannot have, a sentence for each.
    pub left_out: Vec<String>,
}

/// One object, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its kind.
    pub kind: &'static Kind,
    /// Its name.
    pub name: String,
    /// As it is; `None` when there is none.
    pub before: Option<DynamicObject>,
    /// As it would be; `None` when it would be deleted.
    pub after: Option<DynamicObject>,
}

/// What [`apply`](super::apply) would change. An object found with a foreign owner is refused here as it is there.
pub async fn preview(client: &Client, served: &BTreeSet<&'static Kind>, desired: &Desired) -> Result<Preview, Error> {
    let mut preview = Preview::default();
    for object in desired.objects() {
        if served.contains(object.kind) {
            preview.changes.push(try_object(client, object).await?);
        } else {
            preview.left_out.extend(left_out(&object));
        }
    }
    for (kind, orphan) in prune::unwanted(client, served, desired).await? {
        let name = orphan.name.unwrap_or_default();
        let namespace = orphan.namespace.unwrap_or_default();
        let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &kind.resource());
        let read = api.get_opt(&name).await;
        let before = read.map_err(|source| Error::ListObjects { kind: kind.kind.to_owned(), source })?;
        preview.changes.push(Change { kind, name, before, after: None });
    }
    Ok(preview)
}

/// The images that the Deployments of a pipeline run, of the API and of the processors.
pub async fn images_in_use(
    client: &Client,
    namespace: &str,
    pipeline: &str,
) -> Result<(Option<String>, Option<String>), Error> {
    let api = Api::<Deployment>::namespaced(client.clone(), namespace);
    let image = async |name: String, component: &str| {
        let live = api.get_opt(&name).await.map_err(|source| Error::ReadWorkload { name, source })?;
        let containers = live.and_then(|live| Some(live.spec?.template.spec?.containers)).unwrap_or_default();
        Ok(containers.into_iter().find(|container| container.name == component).and_then(|container| container.image))
    };
    let names = Names::of(pipeline);
    Ok((image(names.api, API_COMPONENT).await?, image(names.processor, PROCESSOR_COMPONENT).await?))
}

async fn try_object(client: &Client, object: Object) -> Result<Change, Error> {
    let name = object.content.name_any();
    let failed = |source| Error::ApplyObject { kind: object.kind.kind.to_owned(), name: name.clone(), source };
    let namespace = object.content.namespace().unwrap_or_default();
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &object.kind.resource());
    let before = api.get_opt(&name).await.map_err(failed)?;
    let mut desired = object.content.clone();
    let mut parameters = PatchParams::apply(FIELD_MANAGER).dry_run();
    if let Some(live) = &before {
        if !shares_owner(live, &desired) {
            return Err(Error::NameConflict { kind: object.kind.kind.to_owned(), name });
        }
        desired.metadata.uid.clone_from(&live.metadata.uid);
        parameters = parameters.force();
        if object.scaled_by == ScaledBy::Autoscaler {
            // An apply hands the number over first, which a dry run cannot.
            desired.data["spec"]["replicas"] = live.data["spec"]["replicas"].clone();
        }
    }
    let after = api.patch(&name, &parameters, &Patch::Apply(&desired)).await.map_err(failed)?;
    Ok(Change { kind: object.kind, name, before, after: Some(after) })
}
