//! `cargo xtask crds`: writes the committed custom resource definition from the operator's types.

use std::{
    fs,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, bail};

use crate::workspace;

/// Builds the operator and writes down what it prints.
pub fn run() -> anyhow::Result<ExitCode> {
    workspace::build()?;
    let program = workspace::programs()?.join("sms-operator");
    let output = Command::new(&program)
        .arg("crd")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() || output.stdout.is_empty() {
        bail!("`sms-operator crd` printed no definition ({})", output.status);
    }
    let file = workspace::root().join("crds/smspipelines.yaml");
    fs::write(&file, output.stdout).with_context(|| format!("cannot write {}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(ExitCode::SUCCESS)
}
