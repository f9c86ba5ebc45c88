//! sms-api as a child process, with the settings that it has by default.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use devstack::{Server, ServerSettings, last_lines};
use uuid::Uuid;

use crate::http::Connection;

const READY_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(20);

/// A running sms-api. Dropping it stops it.
#[derive(Debug)]
pub struct SmsApi {
    server: Server,
    address: SocketAddr,
}

impl SmsApi {
    /// Brings the database's schema up to date, starts to serve and returns when it is ready.
    pub async fn start(
        program: &Path,
        folder: &Path,
        database_url: &str,
        bootstrap_servers: &str,
    ) -> anyhow::Result<SmsApi> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let [url_file, token_file] = ["database-url", "internal-token"].map(|name| folder.join(name));
        write_secret(&url_file, database_url)?;
        write_secret(&token_file, &Uuid::new_v4().simple().to_string())?;

        migrate(program, &url_file)?;
        let [address, internal, metrics] = [free_address()?, free_address()?, free_address()?];
        let mut serve = Command::new(program);
        serve.arg("serve").env("DATABASE_URL_FILE", &url_file).env("INTERNAL_TOKEN_FILE", &token_file);
        serve.env("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers).env("ANONYMOUS", "true");
        serve.env("HTTP_ADDRESS", address.to_string()).env("INTERNAL_ADDRESS", internal.to_string());
        serve.env("METRICS_ADDRESS", metrics.to_string());
        let server = Server::start(ServerSettings::new("sms-api", serve, folder.join("sms-api.log")))?;
        let mut sms_api = SmsApi { server, address };
        sms_api.until_ready(metrics).await?;
        Ok(sms_api)
    }

    /// Where its public API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.server.stop();
    }

    async fn until_ready(&mut self, metrics: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while !is_ready(metrics).await.unwrap_or(false) {
            if let Some(status) = self.server.exited() {
                return Err(self.server.failure(&format!("ended instead of starting ({status})")).into());
            }
            if Instant::now() > deadline {
                return Err(self.server.failure("did not become ready").into());
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

fn migrate(program: &Path, url_file: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.arg("migrate").env("DATABASE_URL_FILE", url_file).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("`sms-api migrate` failed ({}):\n{}", output.status, last_lines(&String::from_utf8_lossy(&said), 15));
    }
    Ok(())
}

async fn is_ready(metrics: SocketAddr) -> anyhow::Result<bool> {
    Ok(Connection::open(metrics).await?.get("/readyz").await? == 200)
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, devstack::free_port()?)))
}

fn write_secret(path: &Path, secret: &str) -> anyhow::Result<()> {
    let mut options = File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
