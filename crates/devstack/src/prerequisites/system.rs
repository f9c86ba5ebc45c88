//! The machine's package manager.

use std::{fs, process::Command};

use nix::unistd::geteuid;

use super::{GO, NEED_GO, Need, version};
use crate::{Cache, Error, Progress, tool};

/// What installs packages here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Debian, Ubuntu and their relatives.
    Debian,
    /// macOS.
    Homebrew,
    /// Something that we know no commands for.
    Other,
}

impl System {
    pub fn of_this_machine() -> System {
        if cfg!(target_os = "macos") {
            return System::Homebrew;
        }
        if is_debian(&fs::read_to_string("/etc/os-release").unwrap_or_default()) {
            System::Debian
        } else {
            System::Other
        }
    }

    /// Whether packages may be installed without asking.
    pub fn can_install(self) -> bool {
        self == System::Debian && geteuid().is_root()
    }

    /// One sentence for each kind of missing thing, with the command that brings it.
    pub fn advice(self, missing: &[Need]) -> String {
        let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
        let mut sentences = vec![format!("this machine lacks {}", names.join(", "))];
        match self {
            System::Debian => {
                let packages = debian_packages(missing);
                if !packages.is_empty() {
                    sentences.push(format!("run: sudo apt-get install --yes {}", packages.join(" ")));
                }
                if names.contains(&NEED_GO) && !packages.contains(&"golang-go") {
                    sentences.push(GO_ADVICE.to_owned());
                }
            }
            System::Homebrew => {
                let mut formulas: Vec<&str> = missing.iter().map(|need| need.homebrew).collect();
                formulas.dedup();
                sentences.push(format!("run: brew install {}", formulas.join(" ")));
            }
            System::Other => sentences.push("install them with the package manager of this system".to_owned()),
        }
        sentences.join("; ")
    }
}

/// Installs what brings the missing things; some may have no package and stay missing.
pub fn install_with_apt(missing: &[Need], cache: &Cache, progress: &dyn Progress) -> Result<(), Error> {
    let log = cache.log("apt-get");
    let mut lines = 0;
    let mut apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        tool::run(&command, &log, &mut |line| {
            lines += 1;
            progress.advance(lines, None, line);
        })
    };
    apt_get(&["update"])?;
    let packages = debian_packages(missing);
    if packages.is_empty() {
        return Ok(());
    }
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt_get(&arguments)
}

const GO_ADVICE: &str = "the Go of this release is too old: unpack a newer one from https://go.dev/dl/ and put it on \
                         PATH, or put helm on PATH and set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver, \
                         kube-controller-manager and kubectl";

/// Whether `/etc/os-release` names Debian or a relative of it.
fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .any(|name| name == "debian" || name == "ubuntu")
}

/// For each need the first of its packages that this release has.
fn debian_packages(missing: &[Need]) -> Vec<&'static str> {
    missing.iter().filter_map(|need| need.debian.iter().copied().find(|package| is_offered(package))).collect()
}

fn is_offered(package: &str) -> bool {
    let Some(policy) = tool::output(Command::new("apt-cache").args(["policy", package])) else { return false };
    let candidate = version::of_apt_candidate(&policy);
    // Installing a Go that cannot build Kubernetes would help nobody.
    candidate.is_some_and(|found| package != "golang-go" || found >= GO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(name: &'static str, debian: &'static [&'static str]) -> Need {
        Need { name, debian, homebrew: name, is_met: || false }
    }

    #[test]
    fn debian_ubuntu_and_their_relatives_are_recognised() {
        assert!(is_debian("PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\n"));
        assert!(is_debian("ID=ubuntu\nID_LIKE=debian\n"));
        assert!(is_debian("ID=pop\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\n"));
    }

    #[test]
    fn the_advice_names_what_is_missing_and_the_command() {
        let advice = System::Homebrew.advice(&[need("make", &["make"]), need("maven", &["maven"])]);
        assert_eq!(advice, "this machine lacks make, maven; run: brew install make maven");
    }

    #[test]
    fn a_missing_go_without_a_package_is_explained() {
        let advice = System::Debian.advice(&[need(NEED_GO, &[])]);
        assert!(advice.contains("this machine lacks Go 1.24 or newer; the Go of this release is too old"), "{advice}");
    }
}
