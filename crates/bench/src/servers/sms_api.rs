//! sms-api as a child process, with the settings that it has by default.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use devstack::{Server, ServerSettings, last_lines};
use uuid::Uuid;

use super::{free_address, programs, until_ready, write_secret};

/// A running sms-api. Dropping it stops it.
#[derive(Debug)]
pub struct SmsApi {
    server: Server,
    address: SocketAddr,
    internal: SocketAddr,
    token_file: PathBuf,
}

impl SmsApi {
    /// Brings the database's schema up to date, starts to serve and returns when it is ready.
    pub async fn start(folder: &Path, database_url: &str, bootstrap_servers: &str) -> anyhow::Result<SmsApi> {
        let program = &programs()?.join("sms-api");
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
        let mut server = Server::start(ServerSettings::new("sms-api", serve, folder.join("sms-api.log")))?;
        until_ready(&mut server, metrics).await?;
        Ok(SmsApi { server, address, internal, token_file })
    }

    /// Where its public API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes reports.
    pub fn internal_url(&self) -> String {
        format!("http://{}", self.internal)
    }

    /// The token that reports must bring.
    pub fn token_file(&self) -> &Path {
        &self.token_file
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Stops it in good order.
    pub fn stop(mut self) {
        self.server.stop();
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
