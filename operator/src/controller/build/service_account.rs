use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{API_COMPONENT, PROCESSOR_COMPONENT, metadata};
use crate::controller::validate::ValidatedPipeline;

/// Those that a workload uses: one that is given another has no need of its own.
pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<ServiceAccount> {
    let own = [(&pipeline.names.api, API_COMPONENT), (&pipeline.names.processor, PROCESSOR_COMPONENT)];
    let used = [
        pipeline.api.pods.service_account.as_ref().unwrap_or(&pipeline.names.api),
        pipeline.processor.pods.service_account.as_ref().unwrap_or(&pipeline.names.processor),
    ];
    own.into_iter()
        .filter(|(name, _)| used.contains(name))
        .map(|(name, component)| ServiceAccount {
            metadata: metadata(pipeline, name, component),
            // Neither workload speaks to the API server.
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;

    use super::*;
    use crate::controller::fixtures::{pipeline, validated};

    #[track_caller]
    fn check(api: Option<&str>, processor: Option<&str>, expected: &[&str]) {
        let mut pipeline = pipeline();
        pipeline.spec.api.pods.service_account_name = api.map(str::to_owned);
        pipeline.spec.processor.pods.service_account_name = processor.map(str::to_owned);
        let accounts = build(&validated(&pipeline));
        let names: Vec<_> = accounts.iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn every_account_that_a_workload_uses_and_nobody_else_makes_is_made() {
        check(None, None, &["notifications-api", "notifications-processor"]);
        check(Some("other"), None, &["notifications-processor"]);
        check(Some("other"), Some("other"), &[]);
        check(Some("notifications-api"), None, &["notifications-api", "notifications-processor"]);
        check(Some("notifications-processor"), Some("other"), &["notifications-processor"]);
    }
}
