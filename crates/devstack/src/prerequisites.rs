//! What the machine must have, and how it gets it.
//!
//! Every check runs the thing itself. What is missing is installed with apt-get where we are root on
//! Debian or Ubuntu; otherwise one sentence names the command to run. To add something: one entry in
//! [`needs`].

use std::process::Command;

use crate::{
    Cache, Error, Helm, KafkaJars, KubernetesBinaries, PostgresBinaries, Progress, Schemathesis, schemathesis, tool,
};

use system::System;
use version::Version;

mod system;
mod version;

const JAVA: Version = Version(17, 0);
const GO: Version = Version(1, 24);
const PYTHON: Version = Version(3, 10);

/// What the machine is about to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Build and run the product on PostgreSQL and Kafka.
    Run,
    /// That, and run the tests, which also want Kubernetes, helm and schemathesis.
    Test,
}

/// One thing that the machine needs.
struct Need {
    /// For people.
    name: &'static str,
    /// Debian packages that bring it; the first that the machine's release has is taken.
    debian: &'static [&'static str],
    /// The formula for Homebrew.
    homebrew: &'static str,
    /// Whether it is there and works.
    is_met: fn() -> bool,
}

/// Makes sure of everything that `purpose` needs and the cache does not already make unnecessary.
pub fn ensure(purpose: Purpose, cache: &Cache, progress: &dyn Progress) -> Result<(), Error> {
    progress.step("checking what this machine has");
    let missing = unmet(purpose, cache);
    if missing.is_empty() {
        return Ok(());
    }
    let system = System::of_this_machine();
    if system.can_install() {
        let names: Vec<&str> = missing.iter().map(|need| need.name).collect();
        progress.step(&format!("installing {}", names.join(", ")));
        system::install_with_apt(&missing, cache, progress)?;
    }
    let missing = if system.can_install() { unmet(purpose, cache) } else { missing };
    if missing.is_empty() { Ok(()) } else { Err(Error::Machine(system.advice(&missing))) }
}

/// The full version of the Java on PATH.
pub fn java_version() -> Option<String> {
    version::of_java(&tool::output(Command::new("java").arg("-version"))?)
}

fn unmet(purpose: Purpose, cache: &Cache) -> Vec<Need> {
    needs(purpose, cache).into_iter().filter(|need| !(need.is_met)()).collect()
}

fn needs(purpose: Purpose, cache: &Cache) -> Vec<Need> {
    let mut needs = vec![
        Need { name: "a C compiler", debian: &["gcc"], homebrew: "gcc", is_met: || runs("cc", "--version") },
        Need { name: "a C++ compiler", debian: &["g++"], homebrew: "gcc", is_met: || runs("c++", "--version") },
        Need { name: "the C library's headers", debian: &["libc6-dev"], homebrew: "gcc", is_met: compiles_c },
        Need { name: "make", debian: &["make"], homebrew: "make", is_met: || runs("make", "--version") },
        Need {
            name: "pkg-config",
            debian: &["pkg-config"],
            homebrew: "pkgconf",
            is_met: || runs("pkg-config", "--version"),
        },
        Need {
            name: "OpenSSL's headers",
            debian: &["libssl-dev"],
            homebrew: "openssl@3",
            is_met: || has_library("openssl"),
        },
        Need {
            name: "the openssl command",
            debian: &["openssl"],
            homebrew: "openssl@3",
            is_met: || runs("openssl", "version"),
        },
        Need { name: "zlib's headers", debian: &["zlib1g-dev"], homebrew: "zlib", is_met: || has_library("zlib") },
        Need {
            name: "Java 17 or newer",
            debian: &["openjdk-17-jdk-headless", "openjdk-21-jdk-headless", "default-jdk-headless"],
            homebrew: "openjdk@17",
            is_met: || java_version().and_then(|text| Version::parse(&text)).is_some_and(|found| found >= JAVA),
        },
    ];
    if !PostgresBinaries::are_installed(cache) {
        needs.push(Need { name: "tar", debian: &["tar"], homebrew: "gnu-tar", is_met: || runs("tar", "--version") });
        if cfg!(target_os = "linux") {
            // GNU tar calls it; the tar of macOS has it built in.
            needs.push(Need { name: "xz", debian: &["xz-utils"], homebrew: "xz", is_met: || runs("xz", "--version") });
        }
    }
    if !PostgresBinaries::are_installed(cache) || !KafkaJars::are_installed(cache) {
        needs.push(Need { name: "Maven", debian: &["maven"], homebrew: "maven", is_met: || runs("mvn", "--version") });
    }
    if purpose == Purpose::Test && (KubernetesBinaries::find(cache).is_none() || Helm::find(cache).is_none()) {
        needs.push(Need { name: NEED_GO, debian: &["golang-go"], homebrew: "go", is_met: has_go });
    }
    if purpose == Purpose::Test && Schemathesis::find(cache).is_none() {
        needs.push(Need {
            name: "Python 3.10 or newer with pip",
            debian: &["python3-pip"],
            homebrew: "python",
            is_met: has_pip,
        });
    }
    needs
}

const NEED_GO: &str = "Go 1.24 or newer";

fn has_go() -> bool {
    tool::output(Command::new("go").arg("version"))
        .and_then(|text| version::of_go(&text))
        .is_some_and(|found| found >= GO)
}

fn has_pip() -> bool {
    let version = schemathesis::python_version().and_then(|text| Version::parse(&text));
    version.is_some_and(|found| found >= PYTHON)
        && tool::output(Command::new("python3").args(["-m", "pip", "--version"])).is_some()
}

fn runs(program: &str, argument: &str) -> bool {
    tool::output(Command::new(program).arg(argument)).is_some()
}

fn has_library(name: &str) -> bool {
    tool::output(Command::new("pkg-config").args(["--exists", name])).is_some()
}

/// A compiler alone is not enough: on a bare Debian the headers are a package of their own.
fn compiles_c() -> bool {
    tool::output(Command::new("cc").args(["-fsyntax-only", "-include", "stdlib.h", "-x", "c", "/dev/null"])).is_some()
}
