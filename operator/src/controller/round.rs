//! One round for one pipeline: dereference, validate, build, apply, status. The second and third are pure.

use jiff::Timestamp;
use kube::{Api, Resource, ResourceExt, api::Patch};
use serde_json::json;
use telemetry::error_chain;

use super::{
    Context, Error,
    apply::{self, Written},
    build::{self, Desired},
    dereference::{self, Referenced, reach_database},
    events, key, ownership, rotation,
    status::{self, Findings, Unapplied, Unusable, Workloads},
    topics::{Problem, Unready},
    turns::Turn,
    validate::{self, ValidatedPipeline},
};
use crate::crd::{SmsPipeline, SmsPipelineStatus};

/// The five steps. The status tells of a failed one too, so it is written in every case.
pub(super) async fn round(
    pipeline: &SmsPipeline,
    context: &Context,
    turn: &mut Turn<'_>,
) -> Result<SmsPipelineStatus, Error> {
    let mut before = pipeline.status.clone();
    if before.is_none() {
        // Whoever waits for a condition finds it from the first moment on, however long the first round takes.
        before = Some(write_status(context, pipeline, None, &Findings::default()).await?);
    }
    let mut findings = Findings { paused: pipeline.paused_by(), ..Findings::default() };
    let mut failed = None;
    context.secrets_seen.reading(key(pipeline), dereference::secrets_of(pipeline));
    let dereferenced = dereferenced(context, pipeline).await;
    // Only now, so that no count is carried out before the decision that led to it is told.
    findings.scaling = Some(context.scaling.finding(pipeline));
    let validated = match dereferenced {
        Ok(referenced) => {
            context.secrets_seen.read(key(pipeline), referenced.versions.clone());
            validate::validate(pipeline, &referenced, &context.images).map_err(Unusable::Invalid)
        }
        Err(error) => {
            let unread = Unusable::Unread(error_chain(&error) + error.advice());
            failed = Some(error);
            Err(unread)
        }
    };
    match validated {
        Err(unusable) => findings.usable = Some(Err(unusable)),
        Ok(validated) => {
            findings.usable = Some(Ok(()));
            if findings.paused.is_none() {
                // In a box of its own, because it is large.
                failed = Box::pin(carry_out(context, pipeline, &validated, &mut findings, turn)).await;
            } else {
                match apply::look(&context.client, &validated).await {
                    Ok(workloads) => findings.workloads = workloads.map(Ok),
                    Err(error) => failed = Some(error),
                }
            }
            if findings.lacks_api() {
                findings.database_unreachable = turn.resting(reach_database(&validated.database)).await;
            }
        }
    }
    let status = write_status(context, pipeline, before.as_ref(), &findings).await?;
    failed.map_or(Ok(status), Err)
}

/// What the resource names, and how many processors are asked for where it does not say that itself.
async fn dereferenced(context: &Context, pipeline: &SmsPipeline) -> Result<Referenced, Error> {
    let mut referenced = dereference::read_secrets(&context.client, pipeline).await?;
    // An operator that begins anew goes on from what there is, and so does a pipeline that said itself how many run.
    let is_new = context.scaling.is_new(pipeline);
    let live = if is_new { dereference::processors(&context.client, pipeline).await? } else { None };
    referenced.processors = context.scaling.asked_for(pipeline, live);
    Ok(referenced)
}

/// Makes topics and objects as wanted, and notes what came of it; gives an error that is to be tried again.
async fn carry_out(
    context: &Context,
    pipeline: &SmsPipeline,
    validated: &ValidatedPipeline,
    findings: &mut Findings,
    turn: &mut Turn<'_>,
) -> Option<Error> {
    let ensured = ownership::ensure_topics(context, &validated.kafka);
    let has_topics = pipeline.status.as_ref().is_some_and(|status| !status.topics.is_empty());
    let (topics, made) = if has_topics {
        // Side by side: a broker that is away must not keep the objects waiting.
        let making = async {
            let made = make_objects(context, pipeline, validated).await;
            turn.rest();
            made
        };
        let (topics, made) = futures::join!(ensured, making);
        turn.again().await;
        (topics, Some(made))
    } else {
        // Replicas that come too early would read and write the topics of another pipeline.
        let topics = turn.resting(ensured).await;
        let is_settled = topics.as_ref().map_or_else(|unready| unready.settled.is_some(), |_| true);
        let made = if is_settled { Some(make_objects(context, pipeline, validated).await) } else { None };
        (topics, made)
    };
    let is_anothers = matches!(&topics, Err(Unready { problem: Problem::OwnedByAnother { .. }, .. }));
    let made = if is_anothers { apply::stop(&context.client, pipeline).await.err().map(Err) } else { made };
    if let Ok(topics) = &topics {
        context.events.publish(pipeline, events::topics(topics)).await;
    }
    findings.topics = Some(topics);
    let (workloads, failed) = match made {
        None => (None, None),
        Some(Ok((workloads, rotated))) => (Some(Ok(workloads)), rotated.err()),
        Some(Err(error)) => (Some(Err(Unapplied::from(&error))), Some(error)),
    };
    findings.workloads = workloads;
    failed
}

/// Makes the objects as wanted, and goes on with a rotation of the token. They are built here, so that nobody who waits
/// holds them.
async fn make_objects(
    context: &Context,
    pipeline: &SmsPipeline,
    validated: &ValidatedPipeline,
) -> Result<(Workloads, Result<(), Error>), Error> {
    let desired = build::build(validated);
    let mut written = Vec::new();
    let applied = apply_objects(context, &desired, &mut written).await;
    let rotated = match &applied {
        Ok(workloads) => rotation::advance(context, pipeline, validated, &desired, workloads, &mut written).await,
        Err(_) => Ok(()),
    };
    context.events.publish(pipeline, events::objects(&written)).await;
    Ok((applied?, rotated))
}

async fn apply_objects(context: &Context, desired: &Desired, written: &mut Vec<Written>) -> Result<Workloads, Error> {
    let served = context.served.kinds(&context.client).await?;
    apply::apply(&context.client, &served, (&context.seen, &context.made), desired, written).await
}

/// Writes the status unless it is as `before`. A round can take long: what it found of a pipeline that was deleted and made
/// again meanwhile is none of the new one's.
async fn write_status(
    context: &Context,
    pipeline: &SmsPipeline,
    before: Option<&SmsPipelineStatus>,
    findings: &Findings,
) -> Result<SmsPipelineStatus, Error> {
    let (name, namespace) = (pipeline.name_any(), pipeline.namespace().unwrap_or_default());
    if let Some(Ok(Workloads { api, processor, left_out: _ })) = &findings.workloads {
        context.metrics.replicas(&namespace, &name, api.existing, processor.existing);
    }
    let status = status::summarize(&name, pipeline.meta().generation, before, findings, Timestamp::now());
    if before == Some(&status) {
        return Ok(status);
    }
    if before.is_none_or(|before| status::explanation(before) != status::explanation(&status)) {
        tracing::info!(pipeline = name, namespace, status = status::explanation(&status), "status changed");
    }
    let api = Api::<SmsPipeline>::namespaced(context.client.clone(), &namespace);
    let failed = |source| Error::WriteStatus { name: name.clone(), source };
    let found = api.get_metadata_opt(&name).await.map_err(failed)?;
    let Some(found) = found.filter(|found| found.uid() == pipeline.uid()) else { return Ok(status) };
    // The uid alone would not do: the API server does not compare that of a status.
    let patch = json!({ "metadata": { "resourceVersion": found.resource_version() }, "status": status });
    api.patch_status(&name, &apply::merge(), &Patch::Merge(&patch)).await.map_err(failed)?;
    context.events.publish(pipeline, events::changes(before, &status)).await;
    Ok(status)
}
