//! Of several operators one leads, and another takes over when it is gone.

use std::time::Duration;

use tests::{Binary, Cluster, eventually};

const LIMIT: Duration = Duration::from_secs(30);

/// A leader, and one that waits.
async fn two_operators(cluster: &Cluster) -> (Binary, Binary) {
    let first = cluster.operator();
    until_leading(&first, LIMIT).await;
    let second = cluster.operator();
    eventually("the second one is ready", LIMIT, async || second.is_ready().await.then_some(())).await;
    assert_eq!(second.metric("smspipeline_leader").await, Some(0.0));
    (first, second)
}

async fn until_leading(operator: &Binary, limit: Duration) {
    let leads = async || operator.metric("smspipeline_leader").await.filter(|&leads| leads > 0.5);
    eventually("the operator leads", limit, leads).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_crashes_another_operator_leads_within_twenty_seconds() {
    let cluster = Cluster::namespace().await;
    let (mut first, second) = two_operators(&cluster).await;
    first.kill();
    until_leading(&second, Duration::from_secs(20)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_asked_to_end_lets_go_so_that_nobody_waits_for_its_lease_to_run_out() {
    let cluster = Cluster::namespace().await;
    let (mut first, second) = two_operators(&cluster).await;
    assert_eq!(first.stop(), 0);
    // A Lease that is not let go can be taken after 12 s.
    until_leading(&second, Duration::from_secs(9)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_lease_was_taken_ends_with_an_error() {
    let cluster = Cluster::namespace().await;
    let mut operator = cluster.operator();
    until_leading(&operator, LIMIT).await;
    let patch = r#"{"spec":{"holderIdentity":"another"}}"#;
    cluster.kubectl(&["patch", "lease", "sms-operator", "--type=merge", "-p", patch]);
    let code = eventually("the operator ends", LIMIT, async || operator.exit_code()).await;
    assert_eq!(code, 1);
    assert!(operator.output().contains("this operator leads no longer"), "{}", operator.output());
}
