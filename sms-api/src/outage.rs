//! Says a lasting trouble once, not each time it is met.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
};

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
        let reason = chain(error);
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

/// An error with all its causes, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own words.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot reach PostgreSQL")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_every_cause_once() {
        let error = Outer(std::io::Error::other("connection refused"));
        assert_eq!(chain(&error), "cannot reach PostgreSQL: connection refused");
    }
}
