//! The helm executable, for tests of the chart.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Cache, Error, Progress, environment,
    go::{GoProgram, required_version},
    tool,
};

const GO_MOD: &str = include_str!("../helm/go.mod");
const GO_SUM: &str = include_str!("../helm/go.sum");

/// A helm that works.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
}

impl Helm {
    /// The one on PATH, else the one that was built before.
    pub fn find(cache: &Cache) -> Option<Helm> {
        let usable = |program: &PathBuf| tool::output(Command::new(program).args(["version", "--short"])).is_some();
        let program = environment::on_path("helm").filter(usable).or_else(|| cache.find(&key()))?;
        Some(Helm { program })
    }

    /// The one on PATH, else one that is built once from its Go module.
    pub fn install(cache: &Cache, progress: &dyn Progress) -> Result<Helm, Error> {
        if let Some(helm) = Helm::find(cache) {
            return Ok(helm);
        }
        let version = version();
        let program = cache.install(&key(), progress, |partial, log| {
            GoProgram {
                title: &format!("helm {version}"),
                variables: &[format!("helm.sh/helm/v4/internal/version.version={version}")],
                ..PROGRAM
            }
            .build(partial, log, progress)
        })?;
        Ok(Helm { program })
    }

    /// The path of the executable.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

const PROGRAM: GoProgram<'_> = GoProgram {
    title: "helm",
    files: &[("go.mod", GO_MOD), ("go.sum", GO_SUM)],
    package: "helm.sh/helm/v4/cmd/helm",
    variables: &[],
};

fn version() -> &'static str {
    required_version(GO_MOD, "helm.sh/helm/v4")
}

fn key() -> String {
    format!("helm-{}-{}", version(), PROGRAM.fingerprint())
}
