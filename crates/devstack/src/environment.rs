//! The only place of this crate that reads environment variables: where the machine keeps things.
#![expect(
    clippy::disallowed_methods,
    reason = "a library for tests has no main to read settings in; all reads are in this file"
)]

use std::{
    env,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Where installations are kept between runs, outside `target/` so that `cargo clean` spares them:
/// `$DEVSTACK_CACHE`, else `$XDG_CACHE_HOME/smspipeline`, else `~/.cache/smspipeline`.
pub fn cache_folder() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    folder("DEVSTACK_CACHE")
        .or_else(|| Some(folder("XDG_CACHE_HOME")?.join("smspipeline")))
        .or_else(|| Some(folder("HOME")?.join(".cache/smspipeline")))
}

/// The folder with etcd, kube-apiserver and kubectl that the user prefers to ours.
pub fn kubebuilder_assets() -> Option<PathBuf> {
    env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The program that a shell would run for `name`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|program| is_executable(program))
}

/// Whether `path` is a file that somebody may execute.
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}
