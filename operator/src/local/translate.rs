//! A Deployment as processes on this machine. Pure.
//!
//! What a cluster would do with a pod template is done by rewriting its environment: ports become loopback
//! addresses, names of Services become those addresses, and mounted Secrets become folders.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, PodSpec, Service},
};
use kube::ResourceExt;

use crate::{
    config::ConnectTo,
    controller::build::{COMPONENT_LABEL, FOLLOWED_SECRETS_VERSION, HTTP_PORT, INTERNAL_PORT, METRICS_PORT},
};

/// Where things are on this machine.
#[derive(Clone, Debug)]
pub struct Places {
    /// Folder of the executables.
    pub bin_dir: PathBuf,
    /// Folder of the Secrets.
    pub secrets: PathBuf,
    /// Address of the HTTP API.
    pub api: SocketAddr,
    /// Address of the API's internal port.
    pub internal: SocketAddr,
    /// Addresses to use in place of those that the pipeline names.
    pub connect_to: Vec<ConnectTo>,
    /// What every process gets beside its template's environment.
    pub environment: BTreeMap<String, String>,
}

/// One replica: processes that run to their end, then the one that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name: the Deployment's and a number from 0.
    pub name: String,
    /// The component it belongs to.
    pub component: String,
    /// Processes that run to their end before it starts.
    pub before: Vec<Process>,
    /// The process that stays.
    pub process: Process,
    /// Where it tells its metrics and health.
    pub metrics_address: SocketAddr,
    /// How long it may take to end after SIGTERM.
    pub grace: Duration,
}

/// One process to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment.
    pub environment: BTreeMap<String, String>,
}

/// Replica number `ordinal` of `deployment`.
pub fn replica(
    deployment: &Deployment,
    services: &[Service],
    ordinal: i32,
    metrics_address: SocketAddr,
    places: &Places,
) -> Option<Replica> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let main = pod.containers.first()?;
    let rewrite = |value: &str| rewrite(value, main, pod, services, metrics_address, places);
    let process = |container: &Container| -> Option<Process> {
        let (program, arguments) = container.command.as_ref()?.split_first()?;
        // A variable whose value is elsewhere (`valueFrom`) needs a cluster and is left out.
        // And a file of this machine is seen at once by whoever follows it, so nobody is replaced for it.
        let variables = container.env.iter().flatten().filter(|variable| variable.name != FOLLOWED_SECRETS_VERSION);
        let mut environment: BTreeMap<_, _> = variables
            .filter_map(|variable| Some((variable.name.clone(), rewrite(variable.value.as_deref()?))))
            .collect();
        environment.extend(places.environment.clone());
        if has_port(main, HTTP_PORT.name) {
            // The replicas of one machine share the address that a Service would give them.
            environment.insert("REUSE_PORT".to_owned(), "true".to_owned());
        }
        Some(Process { program: places.bin_dir.join(program), arguments: arguments.to_vec(), environment })
    };
    let grace = u64::try_from(pod.termination_grace_period_seconds.unwrap_or(30)).unwrap_or_default();
    Some(Replica {
        name: format!("{}-{ordinal}", deployment.name_any()),
        component: deployment.labels().get(COMPONENT_LABEL).cloned().unwrap_or_default(),
        before: pod.init_containers.iter().flatten().map(process).collect::<Option<_>>()?,
        process: process(main)?,
        metrics_address,
        grace: Duration::from_secs(grace),
    })
}

fn has_port(container: &Container, name: &str) -> bool {
    container.ports.iter().flatten().any(|port| port.name.as_deref() == Some(name))
}

fn rewrite(
    value: &str,
    main: &Container,
    pod: &PodSpec,
    services: &[Service],
    metrics_address: SocketAddr,
    places: &Places,
) -> String {
    let local = |port: &str| match port {
        name if name == HTTP_PORT.name => Some(places.api),
        name if name == INTERNAL_PORT.name => Some(places.internal),
        name if name == METRICS_PORT.name => Some(metrics_address),
        _ => None,
    };
    for port in main.ports.iter().flatten() {
        let address = port.name.as_deref().and_then(local);
        if let Some(address) = address.filter(|_| value == format!("0.0.0.0:{}", port.container_port)) {
            return address.to_string();
        }
    }
    let value = with_secrets_of_this_machine(value, main, pod, &places.secrets);
    let named = services.iter().flat_map(|service| {
        let ports = service.spec.as_ref().and_then(|spec| spec.ports.clone()).unwrap_or_default();
        let host = service.name_any();
        ports.into_iter().map(move |port| (format!("{host}:{}", port.port), port.name.unwrap_or_default()))
    });
    let rewritten = named
        .filter_map(|(named, port)| Some((named, local(&port)?.to_string())))
        .fold(value, |value, (named, used)| value.replace(&named, &used));
    places.connect_to.iter().fold(rewritten, |value, pair| value.replace(&pair.named, &pair.used))
}

/// A path may be the whole value or, as in the settings of the provider, a part of it.
fn with_secrets_of_this_machine(value: &str, main: &Container, pod: &PodSpec, secrets: &Path) -> String {
    let folders = main.volume_mounts.iter().flatten().filter_map(|mount| {
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
        let name = volume.secret.as_ref()?.secret_name.as_ref()?;
        Some((format!("{}/", mount.mount_path), format!("{}/", secrets.join(name).display())))
    });
    folders.fold(value.to_owned(), |value, (mounted, folder)| value.replace(&mounted, &folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{
        build::{Desired, build},
        fixtures::{pipeline_with_api_keys, pipeline_with_http_provider, validated},
    };

    fn desired() -> Desired {
        build(&validated(&pipeline_with_api_keys()))
    }

    fn places() -> Places {
        Places {
            bin_dir: "/bin-dir".into(),
            secrets: "/state/secrets".into(),
            api: "127.0.0.1:18080".parse().expect("an address"),
            internal: "127.0.0.1:18081".parse().expect("an address"),
            connect_to: vec!["kafka-bootstrap.kafka:9092=127.0.0.1:19092".parse().expect("a pair")],
            environment: BTreeMap::from([("LOG_FORMAT".to_owned(), "pretty".to_owned())]),
        }
    }

    fn translated(deployment: &Deployment) -> Replica {
        let metrics_address = "127.0.0.1:19091".parse().expect("an address");
        replica(deployment, &desired().services, 0, metrics_address, &places()).expect("a pod template")
    }

    #[test]
    fn the_api_listens_on_the_loopback_addresses_given() {
        let api = translated(&desired().api);
        assert_eq!(api.process.environment["HTTP_ADDRESS"], "127.0.0.1:18080");
        assert_eq!(api.process.environment["INTERNAL_ADDRESS"], "127.0.0.1:18081");
        assert_eq!(api.process.environment["METRICS_ADDRESS"], "127.0.0.1:19091");
        assert_eq!(api.process.environment["REUSE_PORT"], "true");
        assert_eq!(api.process.program, Path::new("/bin-dir/sms-api"));
    }

    #[test]
    fn the_schema_is_migrated_before_the_api_starts() {
        let api = translated(&desired().api);
        assert_eq!(api.before.len(), 1);
        assert_eq!(api.before[0].arguments, ["migrate"]);
        assert_eq!(api.process.arguments, ["serve"]);
    }

    #[test]
    fn mounted_secrets_become_files_of_the_state_folder() {
        let api = translated(&desired().api);
        assert_eq!(api.process.environment["DATABASE_URL_FILE"], "/state/secrets/notifications-db/uri");
        assert_eq!(api.process.environment["INTERNAL_TOKEN_FILE"], "/state/secrets/notifications-internal/token");
        assert_eq!(api.process.environment["API_KEYS_FILE"], "/state/secrets/notifications-api-keys/keys.json");
    }

    #[test]
    fn the_provider_s_secrets_are_files_of_the_state_folder_too() {
        let desired = build(&validated(&pipeline_with_http_provider()));
        let provider = &translated(&desired.processor).process.environment["PROVIDER"];
        let provider: serde_json::Value = serde_json::from_str(provider).expect("JSON");
        assert_eq!(provider["http"]["secrets"]["authToken"]["file"], "/state/secrets/twilio/authToken");
    }

    #[test]
    fn names_of_services_and_brokers_become_loopback_addresses() {
        let processor = translated(&desired().processor);
        assert_eq!(processor.process.environment["REPORT_URL"], "http://127.0.0.1:18081");
        assert_eq!(processor.process.environment["KAFKA_BOOTSTRAP_SERVERS"], "127.0.0.1:19092");
        assert!(!processor.process.environment.contains_key("REUSE_PORT"));
    }

    #[test]
    fn a_replica_has_as_long_to_end_as_its_pod_would_have() {
        assert_eq!(translated(&desired().processor).grace, Duration::from_secs(30));
    }
}
