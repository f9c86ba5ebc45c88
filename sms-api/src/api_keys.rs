//! The API keys that are let in, from a file that may change at any time.
//!
//! A key's SHA-256 is all that is known of it. Neither salt nor a slow hash would add anything: those make guessing
//! a person's password dear, and 32 random bytes are not guessed at any price. For the same reason looking a hash
//! up needs no constant-time comparison: nobody can choose the hash of what is presented digit by digit.

mod file;
mod new_key;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use prometheus_client::metrics::gauge::Gauge;
use telemetry::Check;

use self::file::{ApiKey, KeyHash};
pub use self::{
    file::Name,
    new_key::{NewApiKey, print_new},
};
use crate::{
    access::{Caller, Grant},
    rate_limit::{Limiter, RateLimit},
};

/// How often the file is looked at. A kubelet takes up to a minute to bring a changed Secret, so more often gains
/// nothing.
const INTERVAL: Duration = Duration::from_secs(2);

/// The keys of one file.
pub struct ApiKeys {
    file: PathBuf,
    /// The limit of keys that name none.
    default_limit: Option<RateLimit>,
    known: RwLock<Known>,
}

/// What one content of the file says.
struct Known {
    /// Of the content, so that a changed one is noticed. Times would not do: Kubernetes swaps links, and two changes
    /// can share a time.
    fingerprint: KeyHash,
    grants: HashMap<KeyHash, Arc<Grant>>,
}

impl ApiKeys {
    /// Reads the file.
    pub fn read(file: PathBuf, default_limit: Option<RateLimit>) -> anyhow::Result<Self> {
        let content = std::fs::read(&file).with_context(|| cannot_read(&file))?;
        let known = Known::new(&file, &content, default_limit, None)?;
        Ok(Self { file, default_limit, known: RwLock::new(known) })
    }

    /// What the key gives; `None` for one that is not in the file.
    pub fn grant(&self, key: &[u8]) -> Option<Arc<Grant>> {
        let hash = KeyHash::of(key);
        self.known.read().unwrap_or_else(PoisonError::into_inner).grants.get(&hash).cloned()
    }

    /// Follows the file for ever. A content that cannot be used changes nothing: it is told, and the keys read before
    /// stay. So does a file that is gone.
    pub async fn keep_current(&self, check: &Check, last_reload_worked: &Gauge) {
        loop {
            let reread = self.reread().await;
            last_reload_worked.set(reread.is_ok().into());
            match reread {
                Ok(()) => check.up(),
                Err(error) => check.impaired(format!("the API keys read before stay in use: {error:#}")),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn reread(&self) -> anyhow::Result<()> {
        let content = tokio::fs::read(&self.file).await.with_context(|| cannot_read(&self.file))?;
        let known = {
            let before = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if before.fingerprint == KeyHash::of(&content) {
                return Ok(());
            }
            Known::new(&self.file, &content, self.default_limit, Some(&before))?
        };
        tracing::info!(keys = known.grants.len(), "the API keys changed");
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }
}

impl Known {
    /// A key that was known before with the same limit keeps its bucket, so that no change of the file is a new burst
    /// for everybody.
    fn new(
        file: &Path,
        content: &[u8],
        default_limit: Option<RateLimit>,
        before: Option<&Self>,
    ) -> anyhow::Result<Self> {
        let keys = file::parse(content).with_context(|| format!("API_KEYS_FILE: cannot use {}", file.display()))?;
        let buckets: HashMap<&str, &Arc<Limiter>> = before
            .into_iter()
            .flat_map(|before| before.grants.values())
            .filter_map(|grant| Some((&*grant.caller.key_name, grant.limiter.as_ref()?)))
            .collect();
        let grant = |ApiKey { name, tenant, sha256, scopes, rate_limit }| {
            let limiter = rate_limit.or(default_limit).map(|limit| match buckets.get(name.as_str()) {
                Some(&bucket) if bucket.limit() == limit => bucket.clone(),
                _ => Arc::new(Limiter::new(limit)),
            });
            let caller = Caller { key_name: name.into(), tenant: tenant.into(), scopes };
            (sha256, Arc::new(Grant { caller, limiter }))
        };
        Ok(Self { fingerprint: KeyHash::of(content), grants: keys.into_iter().map(grant).collect() })
    }
}

fn cannot_read(file: &Path) -> String {
    format!("API_KEYS_FILE: cannot read {}", file.display())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(name: &str, requests_per_second: Option<u32>) -> Value {
        let mut entry = json!({ "name": name, "sha256": KeyHash::of(name.as_bytes()), "scopes": ["read"] });
        if let Some(rate) = requests_per_second {
            entry["rate_limit"] = json!({ "requests_per_second": rate });
        }
        entry
    }

    fn known(keys: &[Value], default_limit: u32, before: Option<&Known>) -> Known {
        let limit = RateLimit::new(default_limit, None).expect("a valid limit");
        let content = json!({ "keys": keys }).to_string();
        Known::new(Path::new("keys.json"), content.as_bytes(), Some(limit), before).expect("a valid file")
    }

    fn limiter<'a>(known: &'a Known, key: &str) -> &'a Arc<Limiter> {
        known.grants[&KeyHash::of(key.as_bytes())].limiter.as_ref().expect("a limit")
    }

    #[test]
    fn a_key_has_its_own_limit_or_that_of_the_settings() {
        let known = known(&[entry("own", Some(7)), entry("settings", None)], 5, None);
        assert_eq!(Ok(limiter(&known, "own").limit()), RateLimit::new(7, None));
        assert_eq!(Ok(limiter(&known, "settings").limit()), RateLimit::new(5, None));
    }

    #[test]
    fn a_changed_file_gives_no_new_burst_to_keys_whose_limit_stays() {
        let before = known(&[entry("stays", Some(7)), entry("settings", None), entry("changes", Some(7))], 5, None);
        let now = [entry("stays", Some(7)), entry("settings", None), entry("changes", Some(8)), entry("new", Some(7))];
        let now = known(&now, 5, Some(&before));
        for (key, is_kept) in [("stays", true), ("settings", true), ("changes", false)] {
            assert_eq!(Arc::ptr_eq(limiter(&before, key), limiter(&now, key)), is_kept, "{key}");
        }
        assert!(!Arc::ptr_eq(limiter(&before, "stays"), limiter(&now, "new")));
    }
}
