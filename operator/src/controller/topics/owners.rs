//! Which pipeline the topics belong to, when two want the same ones: two resources in any namespaces, of any operators,
//! in any clusters, that name the same prefix on the same brokers.
//!
//! Kept where they meet, in a compacted topic of one partition: one record for each pipeline that claims a prefix,
//! under a key of its own, so that no claim can push out another one's. The owner is whose claim comes first in the
//! log. That is sound because the log has one order for all: whoever has written its claim and then read to the end has
//! seen every claim before its own, and none can ever come before it later. A claim is written once and not again as
//! long as it stands, so an owner stays the owner until its claim is taken back. No clock is compared.
//!
//! A claim whose pipeline went while no operator looked stands until somebody says that it is gone: the operator of that
//! installation, which finds no such object any more, or a person, with the annotation [`TAKE_TOPICS_FROM`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kafka::{Admin, Configurable, Entry, NewTopic};
use kube::{Resource, ResourceExt};
use serde::{Deserialize, Serialize};

use super::durability;
use crate::crd::SmsPipeline;

/// The topic that holds the claims.
pub const OWNERS_TOPIC: &str = "__smspipeline_owners";

const POLICY: &str = "cleanup.policy";
const COMPACT: &str = "compact";

/// The annotation that takes topics over from pipelines that are gone: their uids, separated by commas.
pub const TAKE_TOPICS_FROM: &str = "smspipeline.dev/take-topics-from";

/// A pipeline that claims topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claimant {
    /// Its uid, which no other object has, in no cluster.
    pub uid: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created, for people.
    pub created_at: Time,
    /// The uid of the Lease of the operator that looks after it: whoever has the same one sees the same objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<String>,
}

/// What a pipeline claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What the names of the topics start with. Two pipelines share either all of their topics or none.
    pub prefix: String,
    /// Who claims it.
    pub claimant: Claimant,
    /// Uids of pipelines that are said to be gone.
    pub take_from: BTreeSet<String>,
    /// On how many brokers the claims are kept.
    pub replication_factor: i32,
}

impl Claim {
    /// What `pipeline` claims; `None` in local mode, where there is no object whose deletion would end the claim.
    pub fn of(pipeline: &SmsPipeline) -> Option<Self> {
        let created_at = pipeline.meta().creation_timestamp.clone()?;
        let topics = &pipeline.spec.kafka.topics;
        Some(Self {
            prefix: topics.prefix.clone(),
            claimant: Claimant {
                uid: pipeline.uid()?,
                namespace: pipeline.namespace().unwrap_or_default(),
                name: pipeline.name_any(),
                created_at,
                installation: None,
            },
            take_from: pipeline.annotated(TAKE_TOPICS_FROM),
            replication_factor: topics.replication_factor,
        })
    }
}

fn key(prefix: &str, uid: &str) -> String {
    format!("{prefix}/{uid}")
}

/// Claims the topics unless that is done already, and tells who owns them.
pub async fn claim(admin: &Admin, claim: &Claim) -> Result<Claimant, kafka::Error> {
    let (made, mut standing) = read(admin, claim).await?;
    // Only those before us: one that is not gone claims again, behind us, and would be taken away in each round.
    let before = standing.iter().map(|claimant| claimant.uid.clone()).take_while(|uid| *uid != claim.claimant.uid);
    let gone: Vec<String> = before.filter(|uid| claim.take_from.contains(uid)).collect();
    for uid in &gone {
        tracing::info!(prefix = claim.prefix, uid, "taking topics over from a pipeline that is gone");
        admin.append_to_log(OWNERS_TOPIC, &key(&claim.prefix, uid), None).await?;
    }
    let is_claimed = standing.iter().any(|claimant| claimant.uid == claim.claimant.uid);
    if !is_claimed {
        let value = serde_json::json!(claim.claimant).to_string();
        if made == Made::Before {
            keep_forever(admin).await?;
        }
        admin.append_to_log(OWNERS_TOPIC, &key(&claim.prefix, &claim.claimant.uid), Some(&value)).await?;
    }
    if !is_claimed || !gone.is_empty() {
        standing = read(admin, claim).await?.1;
    }
    let owner = standing.into_iter().next();
    owner.ok_or_else(|| kafka::Error::Call { call: "Fetch", reason: "the claim was taken back meanwhile".to_owned() })
}

/// Whether it is on record that the topics are the claimant's. To use topics without a record is a choice; to delete them
/// is none, because they may be somebody else's.
pub async fn is_owner(admin: &Admin, claim: &Claim) -> Result<bool, kafka::Error> {
    let (_, standing) = read(admin, claim).await?;
    Ok(standing.first().is_some_and(|owner| owner.uid == claim.claimant.uid))
}

/// Takes back the claim of the pipeline with this uid: the next one in the log is the owner then.
pub async fn release(admin: &Admin, prefix: &str, uid: &str) -> Result<(), kafka::Error> {
    // To write to a topic that is not there can make the broker create it, with its own settings.
    if admin.describe_topics(vec![OWNERS_TOPIC.to_owned()]).await?.is_empty() {
        return Ok(());
    }
    admin.append_to_log(OWNERS_TOPIC, &key(prefix, uid), None).await
}

/// Claims must not expire where somebody else has made the topic. Who may not see to that may still claim.
async fn keep_forever(admin: &Admin) -> Result<(), kafka::Error> {
    let topic = Configurable::Topic(OWNERS_TOPIC.to_owned());
    let found = match admin.describe_configs(vec![topic.clone()]).await {
        Ok(mut found) => found.pop().unwrap_or_default(),
        Err(kafka::Error::NotAllowed { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    if found.get(POLICY).is_some_and(|policy| policy == COMPACT) {
        return Ok(());
    }
    let compact = BTreeMap::from([(POLICY, COMPACT.to_owned())]);
    match admin.alter_configs(BTreeMap::from([(topic, compact)])).await {
        Err(error @ kafka::Error::NotAllowed { .. }) => {
            tracing::warn!(topic = OWNERS_TOPIC, %error, "claims can expire: set cleanup.policy=compact");
            Ok(())
        }
        other => other,
    }
}

/// Whether the topic was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Before,
    Now,
}

async fn read(admin: &Admin, claim: &Claim) -> Result<(Made, Vec<Claimant>), kafka::Error> {
    let mut made = Made::Before;
    if admin.known_topics(vec![OWNERS_TOPIC.to_owned()]).await?.is_empty() {
        admin.create_topics(&[topic(claim.replication_factor)]).await?;
        made = Made::Now;
    }
    Ok((made, standing(&claim.prefix, admin.read_log(OWNERS_TOPIC).await?)))
}

fn topic(replication_factor: i32) -> NewTopic {
    let mut config = durability(replication_factor);
    config.insert(POLICY, COMPACT.to_owned());
    NewTopic { name: OWNERS_TOPIC.to_owned(), partitions: 1, replication_factor, config }
}

/// Who claims `prefix`, the owner first. Of several records under one key only the last counts, because compaction
/// leaves no other. What cannot be read is no claim.
fn standing(prefix: &str, entries: Vec<Entry>) -> Vec<Claimant> {
    let mut last = BTreeMap::new();
    for Entry { offset, key, value } in entries {
        last.insert(key, (offset, value));
    }
    let claimant = |(key, (offset, value)): (String, (i64, Option<String>))| {
        let (found, uid) = key.rsplit_once('/')?;
        let claimant: Claimant = serde_json::from_str(&value?).ok()?;
        (found == prefix && uid == claimant.uid).then_some((offset, claimant))
    };
    let mut standing: Vec<_> = last.into_iter().filter_map(claimant).collect();
    standing.sort_by_key(|(offset, _)| *offset);
    standing.into_iter().map(|(_, claimant)| claimant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimant(uid: &str) -> Claimant {
        let created_at = Time(jiff::Timestamp::UNIX_EPOCH);
        let (namespace, name) = ("default".to_owned(), uid.to_owned());
        Claimant { uid: uid.to_owned(), namespace, name, created_at, installation: None }
    }

    fn text(uid: &str) -> String {
        serde_json::json!(claimant(uid)).to_string()
    }

    #[track_caller]
    fn check(log: &[(&str, Option<String>)], expected: &[&str]) {
        let entries = log.iter().zip(0..).map(|((key, value), offset)| Entry {
            offset,
            key: (*key).to_owned(),
            value: value.clone(),
        });
        let standing: Vec<_> = standing("sms", entries.collect()).into_iter().map(|claimant| claimant.uid).collect();
        assert_eq!(standing, expected);
    }

    #[test]
    fn the_first_claim_in_the_log_owns_whatever_comes_later() {
        check(&[("sms/b", Some(text("b"))), ("sms/a", Some(text("a")))], &["b", "a"]);
    }

    #[test]
    fn with_its_claim_taken_back_the_next_one_owns() {
        let log = [("sms/b", Some(text("b"))), ("sms/a", Some(text("a"))), ("sms/b", None)];
        check(&log, &["a"]);
        let again: Vec<_> = log.into_iter().chain([("sms/b", Some(text("b")))]).collect();
        check(&again, &["a", "b"]);
    }

    #[test]
    fn claims_of_other_topics_and_what_is_no_claim_do_not_count() {
        let log = [
            ("text/a", Some(text("a"))),
            ("sms/a", Some("no JSON".to_owned())),
            ("sms/c", Some(text("d"))),
            ("sms", Some(text("e"))),
            ("sms/b", Some(text("b"))),
        ];
        check(&log, &["b"]);
    }

    #[test]
    fn before_and_after_compaction_the_owner_is_the_same() {
        let log = [("sms/a", Some(text("a"))), ("sms/b", Some(text("b"))), ("sms/a", None), ("sms/a", Some(text("a")))];
        check(&log, &["b", "a"]);
        check(&log[1..], &["b", "a"]);
        check(&[log[1].clone(), log[3].clone()], &["b", "a"]);
    }
}
