//! Which kinds the API server has.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;
use tokio::sync::Mutex;

use crate::controller::{
    Error,
    kinds::{self, Kind, Origin},
};

/// For how long an answer counts.
pub(super) const KEPT: Duration = Duration::from_mins(1);

/// Which kinds the API server has, asked anew each minute.
#[derive(Debug, Default)]
pub struct Served(Mutex<Option<(Instant, BTreeSet<&'static Kind>)>>);

impl Served {
    /// The kinds that the API server has.
    pub async fn kinds(&self, client: &Client) -> Result<BTreeSet<&'static Kind>, Error> {
        let mut known = self.0.lock().await;
        match known.as_ref() {
            Some((asked, kinds)) if asked.elapsed() < KEPT => Ok(kinds.clone()),
            Some(_) | None => {
                let kinds = discover(client).await?;
                if known.as_ref().is_none_or(|(_, before)| *before != kinds) {
                    let absent = kinds::ALL.into_iter().filter(|kind| !kinds.contains(kind)).map(|kind| kind.kind);
                    let absent: Vec<_> = absent.collect();
                    tracing::info!(?absent, "objects of kinds that the cluster does not have are left out");
                }
                *known = Some((Instant::now(), kinds.clone()));
                Ok(kinds)
            }
        }
    }
}

async fn discover(client: &Client) -> Result<BTreeSet<&'static Kind>, Error> {
    let of_kubernetes = kinds::ALL.into_iter().filter(|kind| kind.origin == Origin::Kubernetes);
    let mut served: BTreeSet<_> = of_kubernetes.collect();
    for api_version in extension_groups() {
        match client.list_api_group_resources(&api_version).await {
            Ok(resources) => served.extend(found_in(&api_version, &resources)),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(Error::Discover { api_version, source }),
        }
    }
    Ok(served)
}

fn extension_groups() -> BTreeSet<String> {
    let extensions = kinds::ALL.into_iter().filter(|kind| kind.origin == Origin::Extension);
    extensions.map(Kind::api_version).collect()
}

/// The kinds of ours that a group's list of resources holds.
fn found_in(api_version: &str, resources: &APIResourceList) -> Vec<&'static Kind> {
    let served = move |kind: &Kind| {
        kind.api_version() == api_version && resources.resources.iter().any(|resource| resource.name == kind.plural)
    };
    kinds::ALL.into_iter().filter(|kind| served(kind)).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;

    use super::*;

    #[test]
    fn a_group_may_have_one_kind_and_not_the_other() {
        let resource = |name: &str| APIResource { name: name.to_owned(), ..APIResource::default() };
        let resources = ["podmonitors", "podmonitors/status", "servicemonitors"].map(resource).into();
        let resources = APIResourceList { resources, ..APIResourceList::default() };
        assert_eq!(found_in("monitoring.coreos.com/v1", &resources), [&kinds::POD_MONITOR]);
    }
}
