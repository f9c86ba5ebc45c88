use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::metadata::{API_COMPONENT, metadata};
use crate::controller::{names::INTERNAL_TOKEN_KEY, validate::ValidatedPipeline};

pub(super) fn build(pipeline: &ValidatedPipeline) -> Secret {
    let token = pipeline.internal_token.0.clone().into_bytes();
    Secret {
        metadata: metadata(pipeline, &pipeline.names.internal_secret, API_COMPONENT),
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(INTERNAL_TOKEN_KEY.to_owned(), ByteString(token))])),
        ..Secret::default()
    }
}
