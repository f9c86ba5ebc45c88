//! schemathesis, which asks a service whatever its OpenAPI document allows and forbids.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Cache, Error, Progress, tool};

const REQUIREMENTS: &str = include_str!("../schemathesis/requirements.txt");

/// A folder of Python packages that works with the Python on PATH: `python3 -m schemathesis.cli` with it as
/// `PYTHONPATH`. Not a virtual environment, because those cannot be moved into place.
#[derive(Clone, Debug)]
pub struct Schemathesis {
    packages: PathBuf,
}

impl Schemathesis {
    /// The one that was installed before for this Python.
    pub fn find(cache: &Cache) -> Option<Schemathesis> {
        cache.find(&key()?).map(|packages| Schemathesis { packages })
    }

    /// Installs it from PyPI, once for every version of Python.
    pub fn install(cache: &Cache, progress: &dyn Progress) -> Result<Schemathesis, Error> {
        let key = key().ok_or_else(|| Error::Machine("python3 does not tell its version".to_owned()))?;
        let packages = cache.install(&key, progress, |partial, log| {
            progress.step("installing schemathesis with pip");
            let requirements = partial.with_extension("txt");
            fs::write(&requirements, REQUIREMENTS).map_err(Error::file("write", &requirements))?;
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-deps", "--target"]);
            pip.arg(partial).arg("-r").arg(&requirements);
            tool::run(&pip, log, &mut |_| {})?;
            fs::remove_file(&requirements).map_err(Error::file("remove", requirements))
        })?;
        Ok(Schemathesis { packages })
    }

    /// The folder.
    pub fn packages(&self) -> &Path {
        &self.packages
    }
}

/// Some packages hold native code for one version of Python.
fn key() -> Option<String> {
    let python = python_version()?;
    let version = REQUIREMENTS.lines().find_map(|line| line.strip_prefix("schemathesis=="))?;
    Some(format!("schemathesis-{version}-python-{python}"))
}

/// Major and minor version of the Python on PATH.
pub fn python_version() -> Option<String> {
    let print = "import sys; print('%d.%d' % sys.version_info[:2])";
    Some(tool::output(Command::new("python3").args(["-c", print]))?.trim().to_owned())
}
