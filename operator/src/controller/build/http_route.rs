use serde_json::{Value, json};

use super::{
    metadata::{API_COMPONENT, metadata},
    pod::HTTP_PORT,
};
use crate::controller::{
    kinds::{HTTP_ROUTE, Object},
    validate::ValidatedPipeline,
};

pub(super) fn build(pipeline: &ValidatedPipeline) -> Option<Object> {
    let route = pipeline.http_route.as_ref()?;
    let mut spec = json!({
        "parentRefs": route.parent_refs,
        "rules": [{ "backendRefs": [{ "name": pipeline.names.api, "port": HTTP_PORT.number }] }],
    });
    if !route.hostnames.is_empty() {
        spec["hostnames"] = Value::from(route.hostnames.clone());
    }
    let metadata = metadata(pipeline, &pipeline.names.api, API_COMPONENT);
    Some(Object::with_spec(&HTTP_ROUTE, &metadata, &spec))
}
