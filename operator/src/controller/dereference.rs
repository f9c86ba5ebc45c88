//! Step 1 of reconcile: reads what the resource only names.
//!
//! The only reader of what Secrets hold. Nothing is judged here: what is missing is handed on as it was found, and
//! `validate` says what that means.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, future,
    net::ToSocketAddrs,
    time::Duration,
};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{Api, Client, ResourceExt};

use crate::{
    controller::{
        Error,
        names::Names,
        secrets::Versions,
        tokens::{self, InternalTokens},
    },
    crd::{KafkaSecret, SmsPipeline},
};

/// How long PostgreSQL may take to accept a connection before it counts as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// What the resource names, as it was found.
#[derive(Clone, Debug)]
pub struct Referenced {
    /// How many processors the autoscaler asks for, or how many there are before it has decided; `None` when there are
    /// none yet, or when the user says how many run.
    pub processors: Option<i32>,
    /// The database's connection URL.
    pub database_url: Lookup,
    /// The API keys file; `None` when the resource names none.
    pub api_keys: Option<Lookup>,
    /// The provider's secrets by the names that its templates use.
    pub provider_secrets: BTreeMap<String, Lookup>,
    /// What the Secrets for Kafka hold.
    pub kafka_secrets: BTreeMap<KafkaSecret, Lookup>,
    /// The tokens of internal calls: those in use, or a new one for a new pipeline.
    pub internal_tokens: InternalTokens,
    /// In which versions the Secrets are that the resource names, and the one with the tokens; empty where they are files.
    pub versions: Versions,
}

/// What looking up one key of a Secret gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Its value.
    Found(Sensitive),
    /// There is no such Secret; tells where it was looked for, as in `in namespace "default"`.
    NoSecret(String),
    /// The Secret has no such key.
    NoKey,
    /// The value is not UTF-8.
    NotText,
}

/// A value that must never be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Sensitive(pub String);

impl fmt::Debug for Sensitive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// How many processors are asked for in the cluster; `None` when there is no Deployment of them yet.
pub async fn processors(client: &Client, pipeline: &SmsPipeline) -> Result<Option<i32>, Error> {
    let name = Names::of(&pipeline.name_any()).processor;
    let deployments = Api::<Deployment>::namespaced(client.clone(), &pipeline.namespace().unwrap_or_default());
    match deployments.get_opt(&name).await {
        Ok(found) => Ok(found.and_then(|deployment| deployment.spec?.replicas)),
        Err(source) => Err(Error::ReadWorkload { name, source }),
    }
}

impl Referenced {
    /// Every key of a Secret that `pipeline` names, as `look_up` finds it.
    pub async fn read<E, F>(
        pipeline: &SmsPipeline,
        internal_tokens: InternalTokens,
        look_up: impl Fn(String, String) -> F,
    ) -> Result<Self, E>
    where
        F: Future<Output = Result<Lookup, E>>,
    {
        let (database, authentication) = (&pipeline.spec.database.url_secret_ref, &pipeline.spec.api.authentication);
        let database_url = look_up(database.name.clone(), database.key.clone()).await?;
        let api_keys = match &authentication.api_keys_secret_ref {
            Some(reference) => Some(look_up(reference.name.clone(), reference.key.clone()).await?),
            None => None,
        };
        let mut provider_secrets = BTreeMap::new();
        for (name, reference) in pipeline.spec.processor.provider.secrets() {
            provider_secrets.insert(name.clone(), look_up(reference.name.clone(), reference.key.clone()).await?);
        }
        let kafka_secrets = Self::read_kafka(pipeline, &look_up).await?;
        Ok(Self {
            processors: None,
            database_url,
            api_keys,
            provider_secrets,
            kafka_secrets,
            internal_tokens,
            versions: Versions::new(),
        })
    }

    async fn read_kafka<E, F>(
        pipeline: &SmsPipeline,
        look_up: &impl Fn(String, String) -> F,
    ) -> Result<BTreeMap<KafkaSecret, Lookup>, E>
    where
        F: Future<Output = Result<Lookup, E>>,
    {
        let mut found = BTreeMap::new();
        for (secret, reference) in pipeline.spec.kafka.security.secrets() {
            found.insert(secret, look_up(reference.name.clone(), reference.key.clone()).await?);
        }
        Ok(found)
    }
}

/// The Secrets of a pipeline: those that it names, and the one with the tokens.
pub fn secrets_of(pipeline: &SmsPipeline) -> BTreeSet<String> {
    let named = pipeline.spec.secrets().into_iter().map(str::to_owned);
    named.chain([Names::of(&pipeline.name_any()).internal_secret]).collect()
}

/// Reads the Secrets of `pipeline` from the cluster, each once.
pub async fn read_secrets(client: &Client, pipeline: &SmsPipeline) -> Result<Referenced, Error> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
    let found = read_each(&secrets, secrets_of(pipeline)).await?;
    let version = |(name, secret): (&String, &Option<Secret>)| {
        (name.clone(), secret.as_ref().and_then(ResourceExt::resource_version))
    };
    let versions = found.iter().map(version).collect();
    let find = |name: &String| found.get(name).and_then(Option::as_ref);
    let internal = find(&Names::of(&pipeline.name_any()).internal_secret);
    let internal_tokens = InternalTokens::read(internal, tokens::asked(pipeline));
    let look_up = |name: String, key: String| future::ready(Ok(look_up(find(&name), &namespace, &key)));
    Ok(Referenced { versions, ..Referenced::read(pipeline, internal_tokens, look_up).await? })
}

/// Each Secret of these names.
async fn read_each(secrets: &Api<Secret>, names: BTreeSet<String>) -> Result<BTreeMap<String, Option<Secret>>, Error> {
    let mut found = BTreeMap::new();
    for name in names {
        let secret = secrets.get_opt(&name).await.map_err(|source| Error::ReadSecret { name: name.clone(), source })?;
        found.insert(name, secret);
    }
    Ok(found)
}

/// Reads only those that it takes to reach Kafka.
pub async fn read_kafka_secrets(
    client: &Client,
    pipeline: &SmsPipeline,
) -> Result<BTreeMap<KafkaSecret, Lookup>, Error> {
    let namespace = pipeline.namespace().unwrap_or_default();
    let secrets = Api::<Secret>::namespaced(client.clone(), &namespace);
    let names = pipeline.spec.kafka.security.secrets().map(|(_, reference)| reference.name.clone()).collect();
    let found = read_each(&secrets, names).await?;
    let look_up = |name: String, key: String| {
        future::ready(Ok(look_up(found.get(&name).and_then(Option::as_ref), &namespace, &key)))
    };
    Referenced::read_kafka(pipeline, &look_up).await
}

/// Tries the database's port, and says why it cannot be reached from here. The answer only explains why an API is not
/// available: a network policy may let the API through and not the operator.
pub async fn reach_database(Sensitive(url): &Sensitive) -> Option<String> {
    let url = url::Url::parse(url.trim()).ok()?;
    let (host, port) = (url.host_str()?.to_owned(), url.port().unwrap_or(5432));
    let place = format!("PostgreSQL at {host}:{port}");
    let resolved = tokio::task::spawn_blocking(move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter));
    let addresses = match tokio::time::timeout(CONNECT_TIMEOUT, resolved).await {
        Ok(Ok(Ok(addresses))) => addresses,
        Ok(Ok(Err(error))) => return Some(format!("{place} cannot be resolved: {error}")),
        Ok(Err(_)) | Err(_) => return Some(format!("{place} cannot be resolved in {CONNECT_TIMEOUT:?}")),
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(format!("{place} does not answer: {error}")),
        Err(_) => Some(format!("{place} does not answer within {CONNECT_TIMEOUT:?}")),
    }
}

fn look_up(secret: Option<&Secret>, namespace: &str, key: &str) -> Lookup {
    let Some(secret) = secret else { return Lookup::NoSecret(format!("in namespace {namespace:?}")) };
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else { return Lookup::NoKey };
    String::from_utf8(value.0.clone()).map_or(Lookup::NotText, |text| Lookup::Found(Sensitive(text)))
}
