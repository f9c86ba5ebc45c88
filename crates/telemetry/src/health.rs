//! Readiness as a list of named checks that the parts of a service keep up to date.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

/// All checks of one process. Cheap to clone; every clone sees the same checks.
#[derive(Clone, Debug, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Up,
    Down(String),
}

/// One named check; the part that owns it says how it stands.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    health: Health,
}

/// What `/readyz` answers. Shape: `MicroProfile` Health, which clients of the decision record's first
/// implementation know.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    status: &'static str,
    checks: Vec<CheckReport>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct CheckReport {
    name: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Detail>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Detail {
    reason: String,
}

impl Health {
    /// Adds a check, which is down until its owner says otherwise.
    pub fn check(&self, name: &'static str) -> Check {
        let check = Check { name, health: self.clone() };
        check.down("starting");
        check
    }

    /// How everything stands at this moment.
    pub fn report(&self) -> Report {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        let up = checks.values().all(|state| *state == State::Up);
        Report {
            status: if up { "UP" } else { "DOWN" },
            checks: checks
                .iter()
                .map(|(&name, state)| match state {
                    State::Up => CheckReport { name, status: "UP", data: None },
                    State::Down(reason) => {
                        CheckReport { name, status: "DOWN", data: Some(Detail { reason: reason.clone() }) }
                    }
                })
                .collect(),
        }
    }
}

impl Report {
    /// Whether every check is up.
    pub fn is_up(&self) -> bool {
        self.status == "UP"
    }
}

impl Check {
    /// The part works; logged when it did not before.
    pub fn up(&self) {
        if let Some(State::Down(_)) = self.set(State::Up) {
            tracing::info!(check = self.name, "ready");
        }
    }

    /// The part does not work; logged when the reason is a new one. `reason` is shown to operators, so it
    /// holds no secret and no personal data.
    pub fn down(&self, reason: impl Into<String>) {
        let state = State::Down(reason.into());
        let before = self.set(state.clone());
        if let State::Down(reason) = &state
            && before.is_some_and(|before| before != state)
        {
            tracing::warn!(check = self.name, reason, "not ready");
        }
    }

    fn set(&self, state: State) -> Option<State> {
        self.health.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_only_when_every_check_is_up() {
        let health = Health::default();
        let (database, kafka) = (health.check("database"), health.check("kafka"));
        assert!(!health.report().is_up());
        database.up();
        assert!(!health.report().is_up());
        kafka.up();
        assert!(health.report().is_up());
    }

    #[test]
    fn a_failing_check_is_reported_with_its_reason() {
        let health = Health::default();
        health.check("kafka").down("no broker answers");
        let report = serde_json::to_string(&health.report()).expect("report encodes");
        assert_eq!(
            report,
            r#"{"status":"DOWN","checks":[{"name":"kafka","status":"DOWN","data":{"reason":"no broker answers"}}]}"#
        );
    }
}
