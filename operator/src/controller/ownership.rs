//! Whose the topics are, as far as Kubernetes can tell: of a claim that stands in the way, the operator of the same
//! installation knows whether its pipeline still exists.

use kube::Api;
use telemetry::error_chain;

use super::{
    Context,
    topics::{Problem, Topics, Unready, owners::Claimant},
    validate::ValidatedKafka,
};
use crate::crd::SmsPipeline;

/// Makes the topics as wanted, also where a pipeline claimed them that went while no operator looked.
pub(super) async fn ensure_topics(context: &Context, kafka: &ValidatedKafka) -> Result<Topics, Unready> {
    let mut kafka = kafka.clone();
    if let Some(claim) = &mut kafka.claim {
        claim.claimant.installation = Some(context.installation.clone());
    }
    let ensured = context.brokers.ensure_topics(&kafka).await;
    let Err(Unready { problem: Problem::OwnedByAnother { owner, .. }, .. }) = &ensured else { return ensured };
    if owner.installation.as_ref() != Some(&context.installation) || !is_gone(context, owner).await {
        return ensured;
    }
    let Claimant { namespace, name, uid, .. } = owner;
    tracing::info!(pipeline = name, namespace, uid, "its topics are free: it is gone");
    context.brokers.release(&kafka, uid).await?;
    context.brokers.ensure_topics(&kafka).await
}

/// Whether it is certain that a pipeline which claimed topics exists no longer.
async fn is_gone(context: &Context, claimant: &Claimant) -> bool {
    let Claimant { namespace, name, uid, .. } = claimant;
    let api = Api::<SmsPipeline>::namespaced(context.client.clone(), namespace);
    match api.get_metadata_opt(name).await {
        Ok(found) => found.is_none_or(|found| found.metadata.uid.as_ref() != Some(uid)),
        Err(error) => {
            tracing::debug!(
                pipeline = name,
                namespace,
                error = error_chain(&error),
                "it is not known whether it exists"
            );
            false
        }
    }
}
