//! The processors of local mode, as the autoscaler sees them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::scaling::{Fleet, Found, Replica, ReplicaState};

/// The processors.
#[derive(Clone, Debug, Default)]
pub struct LocalFleet {
    /// As they were seen last; `None` before that.
    found: Arc<Mutex<Option<Found>>>,
    /// How many messages each had in work when some were last to be taken away.
    in_work: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl LocalFleet {
    /// These are the processors at this moment.
    pub fn show(&self, at: Timestamp, replicas: Vec<Replica>) {
        *self.found() = Some(Found { at, replicas });
    }

    /// Those of these names are told to end.
    pub fn drain(&self, names: &[String]) {
        let mut found = self.found();
        let replicas = found.iter_mut().flat_map(|found| &mut found.replicas);
        for replica in replicas.filter(|replica| names.contains(&replica.name)) {
            replica.state = ReplicaState::Draining;
        }
    }

    fn found(&self) -> MutexGuard<'_, Option<Found>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages this one had in work when some were last to be taken away.
    pub fn in_work(&self, name: &str) -> u32 {
        self.weighed().get(name).copied().unwrap_or_default()
    }

    fn weighed(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.in_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet for LocalFleet {
    async fn replicas(&self, _namespace: &str, _pipeline: &str) -> Result<Found, String> {
        self.found().clone().ok_or_else(|| "the processors were not looked at yet".to_owned())
    }

    async fn weigh(&self, _namespace: &str, in_work: &[(String, u32)]) {
        *self.weighed() = in_work.iter().cloned().collect();
    }
}
