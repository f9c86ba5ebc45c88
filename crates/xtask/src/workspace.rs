//! The checkout and its build: where things are, and calls of cargo.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// The root of the checkout.
pub fn root() -> &'static Path {
    // crates/xtask → crates → the root. A shallower path cannot hold this file.
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."))
}

/// The folder that cargo puts our programs in: xtask lies in it. Right for every target folder,
/// however it was chosen.
pub fn programs() -> anyhow::Result<PathBuf> {
    let program = env::current_exe().context("cannot tell where xtask itself is")?;
    let folder = program.parent().context("xtask is in no folder")?;
    Ok(folder.to_owned())
}

/// Builds every program. Always the same list of packages: another list means other features of
/// shared dependencies, and with them another long build.
pub fn build() -> anyhow::Result<()> {
    run(&cargo(["build", "--workspace", "--bins", "--locked"]))
}

/// Runs a call of cargo with its outputs on our screen.
pub fn run(command: &Command) -> anyhow::Result<()> {
    let words = || command.get_args().map(OsStr::to_string_lossy);
    let said = || words().fold("cargo".to_owned(), |said, word| said + " " + &word);
    let status = devstack::spawn(devstack::dying_with_us(command)).and_then(|mut child| child.wait());
    let status = status.with_context(|| format!("cannot run `{}`", said()))?;
    if !status.success() {
        bail!("`{}` failed ({status}); its messages are above", said());
    }
    Ok(())
}

/// A call of cargo in the checkout.
pub fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").exists() && root().join("crates/xtask").exists());
    }
}
