use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    metadata::{API_COMPONENT, metadata, selector},
    pod::{HTTP_PORT, INTERNAL_PORT, Port},
};
use crate::controller::validate::ValidatedPipeline;

pub(super) fn build(pipeline: &ValidatedPipeline) -> Vec<Service> {
    // Two Services, so that whoever may reach the public port does not reach the internal one with it.
    vec![
        service(pipeline, &pipeline.names.api, HTTP_PORT),
        service(pipeline, &pipeline.names.api_internal, INTERNAL_PORT),
    ]
}

fn service(pipeline: &ValidatedPipeline, name: &str, port: Port) -> Service {
    Service {
        metadata: metadata(pipeline, name, API_COMPONENT),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector(&pipeline.name, API_COMPONENT)),
            ports: Some(vec![ServicePort {
                name: Some(port.name.to_owned()),
                port: port.number,
                target_port: Some(IntOrString::String(port.name.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
