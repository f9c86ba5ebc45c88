//! What is made once from Kafka's jars: formatted data to copy for every new broker, and an archive of
//! loaded classes that halves the start of the Java virtual machine.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{JavaTuning, await_broker, broker, java, properties, secure};
use crate::{
    Cache, Error, KafkaJars, Progress, prerequisites,
    server::{Server, ServerSettings},
    tool,
};

/// Any valid id will do: no broker here ever meets another.
const CLUSTER_ID: &str = "c21zcGlwZWxpbmUtZGV2cw";

/// Jars, formatted data and class archive.
#[derive(Clone, Debug)]
pub struct KafkaBinaries {
    class_path: String,
    formatted: PathBuf,
    class_data_archive: Option<PathBuf>,
}

impl KafkaBinaries {
    /// Makes what is missing, fetching the jars first when needed.
    pub fn install(cache: &Cache, progress: &dyn Progress) -> Result<KafkaBinaries, Error> {
        let class_path = KafkaJars::install(cache, progress)?.class_path()?;
        let version = KafkaJars::version();
        let formatted = cache.install(&format!("kafka-{version}-formatted-with-user"), progress, |partial, log| {
            progress.step("formatting Kafka's storage");
            format_storage(&class_path, partial, log)
        })?;
        let mut binaries = KafkaBinaries { class_path, formatted, class_data_archive: None };
        // An archive fits only the Java that made it.
        let java = prerequisites::java_version().unwrap_or_else(|| "unknown".to_owned());
        let archive = cache.install(&format!("kafka-{version}-java-{java}.jsa"), progress, |partial, log| {
            progress.step("making Kafka start faster (class-data archive)");
            binaries.archive_class_data(partial, log)
        });
        // Without it the broker starts all the same, only slower.
        binaries.class_data_archive = archive.ok();
        Ok(binaries)
    }

    pub(super) fn class_path(&self) -> &str {
        &self.class_path
    }

    pub(super) fn class_data_archive(&self) -> Option<&Path> {
        self.class_data_archive.as_deref()
    }

    /// Makes `data` a freshly formatted data folder.
    pub(super) fn copy_formatted_data(&self, data: &Path) -> Result<(), Error> {
        let partial = data.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(Error::file("remove", &partial))?;
        }
        copy_folder(&self.formatted, &partial)?;
        fs::rename(&partial, data).map_err(Error::file("move into place", data))
    }

    /// Runs a broker once and lets Java write down the classes that it loaded.
    fn archive_class_data(&self, archive: &Path, log: &Path) -> Result<(), Error> {
        let folder = archive.with_extension("run");
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let data = folder.join("data");
        if !data.exists() {
            self.copy_formatted_data(&data)?;
        }
        let file = folder.join("server.properties");
        fs::write(&file, properties::server(0, &data, None)).map_err(Error::file("write", &file))?;
        let mut command = java(&self.class_path, JavaTuning::QuickStart);
        command.arg(format!("-XX:ArchiveClassesAtExit={}", archive.display()));
        let settings = broker(command, &file, log.to_owned());
        // Java writes the archive while it stops.
        let mut server = Server::start(ServerSettings { stop_within: Duration::from_mins(2), ..settings })?;
        await_broker(&mut server, None)?;
        server.stop();
        fs::remove_dir_all(&folder).map_err(Error::file("remove", &folder))?;
        if archive.exists() { Ok(()) } else { Err(server.failure("wrote no class-data archive")) }
    }
}

/// Kafka's own tool, not a `meta.properties` by hand: it also records the feature levels, without
/// which the consumer group protocol of KIP-848 is off.
fn format_storage(class_path: &str, partial: &Path, log: &Path) -> Result<(), Error> {
    let file = partial.with_extension("properties");
    fs::write(&file, properties::server(0, partial, None)).map_err(Error::file("write", &file))?;
    let mut command = java(class_path, JavaTuning::QuickStart);
    command.args(["kafka.tools.StorageTool", "format", "--standalone", "--cluster-id", CLUSTER_ID, "--config"]);
    command.arg(&file).args(["--add-scram", &secure::scram_user()]);
    tool::run(&command, log, &mut |_| {})?;
    fs::remove_file(&file).map_err(Error::file("remove", file))
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::file("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::file("list", from))? {
        let entry = entry.map_err(Error::file("list", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(Error::file("copy", source))?;
        }
    }
    Ok(())
}
