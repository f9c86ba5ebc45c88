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
    /// It works with less than it should; told, and no reason to take the process out of service.
    Impaired(String),
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
        let up = !checks.values().any(|state| matches!(state, State::Down(_)));
        let because = |reason: &String| Some(Detail { reason: reason.clone() });
        Report {
            status: if up { "UP" } else { "DOWN" },
            checks: checks
                .iter()
                .map(|(&name, state)| match state {
                    State::Up => CheckReport { name, status: "UP", data: None },
                    State::Impaired(reason) => CheckReport { name, status: "UP", data: because(reason) },
                    State::Down(reason) => CheckReport { name, status: "DOWN", data: because(reason) },
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
        if let Some(State::Down(_) | State::Impaired(_)) = self.set(State::Up) {
            tracing::info!(check = self.name, "ready");
        }
    }

    /// The part works with less than it should, which is told but leaves the process ready. `reason` is shown to
    /// operators like that of [`Check::down`].
    pub fn impaired(&self, reason: impl Into<String>) {
        self.told(&State::Impaired(reason.into()), "impaired");
    }

    /// The part does not work; logged when the reason is a new one. `reason` is shown to operators, so it
    /// holds no secret and no personal data.
    pub fn down(&self, reason: impl Into<String>) {
        self.told(&State::Down(reason.into()), "not ready");
    }

    fn told(&self, state: &State, words: &'static str) {
        let before = self.set(state.clone());
        if let State::Down(reason) | State::Impaired(reason) = state
            && before.is_some_and(|before| before != *state)
        {
            tracing::warn!(check = self.name, reason, "{words}");
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
    fn an_impaired_part_is_told_of_and_leaves_the_process_ready() {
        let health = Health::default();
        health.check("kafka").impaired("no broker answers");
        assert!(health.report().is_up());
        let report = serde_json::to_string(&health.report()).expect("report encodes");
        assert!(report.contains("no broker answers"), "{report}");
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
