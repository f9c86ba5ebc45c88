//! Says a lasting trouble once, not each time it is met.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
};

use telemetry::error_chain;

/// One thing that can be out of order for a while.
#[derive(Debug)]
pub struct Outage {
    what: &'static str,
    reason: Mutex<Option<String>>,
}

impl Outage {
    /// `what` completes the sentence "… does not work".
    pub fn new(what: &'static str) -> Self {
        Self { what, reason: Mutex::new(None) }
    }

    /// It did not work this time; logged when the reason is a new one.
    pub fn failed(&self, error: &dyn Error) {
        let reason = error_chain(error);
        let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref() != Some(&reason) {
            tracing::warn!(error = reason, "{} does not work, trying on", self.what);
            *known = Some(reason);
        }
    }

    /// It worked this time; logged when it did not before.
    pub fn worked(&self) {
        if self.reason.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("{} works again", self.what);
        }
    }
}
