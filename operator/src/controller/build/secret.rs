use k8s_openapi::api::core::v1::Secret;

use super::metadata::{API_COMPONENT, metadata};
use crate::controller::validate::ValidatedPipeline;

/// The Secret with the tokens of internal calls.
pub(in crate::controller) fn build(pipeline: &ValidatedPipeline) -> Secret {
    let mut secret = Secret {
        metadata: metadata(pipeline, &pipeline.names.internal_secret, API_COMPONENT),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    pipeline.internal_tokens.write(&mut secret);
    secret
}
