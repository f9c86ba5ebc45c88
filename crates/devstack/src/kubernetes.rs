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
    servers: Vec<Server>,
    kubeconfig: PathBuf,
    kubectl: PathBuf,
    _claim: Claim,
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
        let folder = claim.folder().to_owned();
        let mut attempt = 1;
        loop {
            match start_servers(binaries, &claim, controllers) {
                Ok(servers) => {
                    let (kubeconfig, kubectl) = (folder.join("kubeconfig"), binaries.program("kubectl"));
                    return Ok(ControlPlane { servers, kubeconfig, kubectl, _claim: claim });
                }
                Err(Error::Start { log, .. }) if attempt < ATTEMPTS && lost_its_port(&log) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The kubectl that belongs to it.
    pub fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    /// Stops all of it.
    pub fn stop(&mut self) {
        for server in &mut self.servers {
            server.stop();
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // A Vec would drop its elements in the same order; this says that the order matters.
        self.stop();
    }
}

/// Whether the controller manager runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Controllers {
    Run,
    Absent,
}

fn start_servers(binaries: &KubernetesBinaries, claim: &Claim, controllers: Controllers) -> Result<Vec<Server>, Error> {
    let folder = claim.folder();
    let plan = components::Plan {
        folder,
        etcd_port: ports::free_port()?,
        etcd_peer_port: ports::free_port()?,
        api_port: ports::free_port()?,
    };
    prepare(&plan)?;
    let start = |name: &str, command: Command| {
        claim.end_orphan(name)?;
        let mut settings = ServerSettings::new(name, command, folder.join(format!("{name}.log")));
        settings.stop_within = Duration::from_secs(5); // nothing here outlives the run
        let server = Server::start(settings)?;
        claim.remember(name, server.pid())?;
        Ok::<Server, Error>(server)
    };
    let kubectl = |arguments: &[&str]| {
        let mut command = Command::new(binaries.program("kubectl"));
        tool::output(command.arg("--kubeconfig").arg(plan.kubeconfig()).args(arguments)).map(drop)
    };
    let listens = |port: u16| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(drop);

    let mut etcd = start("etcd", plan.etcd(&binaries.program("etcd")))?;
    etcd.wait_until(READY_WITHIN, |_| listens(plan.etcd_port))?;
    let mut api_server = start("kube-apiserver", plan.api_server(&binaries.program("kube-apiserver")))?;
    api_server.wait_until(READY_WITHIN, |_| listens(plan.api_port))?;
    // The certificate is there before the port is.
    api_server.wait_until(READY_WITHIN, |_| kubectl(&["get", "--raw", "/readyz"]))?;
    if controllers == Controllers::Absent {
        return Ok(vec![api_server, etcd]);
    }
    let mut controllers =
        start("kube-controller-manager", plan.controller_manager(&binaries.program("kube-controller-manager")))?;
    // Made by a controller, and without it the API server refuses Pods.
    controllers.wait_until(READY_WITHIN, |_| kubectl(&["get", "serviceaccount", "default"]))?;
    Ok(vec![controllers, api_server, etcd])
}

/// Writes what the components read: a key, a token and the kubeconfig with it.
fn prepare(plan: &components::Plan<'_>) -> Result<(), Error> {
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
