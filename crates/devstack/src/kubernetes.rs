//! A real Kubernetes control plane on loopback: etcd, API server and, unless it is left out, controller manager.
//!
//! No scheduler and no node, so Pods are made and stay Pending. Custom resource definitions and
//! namespaces are the caller's business.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    Error,
    claim::Claim,
    ports, random,
    server::{Server, ServerSettings},
    tool,
};

pub use binaries::KubernetesBinaries;

mod binaries;
mod components;

const READY_WITHIN: Duration = Duration::from_mins(2);
/// How often a start is tried: another process may take a port between finding and using it.
const ATTEMPTS: u32 = 3;

/// A running control plane. Dropping it stops it.
#[derive(Debug)]
pub struct ControlPlane {
    /// In the order in which they stop: each before what it talks to.
    controllers: Option<Server>,
    api_server: Server,
    etcd: Server,
    plan: components::Plan,
    binaries: KubernetesBinaries,
    claim: Claim,
}

impl ControlPlane {
    /// Starts it in `folder`, with an empty etcd, and returns when it serves and the controllers work.
    pub fn start(binaries: &KubernetesBinaries, folder: &Path) -> Result<ControlPlane, Error> {
        ControlPlane::start_with(binaries, folder, Controllers::Run)
    }

    /// Like [`ControlPlane::start`], without the controller manager: nobody but its clients writes.
    pub fn start_without_controllers(binaries: &KubernetesBinaries, folder: &Path) -> Result<ControlPlane, Error> {
        ControlPlane::start_with(binaries, folder, Controllers::Absent)
    }

    fn start_with(
        binaries: &KubernetesBinaries,
        folder: &Path,
        controllers: Controllers,
    ) -> Result<ControlPlane, Error> {
        let claim = Claim::on(folder)?;
        let mut attempt = 1;
        loop {
            match start_servers(binaries, &claim, controllers) {
                Ok((servers, plan)) => {
                    let Servers { controllers, api_server, etcd } = servers;
                    let binaries = binaries.clone();
                    return Ok(ControlPlane { controllers, api_server, etcd, plan, binaries, claim });
                }
                Err(Error::Start { log, .. }) if attempt < ATTEMPTS && lost_its_port(&log) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.plan.kubeconfig()
    }

    /// The kubectl that belongs to it.
    pub fn kubectl(&self) -> PathBuf {
        self.binaries.program("kubectl")
    }

    /// Kills the API server, as a crash would. [`ControlPlane::restart_api_server`] brings it back.
    pub fn kill_api_server(&mut self) {
        self.api_server.kill();
    }

    /// Stops the API server if it runs, starts it again on the same port with the same data, and returns when it serves.
    pub fn restart_api_server(&mut self) -> Result<(), Error> {
        self.api_server.stop();
        self.api_server = start_api_server(&self.binaries, &self.plan, &self.claim)?;
        Ok(())
    }

    /// Stops all of it.
    pub fn stop(&mut self) {
        for server in self.controllers.iter_mut().chain([&mut self.api_server, &mut self.etcd]) {
            server.stop();
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // Fields are dropped in the same order; this says that the order matters.
        self.stop();
    }
}

/// Whether the controller manager runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controllers {
    Run,
    Absent,
}

/// What was started.
struct Servers {
    controllers: Option<Server>,
    api_server: Server,
    etcd: Server,
}

fn start_servers(
    binaries: &KubernetesBinaries,
    claim: &Claim,
    controllers: Controllers,
) -> Result<(Servers, components::Plan), Error> {
    let plan = components::Plan {
        folder: claim.folder().to_owned(),
        etcd_port: ports::free_port()?,
        etcd_peer_port: ports::free_port()?,
        api_port: ports::free_port()?,
    };
    prepare(&plan)?;
    let mut etcd = start(claim, "etcd", plan.etcd(&binaries.program("etcd")))?;
    etcd.wait_until(READY_WITHIN, |_| listens(plan.etcd_port))?;
    let api_server = start_api_server(binaries, &plan, claim)?;
    if controllers == Controllers::Absent {
        return Ok((Servers { controllers: None, api_server, etcd }, plan));
    }
    let program = binaries.program("kube-controller-manager");
    let mut controllers = start(claim, "kube-controller-manager", plan.controller_manager(&program))?;
    // Made by a controller, and without it the API server refuses Pods.
    controllers.wait_until(READY_WITHIN, |_| kubectl(binaries, &plan, &["get", "serviceaccount", "default"]))?;
    Ok((Servers { controllers: Some(controllers), api_server, etcd }, plan))
}

fn start_api_server(binaries: &KubernetesBinaries, plan: &components::Plan, claim: &Claim) -> Result<Server, Error> {
    let mut server = start(claim, "kube-apiserver", plan.api_server(&binaries.program("kube-apiserver")))?;
    server.wait_until(READY_WITHIN, |_| listens(plan.api_port))?;
    // The certificate is there before the port is.
    server.wait_until(READY_WITHIN, |_| kubectl(binaries, plan, &["get", "--raw", "/readyz"]))?;
    Ok(server)
}

fn start(claim: &Claim, name: &str, command: Command) -> Result<Server, Error> {
    claim.end_orphan(name)?;
    let mut settings = ServerSettings::new(name, command, claim.folder().join(format!("{name}.log")));
    settings.stop_within = Duration::from_secs(5); // nothing here outlives the run
    let server = Server::start(settings)?;
    claim.remember(name, server.pid())?;
    Ok(server)
}

fn kubectl(binaries: &KubernetesBinaries, plan: &components::Plan, arguments: &[&str]) -> Option<()> {
    let mut command = Command::new(binaries.program("kubectl"));
    tool::output(command.arg("--kubeconfig").arg(plan.kubeconfig()).args(arguments)).map(drop)
}

fn listens(port: u16) -> Option<()> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(drop)
}

/// Writes what the components read: a key, a token and the kubeconfig with it.
fn prepare(plan: &components::Plan) -> Result<(), Error> {
    let data = plan.folder.join("etcd");
    if data.exists() {
        fs::remove_dir_all(&data).map_err(Error::file("remove", &data))?;
    }
    let mut openssl = Command::new("openssl");
    // Not `genpkey`: the API server takes the public half out of this older form of file only.
    openssl.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"]);
    openssl.arg(plan.service_account_key());
    tool::run(&openssl, &plan.folder.join("openssl.log"), &mut |_| {})?;
    let token = random::secret()?;
    write_secret(&plan.tokens(), &format!("{token},admin,admin,\"system:masters\"\n"))?;
    write_secret(&plan.kubeconfig(), &plan.kubeconfig_text(&token))
}

fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let write = |mut file: File| file.write_all(text.as_bytes());
    let opened = File::options().write(true).create(true).truncate(true).mode(0o600).open(path);
    opened.and_then(write).map_err(Error::file("write", path))
}

fn lost_its_port(log: &Path) -> bool {
    fs::read_to_string(log).is_ok_and(|text| text.contains("address already in use"))
}
