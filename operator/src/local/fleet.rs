//! The processors of local mode, as the autoscaler sees them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::scaling::{Fleet, Found, Replica, ReplicaState};

/// The processors, as they were seen last; `None` before that.
#[derive(Clone, Debug, Default)]
pub struct LocalFleet(Arc<Mutex<Option<Found>>>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet for LocalFleet {
    async fn replicas(&self, _namespace: &str, _pipeline: &str) -> Result<Found, String> {
        self.found().clone().ok_or_else(|| "the processors were not looked at yet".to_owned())
    }

    /// The last one that was started ends first, whatever it has in work.
    async fn weigh(&self, _namespace: &str, _in_work: &[(String, u32)]) {}
}
