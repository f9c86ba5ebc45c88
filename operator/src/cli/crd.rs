//! `crd`: the definition of the resource, for `kubectl apply`.

use anyhow::Context;
use kube::CustomResourceExt;

use super::{Answer, Outcome};
use crate::{crd::SmsPipeline, yaml};

/// The definition in YAML.
pub fn run() -> anyhow::Result<Answer> {
    let printed = yaml::write(&SmsPipeline::crd()).context("failed to render the CRD")?;
    Ok(Answer { printed, notes: String::new(), outcome: Outcome::Good })
}
