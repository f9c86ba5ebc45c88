//! What the reports of all benchmarks have in common: conditions, targets, and how they are drawn. Pure, except for
//! [`folder`] and [`write`].

pub mod svg;
pub mod table;
pub mod targets;
pub mod timeline;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;

use crate::servers;

/// Under which conditions figures came about.
#[derive(Clone, Debug, Serialize)]
pub struct Conditions {
    /// When.
    pub started_at: Timestamp,
    /// How many CPUs servers, services and load generator shared.
    pub cpus: usize,
    /// Over 1, 5 and 15 minutes, before anything was started: what else ran.
    pub load_average: [f64; 3],
    /// Over how many rounds everything was measured.
    pub rounds: u32,
    /// PostgreSQL's settings, by name; none where no PostgreSQL takes part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub postgres: BTreeMap<String, String>,
}

impl Conditions {
    /// Those of now.
    pub fn now(load_average: [f64; 3], rounds: u32, postgres: BTreeMap<String, String>) -> Conditions {
        Conditions {
            started_at: Timestamp::now(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            load_average,
            rounds,
            postgres,
        }
    }

    /// PostgreSQL's part of what shared the machine.
    pub fn postgres(&self) -> String {
        let setting = |name: &str| self.postgres.get(name).map_or("?", String::as_str);
        format!("PostgreSQL {} (fsync {})", setting("server_version"), setting("fsync"))
    }

    /// The end of a picture's caption: what shared how many CPUs, and when.
    pub fn caption(&self, shared_by: &str) -> String {
        format!("{} CPUs for {shared_by}. {}", self.cpus, self.started_at.strftime("%Y-%m-%d"))
    }
}

/// The folder for everything that a benchmark writes, made if need be; `chosen`, or `bench` beside release builds.
pub fn folder(chosen: Option<&Path>) -> anyhow::Result<PathBuf> {
    let folder = match chosen {
        Some(folder) => folder.to_owned(),
        None => servers::programs()?.with_file_name("bench"),
    };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Writes `name.json` and `name.svg` into a folder.
pub fn write(folder: &Path, name: &str, json: &str, svg: &str) -> anyhow::Result<()> {
    for (ending, content) in [("json", json), ("svg", svg)] {
        let file = folder.join(format!("{name}.{ending}"));
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        println!("wrote {}", file.display());
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Two rounds on two CPUs.
    pub fn conditions() -> Conditions {
        Conditions {
            started_at: Timestamp::UNIX_EPOCH,
            cpus: 2,
            load_average: [0.1, 0.2, 0.3],
            rounds: 2,
            postgres: BTreeMap::from([("fsync".to_owned(), "on".to_owned())]),
        }
    }

    #[test]
    fn without_postgresql_there_are_no_settings_of_it() {
        let json = serde_json::to_value(Conditions { postgres: BTreeMap::new(), ..conditions() }).expect("JSON");
        assert_eq!(json.get("postgres"), None);
        assert_eq!(json["started_at"], "1970-01-01T00:00:00Z");
    }
}
