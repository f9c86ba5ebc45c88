//! Settings that are kept by the brokers: read all, set those that are named.

use std::collections::BTreeMap;

use super::{Admin, TIMEOUT};
use crate::{Error, native};

/// What has settings.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Configurable {
    /// A topic by its name.
    Topic(String),
    /// A consumer group by its id, whose settings only brokers of Kafka 4.0 and later keep.
    Group(String),
    /// A broker by its id.
    Broker(i32),
}

/// Settings by Kafka's names, with the values that apply, whoever set them.
pub type Config = BTreeMap<String, String>;

impl Admin {
    /// All settings of each of them, in the same order. Topics must exist, groups need not; each broker needs a call of
    /// its own.
    pub async fn describe_configs(&self, resources: Vec<Configurable>) -> Result<Vec<Config>, Error> {
        self.blocking("DescribeConfigs", move |client| native::describe_configs(client, &resources, TIMEOUT)).await
    }

    /// Sets what is named and touches no other setting.
    pub async fn alter_configs(
        &self,
        changes: BTreeMap<Configurable, BTreeMap<&'static str, String>>,
    ) -> Result<(), Error> {
        self.blocking("IncrementalAlterConfigs", move |client| native::alter_configs(client, &changes, TIMEOUT)).await
    }
}
