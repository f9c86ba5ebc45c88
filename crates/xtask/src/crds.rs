//! `cargo xtask crds`: writes the committed custom resource definition from the operator's types, and the copy
//! that the chart needs because Helm cannot read outside a chart.

use std::{
    fs,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, bail};

use crate::{screen::print_line, workspace};

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
    for file in ["crds/smspipelines.yaml", "charts/sms-operator/files/smspipelines.yaml"] {
        let file = workspace::root().join(file);
        fs::write(&file, &output.stdout).with_context(|| format!("cannot write {}", file.display()))?;
        print_line(&format!("wrote {}", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}
