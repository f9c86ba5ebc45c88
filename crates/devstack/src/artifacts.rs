//! PostgreSQL and Apache Kafka as Maven artifacts, unpacked once per machine.
//!
//! Versions are pinned in `pom.xml` of this crate and only there.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Cache, Error, Progress, tool};

const POM: &str = include_str!("../pom.xml");
const POSTGRES_GROUP: &str = "io.zonky.test.postgres";

/// An unpacked PostgreSQL: `bin/`, `lib/`, `share/`.
#[derive(Clone, Debug)]
pub struct PostgresBinaries {
    folder: PathBuf,
}

impl PostgresBinaries {
    /// Whether [`PostgresBinaries::install`] has nothing to do.
    pub fn are_installed(cache: &Cache) -> bool {
        cache.find(&postgres_key()).is_some()
    }

    /// Fetches PostgreSQL unless it is in the cache.
    pub fn install(cache: &Cache, progress: &dyn Progress) -> Result<PostgresBinaries, Error> {
        let platform = platform()?;
        let folder = cache.install(&postgres_key(), progress, |partial, log| {
            progress.step(&format!("fetching PostgreSQL {}", pinned("postgres.version")));
            let jar = partial.join("jar");
            let selection = [
                "dependency:unpack-dependencies".to_owned(),
                format!("-DincludeGroupIds={POSTGRES_GROUP}"),
                format!("-DoutputDirectory={}", jar.display()),
                format!("-Dpostgres.platform={platform}"),
            ];
            maven(&selection, partial, log, progress)?;
            let mut unpack = Command::new("tar");
            unpack.arg("-xJf").arg(only_archive(&jar)?).arg("-C").arg(partial);
            tool::run(&unpack, &log.with_extension("tar.log"), &mut |_| {})?;
            fs::remove_dir_all(&jar).map_err(Error::file("remove", jar))
        })?;
        Ok(PostgresBinaries { folder })
    }

    /// The folder that everything is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of `initdb` or `postgres`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }
}

/// The jars of Kafka. What a broker needs besides is made from them in `kafka/template.rs`.
#[derive(Clone, Debug)]
pub struct KafkaJars {
    folder: PathBuf,
}

impl KafkaJars {
    /// Whether [`KafkaJars::install`] has nothing to do.
    pub fn are_installed(cache: &Cache) -> bool {
        cache.find(&kafka_key()).is_some()
    }

    /// Fetches Kafka unless it is in the cache.
    pub fn install(cache: &Cache, progress: &dyn Progress) -> Result<KafkaJars, Error> {
        let folder = cache.install(&kafka_key(), progress, |partial, log| {
            progress.step(&format!("fetching Apache Kafka {}", pinned("kafka.version")));
            let selection = [
                "dependency:copy-dependencies".to_owned(),
                format!("-DexcludeGroupIds={POSTGRES_GROUP}"),
                format!("-DoutputDirectory={}", partial.join("lib").display()),
                format!("-Dpostgres.platform={}", platform()?),
            ];
            maven(&selection, partial, log, progress)
        })?;
        Ok(KafkaJars { folder: folder.join("lib") })
    }

    /// The version in `pom.xml`.
    pub fn version() -> &'static str {
        pinned("kafka.version")
    }

    /// Every jar, in the same order on every machine: a class-data archive fits only the class path
    /// that it was made with.
    pub fn class_path(&self) -> Result<String, Error> {
        let mut jars: Vec<String> = fs::read_dir(&self.folder)
            .map_err(Error::file("list", &self.folder))?
            .filter_map(Result::ok)
            .map(|entry| entry.path().to_string_lossy().into_owned())
            .collect();
        jars.sort();
        Ok(jars.join(":"))
    }
}

fn postgres_key() -> String {
    format!("postgres-{}", pinned("postgres.version"))
}

fn kafka_key() -> String {
    format!("kafka-{}", pinned("kafka.version"))
}

fn maven(selection: &[String], partial: &Path, log: &Path, progress: &dyn Progress) -> Result<(), Error> {
    fs::create_dir_all(partial).map_err(Error::file("create", partial))?;
    let pom = partial.join("pom.xml");
    fs::write(&pom, POM).map_err(Error::file("write", &pom))?;
    let mut command = Command::new("mvn");
    command.args(["--batch-mode", "--strict-checksums", "--file"]).arg(&pom).args(selection);
    let mut files = 0;
    tool::run(&command, log, &mut |line| {
        if let Some(address) = line.split_once("Downloaded from ").and_then(|(_, rest)| rest.split_whitespace().nth(1))
        {
            files += 1;
            progress.advance(files, None, address.rsplit('/').next().unwrap_or(address));
        }
    })
}

/// What the artifact is called for this machine.
fn platform() -> Result<&'static str, Error> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-amd64"),
        ("linux", "aarch64") => Ok("linux-arm64v8"),
        ("macos", "x86_64") => Ok("darwin-amd64"),
        ("macos", "aarch64") => Ok("darwin-arm64v8"),
        (system, processor) => Err(Error::Machine(format!(
            "there is no PostgreSQL artifact for {system} on {processor}; Linux and macOS on x86-64 and ARM64 are supported"
        ))),
    }
}

fn only_archive(folder: &Path) -> Result<PathBuf, Error> {
    let mut files = fs::read_dir(folder).map_err(Error::file("list", folder))?.filter_map(Result::ok);
    files
        .find_map(|file| Some(file.path()).filter(|path| path.extension().is_some_and(|extension| extension == "txz")))
        .ok_or_else(|| Error::Machine(format!("the PostgreSQL artifact in {} holds no .txz archive", folder.display())))
}

/// A version property of `pom.xml`.
fn pinned(property: &str) -> &'static str {
    POM.split_once(&format!("<{property}>"))
        .and_then(|(_, rest)| rest.split_once("</"))
        .map_or("unknown", |(version, _)| version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_are_read_from_the_pom() {
        for property in ["postgres.version", "kafka.version"] {
            let version = pinned(property);
            assert!(version.split('.').all(|part| part.parse::<u32>().is_ok()), "{property} is {version:?}");
        }
    }

    #[test]
    fn this_machine_has_an_artifact() {
        assert!(platform().is_ok());
    }
}
