//! Files, ports and flags of the components.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Where one control plane keeps its files and listens.
#[derive(Debug)]
pub struct Plan {
    pub folder: PathBuf,
    pub etcd_port: u16,
    pub etcd_peer_port: u16,
    pub api_port: u16,
}

impl Plan {
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens.csv")
    }

    pub fn service_account_key(&self) -> PathBuf {
        self.folder.join("service-account.key")
    }

    /// JSON, which is YAML too. The token is a secret; the certificate authority is the one that the
    /// API server makes for itself, at the end of the file with its serving certificate.
    pub fn kubeconfig_text(&self, token: &str) -> String {
        let (port, authority) = (self.api_port, self.serving_certificate());
        let authority = authority.display();
        format!(
            r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "devstack",
"clusters": [{{"name": "devstack", "cluster": {{"server": "https://127.0.0.1:{port}", "certificate-authority": "{authority}"}}}}],
"users": [{{"name": "admin", "user": {{"token": "{token}"}}}}],
"contexts": [{{"name": "devstack", "context": {{"cluster": "devstack", "user": "admin"}}}}]}}
"#
        )
    }

    pub fn etcd(&self, program: &Path) -> Command {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        let mut command = Command::new(program);
        command.arg("--data-dir").arg(self.folder.join("etcd"));
        // Disposable data: waiting for the disk would only slow every write down.
        command.args(["--name", "devstack", "--log-level", "warn", "--unsafe-no-fsync"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("devstack={peer}")]);
        command
    }

    pub fn api_server(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--cert-dir").arg(self.certificates());
        command.arg("--token-auth-file").arg(self.tokens());
        command.arg("--service-account-key-file").arg(self.service_account_key());
        command.arg("--service-account-signing-key-file").arg(self.service_account_key());
        command.args([
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--secure-port={}", self.api_port),
        ]);
        command.args([
            "--bind-address=127.0.0.1",
            // Never contacted (RFC 5737). It may not be on loopback, and without it the API server asks
            // for a default route, which a machine without network does not have.
            "--advertise-address=192.0.2.1",
            "--external-hostname=127.0.0.1",
            // Nobody reaches us by the `kubernetes` Service.
            "--endpoint-reconciler-type=none",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=RBAC",
            "--allow-privileged=true",
            "--enable-priority-and-fairness=false",
            "--profiling=false",
            "--event-ttl=1h",
        ]);
        command
    }

    pub fn controller_manager(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
            command.arg(flag).arg(self.kubeconfig());
        }
        command.arg("--service-account-private-key-file").arg(self.service_account_key());
        command.arg("--root-ca-file").arg(self.serving_certificate());
        command.args([
            // No port to lose to another process.
            "--secure-port=0",
            "--leader-elect=false",
            // The administrator's rights for all controllers: the default ServiceAccount is there in
            // 0.3 s instead of 5 s, because no credentials are made per controller first.
            "--use-service-account-credentials=false",
            "--allocate-node-cidrs=false",
            "--horizontal-pod-autoscaler-sync-period=2s",
            // Tests run side by side; the default of 20 requests per second would queue them.
            "--kube-api-qps=300",
            "--kube-api-burst=600",
            "--profiling=false",
            // What serves nodes, clouds and volumes has nothing to do here.
            "--controllers=*,-node-ipam-controller,-node-lifecycle-controller,-node-route-controller,\
             -service-lb-controller,-cloud-node-lifecycle-controller,-taint-eviction-controller,\
             -persistentvolume-attach-detach-controller,-persistentvolume-binder-controller,\
             -persistentvolume-expander-controller,-certificatesigningrequest-signing-controller,\
             -certificatesigningrequest-approving-controller,-certificatesigningrequest-cleaner-controller",
        ]);
        command
    }

    fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    /// Written by the API server when `--cert-dir` has none.
    fn serving_certificate(&self) -> PathBuf {
        self.certificates().join("apiserver.crt")
    }
}
