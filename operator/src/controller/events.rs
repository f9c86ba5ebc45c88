//! What becomes an event of the pipeline, seen by `kubectl describe` and `kubectl events`.

mod changes;
mod limit;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Instant,
};

use kube::{
    Client, Resource, ResourceExt,
    runtime::{
        events::{Event, EventType, Recorder, Reporter},
        reflector::ObjectRef,
    },
};
use telemetry::error_chain;

use super::reasons::Severity;
use crate::crd::SmsPipeline;

pub use changes::{Change, changes, objects, topics};
use limit::Bucket;

/// How long a note may be: what the API server accepts, in bytes.
const LONGEST_NOTE: usize = 1024;

/// Publishes events, not too many for one pipeline.
pub struct Events {
    client: Client,
    reporter: Reporter,
    /// Warnings have an allowance of their own, which no other events use up.
    buckets: Mutex<HashMap<ObjectRef<SmsPipeline>, BTreeMap<Severity, Bucket>>>,
}

impl Events {
    /// As `instance`, this operator's own name.
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: "smspipeline.dev/sms-operator".to_owned(), instance: Some(instance) };
        Self { client, reporter, buckets: Mutex::default() }
    }

    /// Tells `changes` of `pipeline`. An event that does not get through is no reason to fail: the status says the same.
    pub async fn publish(&self, pipeline: &SmsPipeline, changes: Vec<Change>) {
        for change in changes {
            if !self.may_tell(pipeline, change.reason.severity) {
                continue;
            }
            let Change { about, reason, note } = change;
            let type_ = match reason.severity {
                Severity::Normal => EventType::Normal,
                Severity::Warning => EventType::Warning,
            };
            // A recorder counts what repeats a reason on the first event, whose note stays: so each event has its own.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            let end = note.floor_char_boundary(LONGEST_NOTE);
            let event = Event {
                type_,
                reason: reason.name.to_owned(),
                note: Some(note[..end].to_owned()),
                action: about,
                secondary: None,
            };
            if let Err(error) = recorder.publish(&event, &pipeline.object_ref(&())).await {
                let (pipeline, error) = (pipeline.name_any(), error_chain(&error));
                tracing::warn!(pipeline, reason = reason.name, error, "an event was not published");
            }
        }
    }

    /// A pipeline is gone.
    pub fn forget(&self, pipeline: &ObjectRef<SmsPipeline>) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(pipeline);
    }

    fn may_tell(&self, pipeline: &SmsPipeline, severity: Severity) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let of_pipeline = buckets.entry(ObjectRef::from_obj(pipeline)).or_default();
        of_pipeline.entry(severity).or_insert_with(|| Bucket::full(now)).take(now)
    }
}
