//! Who may use the public API, for what, and how much: the caller behind a request.
//!
//! Knows headers and keys, nothing of URLs: which URL needs which scope is told where the URLs are.

mod presented_key;
mod scope;
mod settings;

use std::sync::Arc;

use axum::http::HeaderMap;
use prometheus_client::{encoding::EncodeLabelValue, metrics::gauge::Gauge};
use telemetry::Health;

pub use self::{
    presented_key::{X_API_KEY, bearer_credentials},
    scope::{Scope, Scopes},
    settings::Settings,
};
use crate::{
    api_keys::ApiKeys,
    rate_limit::{Limiter, RateLimit},
};

/// Tenant of whoever names none.
pub const DEFAULT_TENANT: &str = "default";

/// Name of the caller who needs no key.
pub const ANONYMOUS: &str = "anonymous";

/// Who sent a request. Handlers of the public API take it as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Name of the API key; it may be logged.
    pub key_name: Arc<str>,
    /// Whose messages the caller sends and sees.
    pub tenant: Arc<str>,
    /// What the caller may do.
    pub scopes: Scopes,
}

/// What a key, or its absence, gives.
pub struct Grant {
    /// To whom.
    pub caller: Caller,
    /// How much; without one there is no limit.
    pub limiter: Option<Arc<Limiter>>,
}

/// Why a request goes no further, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Refusal {
    /// It carries no key.
    NoKey,
    /// It carries several that differ.
    ConflictingKeys,
    /// It carries one that is not in the file.
    UnknownKey,
    /// Its key lacks the scope that the URL needs.
    MissingScope,
    /// Its key has used up its limit.
    RateLimited,
}

/// How callers are told apart. Cheap to clone; clones see the same keys.
#[derive(Clone)]
pub struct AccessControl(Callers);

#[derive(Clone)]
enum Callers {
    /// Everybody is the same one.
    Anonymous(Arc<Grant>),
    Known(Arc<ApiKeys>),
}

impl AccessControl {
    /// Everybody may do everything, within one limit for all.
    pub fn anonymous(limit: Option<RateLimit>) -> Self {
        let caller = Caller { key_name: ANONYMOUS.into(), tenant: DEFAULT_TENANT.into(), scopes: Scopes::ALL };
        let limiter = limit.map(|limit| Arc::new(Limiter::new(limit)));
        Self(Callers::Anonymous(Arc::new(Grant { caller, limiter })))
    }

    /// Only who has one of the keys.
    pub fn keys(keys: ApiKeys) -> Self {
        Self(Callers::Known(Arc::new(keys)))
    }

    /// Who sent a request with these headers; an error says why that is not known.
    pub fn identify(&self, headers: &HeaderMap) -> Result<Arc<Grant>, Refusal> {
        match &self.0 {
            Callers::Anonymous(everybody) => Ok(everybody.clone()),
            Callers::Known(keys) => {
                let key = presented_key::presented_key(headers)?;
                keys.grant(key).ok_or(Refusal::UnknownKey)
            }
        }
    }

    /// What has to run for as long as requests are served; nothing where nothing can change.
    /// `last_reload_worked` tells whether the keys in use are those of the file.
    pub fn upkeep(&self, health: &Health, last_reload_worked: Gauge) -> Option<impl Future<Output = ()> + use<>> {
        match &self.0 {
            Callers::Anonymous(_) => None,
            Callers::Known(keys) => {
                let (keys, check) = (keys.clone(), health.check("api-keys"));
                Some(async move { keys.keep_current(&check, &last_reload_worked).await })
            }
        }
    }
}
