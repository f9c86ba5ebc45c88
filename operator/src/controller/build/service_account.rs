use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{API_COMPONENT, PROCESSOR_COMPONENT, metadata};
use crate::controller::validate::ValidatedPipeline;

pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<ServiceAccount> {
    let (api, processor) = (&pipeline.api.pods.service_account, &pipeline.processor.pods.service_account);
    [(&pipeline.names.api, API_COMPONENT, api), (&pipeline.names.processor, PROCESSOR_COMPONENT, processor)]
        .into_iter()
        .filter(|(_, _, existing)| existing.is_none())
        .map(|(name, component, _)| ServiceAccount {
            metadata: metadata(pipeline, name, component),
            // Neither workload speaks to the API server.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        })
        .collect()
}
