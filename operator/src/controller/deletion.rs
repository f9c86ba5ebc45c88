//! The end of a pipeline whose topics go with it, `onDelete: Delete`: the only case that needs a finalizer. It is released
//! after [`BOUND`] whatever happens, so that no namespace hangs because a broker is away.

use std::time::Duration;

use jiff::Timestamp;
use kube::{Api, Client, Resource, ResourceExt, api::Patch, runtime::controller::Action};
use serde_json::json;
use telemetry::error_chain;

use super::{
    Context, Error, apply,
    backoff::Class,
    dereference::read_kafka_secrets,
    events::Change,
    key,
    reasons::{Reason, TOPICS_DELETED, TOPICS_KEPT},
    topics::Deleted,
    turns::Turn,
    validate::{ValidatedKafka, kafka_settings},
};
use crate::crd::{OnDelete, SmsPipeline};

/// The finalizer: as long as it is there, the API server keeps a deleted pipeline.
const FINALIZER: &str = "smspipeline.dev/topics";
/// How long after its deletion a pipeline is kept at most.
const BOUND: Duration = Duration::from_mins(5);

/// What is to be done for the end of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing.
    None,
    /// The topics shall go with it: keep it, when it is deleted, until they are gone.
    Keep,
    /// The topics shall stay: let it go.
    LetGo,
    /// It is deleted while it is paused, when nothing is to be changed: let it go without its topics.
    KeepTopics,
    /// It is deleted, and its topics are still there.
    DeleteTopics {
        /// Whether it was kept for long enough.
        is_overdue: bool,
    },
}

/// What is to be done for the end of `pipeline`. Pure.
pub(super) fn duty(pipeline: &SmsPipeline, now: Timestamp) -> Duty {
    let is_kept = pipeline.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    let is_paused = pipeline.paused_by().is_some();
    match (&pipeline.meta().deletion_timestamp, pipeline.spec.kafka.topics.on_delete) {
        (None, _) if is_paused => Duty::None,
        (None, OnDelete::Delete) if !is_kept => Duty::Keep,
        (Some(_), OnDelete::Delete) if is_kept && is_paused => Duty::KeepTopics,
        (Some(deleted), OnDelete::Delete) if is_kept => {
            let since = Duration::try_from(now.duration_since(deleted.0)).unwrap_or_default();
            Duty::DeleteTopics { is_overdue: since >= BOUND }
        }
        (_, OnDelete::Retain) if is_kept => Duty::LetGo,
        (_, OnDelete::Delete | OnDelete::Retain) => Duty::None,
    }
}

/// Keeps the pipeline from going before its topics.
pub(super) async fn keep(client: &Client, pipeline: &SmsPipeline) -> Result<(), Error> {
    let finalizers = pipeline.finalizers().iter().cloned().chain([FINALIZER.to_owned()]).collect();
    write(client, pipeline, finalizers).await
}

/// Lets the pipeline go.
pub(super) async fn let_go(client: &Client, pipeline: &SmsPipeline) -> Result<(), Error> {
    let others = pipeline.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    write(client, pipeline, others).await
}

/// Lets the pipeline go without its topics, although they should have gone with it.
pub(super) async fn keep_topics(context: &Context, pipeline: &SmsPipeline) -> Result<(), Error> {
    let note = "it was deleted while it was paused; delete them with Kafka's own tools".to_owned();
    context.events.publish(pipeline, vec![change(TOPICS_KEPT, note)]).await;
    let_go(&context.client, pipeline).await
}

/// Deletes the topics when nobody uses them any more, and lets the pipeline go then, or when it is overdue.
pub(super) async fn delete_topics(
    context: &Context,
    pipeline: &SmsPipeline,
    is_overdue: bool,
    turn: &mut Turn<'_>,
) -> Result<Action, Error> {
    let (reason, note) = match stop_and_delete(context, pipeline, turn).await {
        Ok(deleted) => told(&deleted),
        Err(why) if is_overdue => (TOPICS_KEPT, format!("{why}; delete them with Kafka's own tools")),
        Err(why) => {
            tracing::info!(pipeline = pipeline.name_any(), why, "the topics are not yet deleted");
            return Ok(Action::requeue(context.backoff.next(key(pipeline), Class::Waiting)));
        }
    };
    context.events.publish(pipeline, vec![change(reason, note)]).await;
    let_go(&context.client, pipeline).await?;
    Ok(Action::await_change())
}

/// What is told of topics that went with their pipeline, or did not.
fn told(Deleted { gone, kept }: &Deleted) -> (Reason, String) {
    let deleted = format!("deleted with the pipeline: {}", gone.join(", "));
    let (gone, kept) = (gone.as_slice(), kept.join(", "));
    match (gone, kept.as_str()) {
        ([], "") => (TOPICS_KEPT, "no topic was deleted: none is on record as this pipeline's own".to_owned()),
        (_, "") => (TOPICS_DELETED, deleted),
        ([], kept) => (TOPICS_KEPT, format!("no topic was deleted, because they are somebody else's now: {kept}")),
        (_, kept) => (TOPICS_KEPT, format!("{deleted}; kept, because they are somebody else's now: {kept}")),
    }
}

fn change(reason: Reason, note: String) -> Change {
    Change { about: "Deletion".to_owned(), reason, note }
}

/// What has become of the topics, or why none were deleted. First those who use them end: a client that asks for a
/// topic that is gone can make the broker create it anew.
async fn stop_and_delete(context: &Context, pipeline: &SmsPipeline, turn: &mut Turn<'_>) -> Result<Deleted, String> {
    if !apply::stop(&context.client, pipeline).await.map_err(|error| error_chain(&error))? {
        return Err("the API or processors still run".to_owned());
    }
    let kafka = ValidatedKafka::new(pipeline, settings(context, pipeline).await?);
    let uid = pipeline.uid().unwrap_or_default();
    let deleting = async {
        let deleted = context.brokers.delete_topics(&kafka).await?;
        context.brokers.release(&kafka, &uid).await?;
        Ok(deleted)
    };
    turn.resting(deleting).await.map_err(|error: kafka::Error| error_chain(&error))
}

/// How the brokers are reached. Secrets that go together with the pipeline, as with a namespace, may be gone already;
/// what they held is known where the pipeline was looked after before.
async fn settings(context: &Context, pipeline: &SmsPipeline) -> Result<kafka::Settings, String> {
    let secrets = read_kafka_secrets(&context.client, pipeline).await.map_err(|error| error_chain(&error))?;
    kafka_settings(&pipeline.spec.kafka, &secrets).or_else(|invalid| {
        let known = context.brokers.settings(&pipeline.namespace().unwrap_or_default(), &pipeline.name_any());
        known.ok_or_else(|| invalid.to_string())
    })
}

/// With the resourceVersion that was seen, so that a finalizer that somebody else has added meanwhile is not lost.
async fn write(client: &Client, pipeline: &SmsPipeline, finalizers: Vec<String>) -> Result<(), Error> {
    let name = pipeline.name_any();
    let api = Api::<SmsPipeline>::namespaced(client.clone(), &pipeline.namespace().unwrap_or_default());
    let patch = json!({ "metadata": { "resourceVersion": pipeline.resource_version(), "finalizers": finalizers } });
    match api.patch_metadata(&name, &apply::merge(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(Error::WriteFinalizer { name, source }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::controller::fixtures::pipeline;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a valid time")
    }

    #[track_caller]
    fn check(on_delete: OnDelete, is_kept: bool, deleted: Option<i64>, expected: Duty) {
        check_of(pipeline(), on_delete, is_kept, deleted, expected);
    }

    #[track_caller]
    fn check_of(mut pipeline: SmsPipeline, on_delete: OnDelete, is_kept: bool, deleted: Option<i64>, expected: Duty) {
        pipeline.spec.kafka.topics.on_delete = on_delete;
        pipeline.metadata.finalizers = is_kept.then(|| vec!["other".to_owned(), FINALIZER.to_owned()]);
        pipeline.metadata.deletion_timestamp = deleted.map(|seconds| Time(at(seconds)));
        assert_eq!(duty(&pipeline, at(1000)), expected, "{on_delete:?}, kept: {is_kept}, deleted at {deleted:?}");
    }

    #[test]
    fn what_is_told_of_the_topics_is_what_has_become_of_them() {
        let told = |gone: &[&str], kept: &[&str]| {
            let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let (reason, note) = told(&Deleted { gone: names(gone), kept: names(kept) });
            format!("{}: {note}", reason.name)
        };
        assert_eq!(told(&["a", "b"], &[]), "TopicsDeleted: deleted with the pipeline: a, b");
        assert_eq!(told(&[], &["a"]), "TopicsKept: no topic was deleted, because they are somebody else's now: a");
        assert!(
            told(&["a"], &["b"])
                .contains("deleted with the pipeline: a; kept, because they are somebody else's now: b")
        );
        assert!(told(&[], &[]).contains("none is on record"));
    }

    #[test]
    fn a_pipeline_whose_topics_stay_is_never_kept() {
        check(OnDelete::Retain, false, None, Duty::None);
        check(OnDelete::Retain, false, Some(999), Duty::None);
        check(OnDelete::Retain, true, None, Duty::LetGo);
        check(OnDelete::Retain, true, Some(999), Duty::LetGo);
    }

    #[test]
    fn a_pipeline_whose_topics_go_with_it_is_kept_for_them_and_five_minutes_at_most() {
        check(OnDelete::Delete, false, None, Duty::Keep);
        check(OnDelete::Delete, true, None, Duty::None);
        check(OnDelete::Delete, true, Some(999), Duty::DeleteTopics { is_overdue: false });
        check(OnDelete::Delete, true, Some(700), Duty::DeleteTopics { is_overdue: true });
        check(OnDelete::Delete, false, Some(999), Duty::None);
    }

    #[test]
    fn a_pipeline_that_is_paused_keeps_its_finalizers_and_goes_without_its_topics() {
        let check = |on_delete, is_kept, deleted, expected| {
            let mut paused = pipeline();
            paused.spec.paused = true;
            check_of(paused, on_delete, is_kept, deleted, expected);
        };
        check(OnDelete::Delete, false, None, Duty::None);
        check(OnDelete::Delete, true, None, Duty::None);
        check(OnDelete::Retain, true, None, Duty::None);
        check(OnDelete::Delete, true, Some(999), Duty::KeepTopics);
        check(OnDelete::Retain, true, Some(999), Duty::LetGo);
    }
}
