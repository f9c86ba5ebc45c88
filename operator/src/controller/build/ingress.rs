use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};

use super::{
    metadata::{API_COMPONENT, metadata},
    pod::HTTP_PORT,
};
use crate::controller::validate::ValidatedPipeline;

pub(super) fn build(pipeline: &ValidatedPipeline) -> Option<Ingress> {
    let spec = pipeline.ingress.as_ref()?;
    let mut metadata = metadata(pipeline, &pipeline.names.api, API_COMPONENT);
    metadata.annotations = (!spec.annotations.is_empty()).then(|| spec.annotations.clone());
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: pipeline.names.api.clone(),
            port: Some(ServiceBackendPort { name: Some(HTTP_PORT.name.to_owned()), number: None }),
        }),
        ..IngressBackend::default()
    };
    let path = HTTPIngressPath { path: Some("/".to_owned()), path_type: "Prefix".to_owned(), backend };
    let tls = |secret: &String| IngressTLS { hosts: Some(vec![spec.host.clone()]), secret_name: Some(secret.clone()) };
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: spec.class_name.clone(),
            rules: Some(vec![IngressRule {
                host: Some(spec.host.clone()),
                http: Some(HTTPIngressRuleValue { paths: vec![path] }),
            }]),
            tls: spec.tls_secret_name.as_ref().map(|secret| vec![tls(secret)]),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
}
