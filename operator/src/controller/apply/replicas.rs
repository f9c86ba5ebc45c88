//! Leaves the number of replicas to an autoscaler.
//!
//! A field that a manager no longer applies is taken away, unless somebody else manages it too: the Deployment would fall
//! to one replica for a moment. Before our own hold on the number ends, another manager of ours therefore gets it as
//! it is (<https://github.com/kubernetes/kubernetes/issues/67135>).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;

use super::FIELD_MANAGER;

/// Who holds the number until the autoscaler writes it for the first time.
const HANDOVER_MANAGER: &str = "sms-operator-replicas";

/// Sees to it that the number stays as it is when `desired` without it is applied, and takes it out.
pub(super) async fn leave(
    api: &Api<DynamicObject>,
    managed: &[ManagedFieldsEntry],
    desired: &mut DynamicObject,
) -> kube::Result<()> {
    let name = desired.metadata.name.clone().unwrap_or_default();
    if is_held_by_us_alone(managed) {
        let live = api.get(&name).await?;
        if live.data["spec"]["replicas"] == 0 {
            // We have stopped it, and an autoscaler leaves alone what is at zero: it begins anew with as many as at first.
            return Ok(());
        }
        let handover = json!({
            "apiVersion": live.types.as_ref().map(|types| &types.api_version),
            "kind": live.types.as_ref().map(|types| &types.kind),
            "metadata": { "name": name, "uid": desired.metadata.uid },
            "spec": { "replicas": live.data["spec"]["replicas"] },
        });
        api.patch(&name, &PatchParams::apply(HANDOVER_MANAGER).force(), &Patch::Apply(&handover)).await?;
    }
    if let Some(spec) = desired.data["spec"].as_object_mut() {
        spec.remove("replicas");
    }
    Ok(())
}

fn is_held_by_us_alone(managed: &[ManagedFieldsEntry]) -> bool {
    let holds = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.and_then(|fields| fields.pointer("/f:spec/f:replicas")).is_some()
    };
    let mut holders = managed.iter().filter(holds).map(|entry| entry.manager.as_deref()).peekable();
    holders.peek().is_some() && holders.all(|manager| manager == Some(FIELD_MANAGER))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;

    use super::*;

    fn entry(manager: &str, field: &str) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            fields_v1: Some(FieldsV1(json!({ "f:spec": { field: {} } }))),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn the_number_is_handed_over_only_while_nobody_else_holds_it() {
        let ours = entry(FIELD_MANAGER, "f:replicas");
        assert!(is_held_by_us_alone(std::slice::from_ref(&ours)));
        assert!(is_held_by_us_alone(&[ours.clone(), entry("kubectl", "f:paused")]));
        assert!(!is_held_by_us_alone(&[ours, entry("kube-controller-manager", "f:replicas")]));
        assert!(!is_held_by_us_alone(&[entry(FIELD_MANAGER, "f:template")]));
        assert!(!is_held_by_us_alone(&[]));
    }
}
