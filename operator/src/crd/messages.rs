use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What messages are accepted, and how long the database remembers them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    /// How long messages can be read, in days, such as `90d`; then they are dropped, a whole day at once.
    #[serde(default = "default_retention")]
    #[x_kube(validation = Rule::new("self.matches('^([2-9]|[1-9][0-9]{1,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|3650)d$')").message("retention must be a whole number of days from 2d to 3650d"))]
    #[schemars(length(max = 10))]
    pub retention: String,
    /// Which numbers are accepted.
    #[serde(default)]
    pub number_validation: NumberValidation,
    /// For how long a request that repeats an Idempotency-Key gets the first one's answer, such as `24h`.
    #[serde(default = "default_idempotency_retention")]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(s|m|h)$')").message("idempotencyRetention must be a whole number with a unit s, m or h, such as 24h"))]
    #[schemars(length(max = 10))]
    pub idempotency_retention: String,
}

/// Which numbers are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NumberValidation {
    /// Those of the form of E.164.
    #[default]
    Pattern,
    /// Of those only what the numbering plan of their country can hold.
    Strict,
}

/// What follows when a message failed for a reason that may pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryFailed {
    /// How long a message that failed waits until it is sent again, such as `30s`.
    #[serde(default = "default_every")]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,5}(s|m|h)$')").message("every must be a whole number with a unit s, m or h, such as 30s"))]
    #[schemars(length(max = 10))]
    pub every: String,
    /// How often a message is sent at most, the first time included; with 1 it is never sent again.
    #[serde(default = "default_max_attempts")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100").message("maxAttempts must be from 1 to 100"))]
    pub max_attempts: i32,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            retention: default_retention(),
            number_validation: NumberValidation::default(),
            idempotency_retention: default_idempotency_retention(),
        }
    }
}

impl Default for RetryFailed {
    fn default() -> Self {
        Self { every: default_every(), max_attempts: default_max_attempts() }
    }
}

fn default_retention() -> String {
    "90d".to_owned()
}

fn default_idempotency_retention() -> String {
    "24h".to_owned()
}

/// Source: ADR-007, scheduled retry.
fn default_every() -> String {
    "30s".to_owned()
}

fn default_max_attempts() -> i32 {
    3
}
