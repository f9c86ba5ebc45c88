//! A real Apache Kafka on loopback: one node, broker and controller in one process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    Error,
    claim::Claim,
    ports,
    server::{Server, ServerSettings},
};

pub use secure::SecureListener;
pub use template::KafkaBinaries;

mod properties;
mod secure;
mod template;

const NAME: &str = "Kafka";
/// Where the first listener is.
const ADDRESS: &str = "127.0.0.1";
const READY_WITHIN: Duration = Duration::from_mins(2);
/// Small and quick to start.
const QUICK_START: &[&str] = &["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// What `kafka-server-start.sh` and `kafka-run-class.sh` of Apache Kafka 4 choose.
const AS_SHIPPED: &[&str] = &[
    "-Xms1G",
    "-Xmx1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-XX:MaxInlineLevel=15",
];
/// Lines of these loggers tell the port and the readiness; everything else is heard from WARN up.
const LOG_OPTIONS: [&str; 6] = [
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.network.DataPlaneAcceptor=info",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
];

/// What Java is tuned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JavaTuning {
    /// A broker that starts at once and needs neither much memory nor the optimising compiler: for tests and laptops.
    QuickStart,
    /// As Kafka's own scripts start it: for measurements.
    AsShipped,
}

/// Where and how to run.
#[derive(Clone, Copy, Debug)]
pub struct KafkaSettings<'a> {
    /// Holds the data and the log; made when missing, kept otherwise.
    pub folder: &'a Path,
    /// The port; `None` for a free one.
    pub port: Option<u16>,
    /// What Java is tuned for.
    pub tuning: JavaTuning,
}

/// A Kafka broker. Dropping it stops it; the data stays.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
    port: u16,
    binaries: KafkaBinaries,
    tuning: JavaTuning,
    claim: Claim,
    secure: Option<SecureListener>,
}

impl Kafka {
    /// Starts it and returns when it serves.
    pub fn start(binaries: &KafkaBinaries, settings: &KafkaSettings<'_>) -> Result<Kafka, Error> {
        Kafka::start_on(binaries, settings, |_| Ok(None))
    }

    /// Like [`Kafka::start`], with a second listener that wants TLS and a password.
    pub fn start_secured(binaries: &KafkaBinaries, settings: &KafkaSettings<'_>) -> Result<Kafka, Error> {
        Kafka::start_on(binaries, settings, |folder| SecureListener::prepare(&folder.join("tls")).map(Some))
    }

    fn start_on(
        binaries: &KafkaBinaries,
        settings: &KafkaSettings<'_>,
        secure: impl FnOnce(&Path) -> Result<Option<SecureListener>, Error>,
    ) -> Result<Kafka, Error> {
        if let Some(port) = settings.port {
            ports::expect_free(NAME, port)?;
        }
        let claim = Claim::on(settings.folder)?;
        claim.end_orphan("kafka")?;
        let mut secure = secure(claim.folder())?;
        let (server, port) = launch(binaries, &claim, settings.port, settings.tuning, secure.as_ref())?;
        if let Some(secure) = &mut secure {
            let port = listening_port(&server.log_text(), secure::ADDRESS);
            secure.listen_on(port.ok_or_else(|| server.failure("does not tell its second port"))?);
        }
        Ok(Kafka { server, port, binaries: binaries.clone(), tuning: settings.tuning, claim, secure })
    }

    /// What clients connect to first, and always: it is the only broker.
    pub fn bootstrap_servers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The second listener of a broker that was [started secured](Kafka::start_secured).
    pub fn secure(&self) -> Option<&SecureListener> {
        self.secure.as_ref()
    }

    /// The process id of the broker.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The process itself, to watch it.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Freezes the broker: connections stay open and nobody answers.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Ends a [`Kafka::pause`].
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Kills the broker, as a crash would. [`Kafka::restart`] brings it back.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the broker if it runs and starts it again on the same port with the same data.
    pub fn restart(&mut self) -> Result<(), Error> {
        self.server.stop();
        let secure = self.secure.as_ref();
        (self.server, self.port) = launch(&self.binaries, &self.claim, Some(self.port), self.tuning, secure)?;
        Ok(())
    }

    /// Stops the broker in good order.
    pub fn stop(&mut self) {
        self.server.stop();
    }
}

/// Starts a broker in a claimed folder. Without a port the kernel picks one, so nothing can take it in
/// between; the log tells which.
fn launch(
    binaries: &KafkaBinaries,
    claim: &Claim,
    port: Option<u16>,
    tuning: JavaTuning,
    secure: Option<&SecureListener>,
) -> Result<(Server, u16), Error> {
    let data = claim.folder().join("data");
    if !data.exists() {
        binaries.copy_formatted_data(&data)?;
    }
    let file = claim.folder().join("server.properties");
    fs::write(&file, properties::server(port.unwrap_or(0), &data, secure)).map_err(Error::file("write", &file))?;
    let mut command = java(binaries.class_path(), tuning);
    if let Some(archive) = binaries.class_data_archive() {
        command.arg("-Xshare:auto").arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    let mut server = Server::start(broker(command, &file, claim.folder().join("kafka.log")))?;
    claim.remember("kafka", server.pid())?;
    let port = await_broker(&mut server, port)?;
    Ok((server, port))
}

/// A Java virtual machine with Kafka's classes, ready for options and a main class.
fn java(class_path: &str, tuning: JavaTuning) -> Command {
    let mut command = Command::new("java");
    // A class path on the command line would make every listing of processes pages long.
    command.env("CLASSPATH", class_path).args(match tuning {
        JavaTuning::QuickStart => QUICK_START,
        JavaTuning::AsShipped => AS_SHIPPED,
    });
    command
}

fn broker(mut java: Command, properties: &Path, log: PathBuf) -> ServerSettings {
    java.args(LOG_OPTIONS).arg("kafka.Kafka").arg(properties);
    ServerSettings::new(NAME, java, log)
}

/// Waits until the broker serves and returns its port.
fn await_broker(server: &mut Server, wanted: Option<u16>) -> Result<u16, Error> {
    let ready = server.wait_until(READY_WITHIN, |log| {
        let text = log.text();
        text.contains("Kafka Server started").then(|| listening_port(&text, ADDRESS)).flatten()
    });
    match (ready, wanted) {
        (Err(_), Some(port)) if server.log_text().contains("Address already in use") => {
            Err(Error::PortTaken { server: NAME, port })
        }
        (ready, _) => ready,
    }
}

/// The broker's port on `address`: its acceptor is the last there to say where it listens, after the controller's.
fn listening_port(log: &str, address: &str) -> Option<u16> {
    let (_, port) = log.rsplit_once(&format!("Awaiting socket connections on {address}:"))?;
    port.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_broker_and_not_that_of_the_controller() {
        let log = "12:00 [main] INFO kafka.network.DataPlaneAcceptor - Awaiting socket connections on 127.0.0.1:40001.\n\
                   12:01 [main] INFO kafka.network.DataPlaneAcceptor - Awaiting socket connections on 127.0.0.1:40002.\n\
                   12:01 [main] INFO kafka.network.DataPlaneAcceptor - Awaiting socket connections on 127.0.0.2:40003.\n\
                   12:01 [main] INFO kafka.server.KafkaRaftServer - Kafka Server started\n";
        assert_eq!(listening_port(log, "127.0.0.1"), Some(40002));
        assert_eq!(listening_port(log, "127.0.0.2"), Some(40003));
    }
}
