//! Step 4 of reconcile: makes the cluster hold what was built. The only writer of child objects.
//!
//! Server-side apply with one field manager. An object found with a foreign owner is refused: the first apply of
//! an object is not forced, and later ones carry the uid of the object proven ours.
//!
//! What is as the last apply has left it is not applied again: the API server is asked for nothing where a watch shows the
//! object ([`Seen`]) as it was after that apply ([`Made`]), and the same is wanted. So a round that changes nothing costs one
//! read, of the Secret, of which no watch shows who holds it. Whatever does not fit is read and applied as if nothing were remembered.

mod made;
mod preview;
mod prune;
mod replicas;
mod served;
mod written;

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams, Patch, PatchParams},
};

use crate::{
    controller::{
        Error,
        build::{Desired, pods_selector},
        kinds::{self, Kind, Object, ScaledBy, Wanted},
        names::Names,
        seen::{Seen, Sight},
        status::{WorkloadState, Workloads},
        validate::ValidatedPipeline,
    },
    crd::SmsPipeline,
};

pub use made::Made;
pub use preview::{Change, Preview, images_in_use, preview};
pub use served::Served;
pub use written::{Written, sentence};

/// Who writes the fields, as `kubectl get --show-managed-fields` tells it.
pub const FIELD_MANAGER: &str = "sms-operator";

/// Makes the cluster hold `desired`, as far as it has the kinds, and nothing else of the pipeline's; tells how far the
/// workloads have come, and in `written` what it has done, also where it fails.
pub async fn apply(
    client: &Client,
    served: &BTreeSet<&'static Kind>,
    (seen, made): (&Seen, &Made),
    desired: &Desired,
    written: &mut Vec<Written>,
) -> Result<Workloads, Error> {
    let mut workloads = Workloads::default();
    let objects = desired.objects();
    for object in &objects {
        if !served.contains(object.kind) {
            workloads.left_out.extend(left_out(object));
            continue;
        }
        let name = object.content.name_any();
        let sight = seen.get(object.kind, &object.content.namespace().unwrap_or_default(), &name);
        let found = match sight.filter(|sight| made.is_as_applied(object, sight)) {
            Some(sight) => sight.workload,
            None => apply_object(client, made, object, written).await?,
        };
        if let Some(found) = found {
            let is_api = name == desired.api.name_any();
            *(if is_api { &mut workloads.api } else { &mut workloads.processor }) = found;
        }
    }
    made.keep_only(&objects);
    prune::prune(client, served, seen, desired, written).await?;
    Ok(workloads)
}

/// How far the workloads have come that are there already, for whoever may not write; `None` when one is not there.
pub async fn look(client: &Client, pipeline: &ValidatedPipeline) -> Result<Option<Workloads>, Error> {
    let api = Api::<Deployment>::namespaced(client.clone(), &pipeline.namespace);
    let read = async |name: &String| {
        let read = api.get_opt(name).await;
        read.map_err(|source| Error::ReadWorkload { name: name.clone(), source })
    };
    let (api, processor) = (read(&pipeline.names.api).await?, read(&pipeline.names.processor).await?);
    let (Some(api), Some(processor)) = (api, processor) else { return Ok(None) };
    Ok(Some(Workloads { api: state(&api), processor: state(&processor), left_out: Vec::new() }))
}

/// Ends all replicas of a pipeline; whether no pod is left.
pub async fn stop(client: &Client, pipeline: &SmsPipeline) -> Result<bool, Error> {
    let (namespace, names) = (pipeline.namespace().unwrap_or_default(), Names::of(&pipeline.name_any()));
    let api = Api::<Deployment>::namespaced(client.clone(), &namespace);
    let mut is_stopped = true;
    for name in [&names.api, &names.processor] {
        let failed = |source| Error::StopWorkload { name: name.clone(), source };
        let Some(live) = api.get_opt(name).await.map_err(failed)? else { continue };
        if !is_owned_by(live.owner_references(), &pipeline.uid().unwrap_or_default()) {
            continue;
        }
        if live.spec.as_ref().and_then(|spec| spec.replicas) != Some(0) {
            let patch = Patch::Merge(serde_json::json!({ "spec": { "replicas": 0 } }));
            api.patch(name, &merge(), &patch).await.map_err(failed)?;
            is_stopped = false;
        }
        let status = live.status.unwrap_or_default();
        is_stopped &=
            status.replicas.unwrap_or_default() == 0 && status.observed_generation == live.metadata.generation;
    }
    // A Deployment does not count the pods that are still about to end.
    Ok(is_stopped && !has_pods(client, &namespace, &pipeline.name_any()).await?)
}

async fn has_pods(client: &Client, namespace: &str, pipeline: &str) -> Result<bool, Error> {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    // Pods that were evicted or have ended stay for others to look at, and use nothing.
    let alive = "status.phase!=Failed,status.phase!=Succeeded";
    let one = ListParams::default().labels(&pods_selector(pipeline)).fields(alive).limit(1);
    let listed = pods.list_metadata(&one).await;
    let listed = listed.map_err(|source| Error::ListObjects { kind: "Pod".to_owned(), source })?;
    Ok(!listed.items.is_empty())
}

/// Makes the cluster hold one object, unless somebody else owns it; gives how far it has come, for a Deployment.
pub(super) async fn apply_object(
    client: &Client,
    made: &Made,
    object: &Object,
    written: &mut Vec<Written>,
) -> Result<Option<WorkloadState>, Error> {
    let (kind, name) = (object.kind.kind.to_owned(), object.content.name_any());
    let failed = |source| Error::ApplyObject { kind: kind.clone(), name: name.clone(), source };
    let namespace = object.content.namespace().unwrap_or_default();
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &object.kind.resource());
    let is_workload = *object.kind == kinds::DEPLOYMENT;
    let mut desired = object.content.clone();
    let mut parameters = PatchParams::apply(FIELD_MANAGER);
    let live = api.get_metadata_opt(&name).await.map_err(failed)?;
    if let Some(live) = &live {
        if !shares_owner(live, &object.content) {
            return Err(Error::NameConflict { kind, name });
        }
        if !is_workload && made.is_as_applied(object, &Sight::of(&live.metadata, None)) {
            return Ok(None);
        }
        parameters = parameters.force();
        desired.metadata.uid.clone_from(&live.metadata.uid);
        if object.scaled_by == ScaledBy::Autoscaler {
            replicas::leave(&api, live.managed_fields(), &mut desired).await.map_err(failed)?;
        }
    }
    made.begin(object);
    let applied = api.patch(&name, &parameters, &Patch::Apply(&desired)).await.map_err(failed)?;
    made.end(object, &applied.metadata);
    let how = written::how(live.as_ref(), &applied);
    written.extend(how.map(|how| Written { how, kind: object.kind, name: name.clone() }));
    if !is_workload {
        return Ok(None);
    }
    deployment(applied).map(|deployment| Some(state(&deployment))).map_err(failed)
}

/// What is told of an object whose kind the cluster does not have; nothing where nobody has asked for it.
fn left_out(object: &Object) -> Option<String> {
    let (kind, name) = (object.kind, object.content.name_any());
    let sentence = || format!("{} {name:?} is not made: the cluster does not have {}", kind.kind, kind.api_version());
    (kind.wanted == Wanted::Sometimes).then(sentence)
}

fn deployment(applied: DynamicObject) -> kube::Result<Deployment> {
    serde_json::to_value(applied).and_then(serde_json::from_value).map_err(kube::Error::SerdeError)
}

/// How a single field is written in our name, beside what is applied.
pub fn merge() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn shares_owner(live: &impl ResourceExt, desired: &impl ResourceExt) -> bool {
    desired.owner_references().first().is_some_and(|owner| is_owned_by(live.owner_references(), &owner.uid))
}

fn is_owned_by(owners: &[OwnerReference], uid: &str) -> bool {
    owners.iter().any(|owner| owner.uid == uid)
}

/// How far a Deployment has come with its current template.
pub fn state(deployment: &Deployment) -> WorkloadState {
    let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let status = deployment.status.clone().unwrap_or_default();
    let seen = status.observed_generation >= deployment.metadata.generation;
    let available = status.available_replicas.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    let existing = status.replicas.unwrap_or_default();
    // Those of an older template may all be among the available ones; they do not count for the new one.
    let ready = (available - (existing - updated)).clamp(0, updated.max(0));
    WorkloadState { desired, existing, ready: if seen { ready } else { 0 }, detail: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::{DeploymentSpec, DeploymentStatus};

    fn deployment(generation: i64, observed: i64, existing: i32, updated: i32, available: i32) -> Deployment {
        let mut deployment = Deployment {
            spec: Some(DeploymentSpec { replicas: Some(3), ..DeploymentSpec::default() }),
            status: Some(DeploymentStatus {
                observed_generation: Some(observed),
                replicas: Some(existing),
                updated_replicas: Some(updated),
                available_replicas: Some(available),
                ..DeploymentStatus::default()
            }),
            ..Deployment::default()
        };
        deployment.metadata.generation = Some(generation);
        deployment
    }

    #[test]
    fn what_somebody_asked_for_and_the_cluster_cannot_have_is_told() {
        let object = |kind| Object::with_spec(kind, &serde_json::json!({ "name": "a" }), &serde_json::json!({}));
        let told = left_out(&object(&kinds::HTTP_ROUTE));
        let expected = r#"HTTPRoute "a" is not made: the cluster does not have gateway.networking.k8s.io/v1"#;
        assert_eq!(told.as_deref(), Some(expected));
        assert_eq!(left_out(&object(&kinds::POD_MONITOR)), None);
    }

    #[test]
    fn only_available_replicas_of_the_current_template_are_ready() {
        assert_eq!(state(&deployment(2, 2, 3, 3, 3)).ready, 3);
        assert_eq!(state(&deployment(2, 2, 3, 3, 2)).ready, 2);
        assert_eq!(state(&deployment(2, 2, 4, 2, 3)).ready, 1);
    }

    #[test]
    fn an_old_replica_that_still_runs_does_not_hide_that_the_new_one_does_not_start() {
        assert_eq!(state(&deployment(2, 2, 2, 1, 1)).ready, 0);
    }

    #[test]
    fn the_status_of_an_older_template_says_nothing() {
        assert_eq!(state(&deployment(3, 2, 3, 3, 3)).ready, 0);
    }
}
