//! A pipeline and what was read for it, for tests of the pure steps.

use crate::{
    controller::dereference::{Lookup, Referenced, Sensitive},
    crd::SmsPipeline,
    yaml,
};

pub(crate) fn pipeline() -> SmsPipeline {
    yaml::read(include_str!("../../../crds/examples/quickstart.yaml"))
        .map(|mut pipeline: SmsPipeline| {
            pipeline.metadata.namespace = Some("default".to_owned());
            pipeline.metadata.uid = Some("0a1b2c3d".to_owned());
            pipeline.metadata.generation = Some(1);
            pipeline
        })
        .expect("the example is a pipeline")
}

pub(crate) fn referenced() -> Referenced {
    Referenced {
        database_url: Lookup::Found(Sensitive("postgresql://sms:secret@postgres:5432/sms".to_owned())),
        database_unreachable: None,
        internal_token: Sensitive("internal-token".to_owned()),
    }
}
