use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Secret, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Config,
    api::{DynamicObject, ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::ApiResource,
};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{Binary, Environment, environment::loopback_address, unique};

/// A namespace of its own on the run's API server.
pub struct Cluster {
    /// The namespace.
    pub namespace: String,
    /// A client with every right.
    pub client: Client,
    kubeconfig: PathBuf,
    folder: TempDir,
}

impl Cluster {
    /// A new namespace on an API server that knows the CRD.
    pub async fn namespace() -> Self {
        static CRD: OnceCell<()> = OnceCell::const_new();
        let cluster = Self::on(&Environment::get().kubeconfig).await;
        CRD.get_or_init(async || cluster.install_crd()).await;
        cluster
    }

    /// A new namespace on the API server of this kubeconfig, which need not know the CRD.
    pub async fn on(kubeconfig: &Path) -> Self {
        let read = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("a usable kubeconfig")).expect("a client");
        let namespace = unique("test-");
        let mut object = Namespace::default();
        object.metadata.name = Some(namespace.clone());
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &object).await.expect("the namespace is created");
        let (kubeconfig, folder) = (kubeconfig.to_owned(), tempfile::tempdir().expect("a temporary folder"));
        Self { namespace, client, kubeconfig, folder }
    }

    /// Makes the CRD known to the API server.
    pub fn install_crd(&self) {
        let crd = repository().join("crds/smspipelines.yaml");
        self.kubectl(&["apply", "--server-side", "-f", &crd.display().to_string()]);
        let established = "--for=condition=Established";
        self.kubectl(&["wait", established, "crd/smspipelines.smspipeline.dev", "--timeout=30s"]);
    }

    /// Runs kubectl in the namespace and gives what it printed; it must succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments);
        let (printed, error) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "kubectl {arguments:?}: {error}");
        printed
    }

    /// Runs kubectl in the namespace.
    pub fn try_kubectl(&self, arguments: &[&str]) -> Output {
        let environment = Environment::get();
        Command::new(&environment.kubectl)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.namespace])
            .args(arguments)
            .output()
            .expect("kubectl starts")
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) {
        let file = self.file("manifest.yaml", manifest);
        self.kubectl(&["apply", "-f", &file.display().to_string()]);
    }

    /// Writes a file into the test's own folder.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path
    }

    /// Runs the operator for this namespace.
    pub fn operator(&self) -> Binary {
        self.operator_through(&self.kubeconfig)
    }

    /// The same, with a kubeconfig of its own.
    pub fn operator_through(&self, kubeconfig: &Path) -> Binary {
        let mut variables = operator_settings();
        variables.insert("WATCH_NAMESPACE".to_owned(), self.namespace.clone());
        self.operator_with(kubeconfig, &variables)
    }

    /// Runs the operator for all namespaces of the API server.
    pub fn operator_for_all_namespaces(&self) -> Binary {
        self.operator_with(&self.kubeconfig, &operator_settings())
    }

    /// Runs the operator with a kubeconfig and an environment of its own.
    pub fn operator_with(&self, kubeconfig: &Path, variables: &BTreeMap<String, String>) -> Binary {
        let mut command = Command::new(Environment::get().bin_dir.join("sms-operator"));
        command.arg("run").envs(variables).env("KUBECONFIG", kubeconfig);
        let metrics = SocketAddr::from((loopback_address(), 9090));
        command.env("METRICS_ADDRESS", metrics.to_string());
        let output = self.folder.path().join(format!("{}.log", unique("operator-")));
        Binary::start(command, &output).with_metrics(metrics)
    }

    /// `kind/name` and resourceVersion of every object of a kind.
    pub async fn versions(&self, resource: &ApiResource) -> BTreeMap<String, String> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, resource);
        let listed = api.list(&ListParams::default()).await.expect("the API server lists");
        let version = |object: DynamicObject| {
            let name = format!("{}/{}", resource.kind, object.metadata.name.unwrap_or_default());
            (name, object.metadata.resource_version.unwrap_or_default())
        };
        listed.items.into_iter().map(version).collect()
    }

    /// The same for every kind that each pipeline has objects of.
    pub async fn all_versions(&self) -> BTreeMap<String, String> {
        let mut versions = BTreeMap::new();
        for resource in [
            ApiResource::erase::<Deployment>(&()),
            ApiResource::erase::<Service>(&()),
            ApiResource::erase::<ServiceAccount>(&()),
            ApiResource::erase::<Secret>(&()),
            ApiResource::erase::<NetworkPolicy>(&()),
            ApiResource::erase::<PodDisruptionBudget>(&()),
        ] {
            versions.extend(self.versions(&resource).await);
        }
        versions
    }

    /// How long anything on the API server may take that is no question of seconds: garbage collection for
    /// a young CRD waits for the collector to discover it.
    pub const PATIENCE: Duration = Duration::from_secs(90);
}

fn operator_settings() -> BTreeMap<String, String> {
    let images = [("API_IMAGE", "sms-api:test"), ("PROCESSOR_IMAGE", "sms-processor:test")];
    images.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The root of the repository.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
