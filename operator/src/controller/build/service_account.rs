use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{API_COMPONENT, PROCESSOR_COMPONENT, metadata};
use crate::controller::validate::ValidatedPipeline;

/// One for each workload, also for one that is given another: pods of an older template may use it until they end.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<ServiceAccount> {
    let own = [(&pipeline.names.api, API_COMPONENT), (&pipeline.names.processor, PROCESSOR_COMPONENT)];
    let account = |(name, component): (&String, &str)| ServiceAccount {
        metadata: metadata(pipeline, name, component),
        // Neither workload speaks to the API server.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    };
    own.map(account).into()
}
