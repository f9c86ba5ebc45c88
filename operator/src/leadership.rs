//! Of several operators one leads: it holds a Lease of Kubernetes, and the others wait until it lets go or falls silent.
//!
//! The protocol is that of client-go's leader election: whoever sees a Lease unchanged for its whole duration, by its own
//! clock, may take it, so that clocks of different machines need not agree; and a leader that cannot renew steps down
//! well before anybody may. Why this is our own code: docs/decisions/0013-leader-election.md.

mod decide;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use telemetry::error_chain;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use decide::{Move, Seen};

/// The Lease of the operators that look after the same pipelines.
pub const LEASE: &str = "sms-operator";
/// How long a Lease must stand still before another operator may take it.
const DURATION: Duration = Duration::from_secs(12);
/// How often the leader renews and the others look.
const EVERY: Duration = Duration::from_secs(2);
/// How long after its last renewal a leader steps down: well before anybody may take the Lease.
const DEADLINE: Duration = Duration::from_secs(8);
/// How long one call to the API server may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The Lease that operators of the same pipelines share.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
}

impl Election {
    /// With the Lease `name` in `namespace`; `identity` is no other operator's.
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self { leases: Api::namespaced(client, namespace), name: name.to_owned(), identity }
    }

    /// Waits until this operator leads and gives the uid of the Lease; `None` when `shutdown` came first. `looked` is
    /// called after every look at the Lease that succeeded.
    pub async fn won(&self, looked: impl Fn(), shutdown: &CancellationToken) -> Option<String> {
        let waiting = async {
            let mut seen = None;
            let mut told = None;
            loop {
                match self.step(&mut seen).await {
                    Ok(held) => {
                        looked();
                        if let Some(uid) = held {
                            return uid;
                        }
                        let holder = seen.as_ref().and_then(|seen: &Seen| seen.holder.clone());
                        if told != holder {
                            tracing::info!(lease = self.name, ?holder, "another operator leads, waiting");
                            told = holder;
                        }
                    }
                    Err(error) => self.warn(&error, "no look at the Lease"),
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        let won = shutdown.run_until_cancelled(waiting).await;
        if won.is_some() {
            tracing::info!(lease = self.name, identity = self.identity, "this operator leads");
        }
        won
    }

    /// Renews the Lease until it is lost; the caller stops whatever only a leader may do then.
    pub async fn lost(&self) {
        let (mut seen, mut since) = (None, Instant::now());
        while let Ok(renewed) = timeout_at(since + DEADLINE, self.renewed(&mut seen)).await {
            let Some(begun) = renewed else {
                tracing::error!(lease = self.name, "another operator has taken the Lease");
                return;
            };
            since = begun;
        }
        tracing::error!(lease = self.name, "the Lease could not be renewed for {DEADLINE:?}");
    }

    /// When the next renewal that succeeded was begun; `None` when another operator holds the Lease.
    async fn renewed(&self, seen: &mut Option<Seen>) -> Option<Instant> {
        loop {
            tokio::time::sleep(EVERY).await;
            let begun = Instant::now();
            match self.step(seen).await {
                Ok(Some(_)) => return Some(begun),
                // A renewal of our own that was given up can arrive late and come before this one.
                Ok(None) if seen.as_ref().is_some_and(|seen| seen.holder.as_ref() == Some(&self.identity)) => {}
                Ok(None) => return None,
                Err(error) => self.warn(&error, "the Lease is not renewed"),
            }
        }
    }

    /// Lets go, so that the next one need not wait. Only for a leader that has stopped working.
    pub async fn release(&self) {
        let released = async {
            let Some(mut lease) = self.leases.get_opt(&self.name).await? else { return Ok(()) };
            if holder(&lease).as_ref() != Some(&self.identity) {
                return Ok(());
            }
            lease.spec.get_or_insert_default().holder_identity = None;
            self.leases.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        };
        match timeout(CALL_TIMEOUT, released).await {
            Ok(Ok(())) => tracing::info!(lease = self.name, "this operator leads no longer"),
            Ok(Err(error)) => self.warn(&error, "the Lease is not released"),
            Err(_) => tracing::warn!(lease = self.name, "the Lease is not released in {CALL_TIMEOUT:?}"),
        }
    }

    /// One look at the Lease and what follows from it: its uid if this operator holds it now.
    async fn step(&self, seen: &mut Option<Seen>) -> Result<Option<String>, Error> {
        timeout(CALL_TIMEOUT, self.look(seen)).await.map_err(|_| Error::Late)?
    }

    async fn look(&self, seen: &mut Option<Seen>) -> Result<Option<String>, Error> {
        let Some(lease) = self.leases.get_opt(&self.name).await.map_err(Error::Read)? else {
            return self.write(&Lease { metadata: self.metadata(), spec: Some(self.spec(0)) }, Write::Create).await;
        };
        let version = lease.resource_version().unwrap_or_default();
        let now = Instant::now();
        let since = seen.take().filter(|seen| seen.version == version).map_or(now, |seen| seen.since);
        let current = seen.insert(Seen { holder: holder(&lease), version, since });
        let written = lease.spec.clone().unwrap_or_default();
        let transitions = written.lease_transitions.unwrap_or_default();
        let spec = match decide::next(current, &self.identity, now, DURATION) {
            Move::Wait => return Ok(None),
            Move::Renew => LeaseSpec { acquire_time: written.acquire_time, ..self.spec(transitions) },
            Move::Take => self.spec(transitions.saturating_add(1)),
        };
        // The resourceVersion that was read goes with it, so of two that take it at once only one succeeds.
        self.write(&Lease { spec: Some(spec), ..lease }, Write::Replace).await
    }

    async fn write(&self, lease: &Lease, how: Write) -> Result<Option<String>, Error> {
        let parameters = PostParams::default();
        let written = match how {
            Write::Create => self.leases.create(&parameters, lease).await,
            Write::Replace => self.leases.replace(&self.name, &parameters, lease).await,
        };
        match written {
            Ok(written) => Ok(written.uid()),
            // Somebody was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(Error::Write(error)),
        }
    }

    fn warn(&self, error: &dyn std::error::Error, what: &str) {
        tracing::warn!(lease = self.name, error = error_chain(error), "{what}");
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// How a Lease is written.
#[derive(Clone, Copy, Debug)]
enum Write {
    Create,
    Replace,
}

/// Why a look at the Lease came to nothing.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("failed to read the Lease")]
    Read(#[source] kube::Error),
    #[error("failed to write the Lease")]
    Write(#[source] kube::Error),
    #[error("the API server did not answer within {CALL_TIMEOUT:?}")]
    Late,
}

fn holder(lease: &Lease) -> Option<String> {
    lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty())
}
