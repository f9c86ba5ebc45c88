//! The executables of a control plane: the user's own, or one that is built from Go modules and runs
//! as whichever component it is called by.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use crate::{
    Cache, Error, Progress, environment,
    go::{GoProgram, required_version},
};

const GO_MOD: &str = include_str!("../../kubernetes/go.mod");
const GO_SUM: &str = include_str!("../../kubernetes/go.sum");
const MAIN: &str = include_str!("../../kubernetes/main.go");

const PROGRAM: GoProgram<'_> = GoProgram {
    title: "Kubernetes",
    files: &[("go.mod", GO_MOD), ("go.sum", GO_SUM), ("main.go", MAIN)],
    package: ".",
    variables: &[],
};

/// Every name that `main.go` answers to.
const NAMES: [&str; 7] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"];

/// The ones that [`super::ControlPlane`] runs.
const NEEDED: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

/// Where each component's executable is.
#[derive(Clone, Debug)]
pub struct KubernetesBinaries {
    folders: Vec<PathBuf>,
}

impl KubernetesBinaries {
    /// Those of `KUBEBUILDER_ASSETS` and those that were built before, if together they are complete.
    pub fn find(cache: &Cache) -> Option<KubernetesBinaries> {
        let folders = environment::kubebuilder_assets().into_iter().chain(cache.find(&key())).collect();
        let found = KubernetesBinaries { folders };
        NEEDED.iter().all(|name| found.locate(name).is_some()).then_some(found)
    }

    /// Those of `KUBEBUILDER_ASSETS`; what that folder lacks (`setup-envtest` brings no
    /// kube-controller-manager), or all of it when the variable is not set, is built once.
    pub fn install(cache: &Cache, progress: &dyn Progress) -> Result<KubernetesBinaries, Error> {
        if let Some(found) = KubernetesBinaries::find(cache) {
            return Ok(found);
        }
        cache.install(&key(), progress, |partial, log| build(partial, log, progress))?;
        KubernetesBinaries::find(cache)
            .ok_or_else(|| Error::Machine(format!("the Kubernetes built for {} is not complete", key())))
    }

    /// The path of a component's executable.
    pub fn program(&self, name: &str) -> PathBuf {
        self.locate(name).unwrap_or_else(|| PathBuf::from(name))
    }

    fn locate(&self, name: &str) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|program| environment::is_executable(program))
    }
}

fn build(folder: &Path, log: &Path, progress: &dyn Progress) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::file("create", folder))?;
    let version = version();
    let minor = version.split('.').nth(1).unwrap_or_default();
    // Components refuse or warn when they do not know their version: it is set by the linker.
    let variables = [
        ("gitVersion", version),
        ("gitMajor", "1"),
        ("gitMinor", minor),
        ("gitTreeState", "clean"),
        ("gitCommit", "module"),
    ]
    .map(|(name, value)| format!("k8s.io/component-base/version.{name}={value}"));
    let program = GoProgram { title: &format!("Kubernetes {version} for tests"), variables: &variables, ..PROGRAM };
    program.build(&folder.join("k8s"), log, progress)?;
    for name in NAMES {
        let link = folder.join(name);
        symlink("k8s", &link).map_err(Error::file("create the link", link))?;
    }
    Ok(())
}

fn version() -> &'static str {
    required_version(GO_MOD, "k8s.io/kubernetes")
}

fn key() -> String {
    format!("kubernetes-{}-{}", version(), PROGRAM.fingerprint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_case_in_the_go_program() {
        for name in NAMES {
            assert!(MAIN.contains(&format!("case \"{name}\":")), "main.go does not run {name}");
        }
    }
}
