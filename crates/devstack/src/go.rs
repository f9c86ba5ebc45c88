//! Builds an executable from published Go modules.

use std::{fs, path::Path, process::Command};

use crate::{Error, Progress, tool};

/// What to build.
#[derive(Clone, Copy, Debug)]
pub struct GoProgram<'a> {
    /// For people: "Kubernetes v1.34.4".
    pub title: &'a str,
    /// Name and content of every file of the module.
    pub files: &'a [(&'a str, &'a str)],
    /// The package to build.
    pub package: &'a str,
    /// Values of string variables that are set at link time, as `path.name=value`.
    pub variables: &'a [String],
}

impl GoProgram<'_> {
    /// Identifies the pinned sources, so that another pin is another installation (FNV-1a, 64 bits).
    pub fn fingerprint(&self) -> String {
        let bytes = self.files.iter().flat_map(|(name, content)| name.bytes().chain(content.bytes()));
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{hash:016x}")
    }

    /// Builds the executable `target`.
    pub fn build(&self, target: &Path, log: &Path, progress: &dyn Progress) -> Result<(), Error> {
        let sources = target.with_extension("sources");
        fs::create_dir_all(&sources).map_err(Error::file("create", &sources))?;
        for (name, content) in self.files {
            let file = sources.join(name);
            fs::write(&file, content).map_err(Error::file("write", file))?;
        }
        progress.step(&format!("downloading the sources of {}", self.title));
        let total = self.download(&sources, log, progress)?;

        progress.step(&format!("building {} (minutes, once per machine)", self.title));
        let mut command = go(&sources);
        let link_flags = self.variables.iter().fold("-s -w".to_owned(), |flags, variable| flags + " -X " + variable);
        command.args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", &link_flags, "-o"]).arg(target);
        command.arg(self.package);
        let mut packages = 0;
        tool::run(&command, log, &mut |line| {
            packages += 1;
            progress.advance(packages, Some(total), line);
        })?;
        fs::remove_dir_all(&sources).map_err(Error::file("remove", sources))
    }

    /// Downloads every module and returns how many packages there are to build.
    fn download(&self, sources: &Path, log: &Path, progress: &dyn Progress) -> Result<u64, Error> {
        let mut command = go(sources);
        command.args(["list", "-deps", self.package]);
        let (mut packages, mut downloads) = (0, 0);
        tool::run(&command, &log.with_extension("download.log"), &mut |line| {
            if let Some(module) = line.strip_prefix("go: downloading ") {
                downloads += 1;
                progress.advance(downloads, None, module);
            } else {
                packages += 1;
            }
        })?;
        Ok(packages)
    }
}

fn go(sources: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(sources);
    // Static executables; and a Go that is a little too old may fetch the right one, which is itself a
    // Go module.
    command.env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "auto").env("GOWORK", "off");
    command
}

/// The version that `go.mod` requires of a module.
pub fn required_version<'a>(go_mod: &'a str, module: &str) -> &'a str {
    go_mod
        .lines()
        .map(|line| line.trim_start().trim_start_matches("require "))
        .find_map(|line| line.strip_prefix(module)?.strip_prefix(' '))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_required_version_is_found_inside_and_outside_of_a_block() {
        let go_mod = "module m\n\nrequire example.org/a v1.2.3\n\nrequire (\n\texample.org/b v4.5.6 // indirect\n)\n";
        assert_eq!(required_version(go_mod, "example.org/a"), "v1.2.3");
        assert_eq!(required_version(go_mod, "example.org/b"), "v4.5.6");
        assert_eq!(required_version(go_mod, "example.org"), "unknown");
    }

    #[test]
    fn another_pin_is_another_fingerprint() {
        let fingerprint = |content| {
            GoProgram { title: "", files: &[("go.mod", content)], package: ".", variables: &[] }.fingerprint()
        };
        assert_ne!(fingerprint("v1"), fingerprint("v2"));
        assert_eq!(fingerprint("v1"), fingerprint("v1"));
    }
}
