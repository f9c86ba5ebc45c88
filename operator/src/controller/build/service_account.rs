use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{API_COMPONENT, PROCESSOR_COMPONENT, metadata};
use crate::controller::validate::ValidatedPipeline;

pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<ServiceAccount> {
    [(&pipeline.names.api, API_COMPONENT), (&pipeline.names.processor, PROCESSOR_COMPONENT)]
        .map(|(name, component)| ServiceAccount {
            metadata: metadata(pipeline, name, component),
            // Neither workload speaks to the API server.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        })
        .into()
}
