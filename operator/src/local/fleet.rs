//! The processors of local mode, as the autoscaler sees them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::scaling::{Fleet, Replica, ReplicaState};

/// The processors, as they were seen last.
#[derive(Clone, Debug, Default)]
pub struct LocalFleet(Arc<Mutex<Vec<Replica>>>);

impl LocalFleet {
    /// These are the processors now.
    pub fn show(&self, replicas: Vec<Replica>) {
        *self.replicas() = replicas;
    }

    /// Those of these names are told to end.
    pub fn drain(&self, names: &[String]) {
        for replica in self.replicas().iter_mut().filter(|replica| names.contains(&replica.name)) {
            replica.state = ReplicaState::Draining;
        }
    }

    fn replicas(&self) -> MutexGuard<'_, Vec<Replica>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fleet for LocalFleet {
    async fn replicas(&self, _namespace: &str, _pipeline: &str) -> Result<Vec<Replica>, String> {
        Ok(self.replicas().clone())
    }

    /// The last one that was started ends first, whatever it has in work.
    async fn weigh(&self, _namespace: &str, _in_work: &[(String, u32)]) {}
}
